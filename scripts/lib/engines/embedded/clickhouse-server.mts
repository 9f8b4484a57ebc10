/**
 * The process of the embedded ClickHouse: `clickhouse-server.mts LIBRARIES CONFIG DATA`. Runs ClickHouse's HTTP and native servers inside
 * this process, from the library in LIBRARIES/node_modules. Shuts down cleanly on SIGTERM.
 */
import { closeSync, constants, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { confine, restart } from './landlock.mts'

const [libraries = '', config = '', data = ''] = process.argv.slice(2)
const require = createRequire(path.join(libraries, 'package.json'))
const { DataType, load, open } = require('ffi-rs')

open({ library: 'libc', path: 'libc.so.6' })
/** Calls a function of the C library and returns its result, an integer. */
function libc(funcName: string, ...paramsValue: (number | string | Buffer)[]): number {
  const typeOf = (value: number | string | Buffer) =>
    typeof value === 'number' ? DataType.I64 : typeof value === 'string' ? DataType.String : DataType.U8Array
  return load({ library: 'libc', funcName, retType: DataType.I32, paramsType: paramsValue.map(typeOf), paramsValue })
}

if (process.env.L2_CLICKHOUSE_FILES === 'own') {
  process.env.L2_CLICKHOUSE_FILES = 'confined'
  // By default jiti's cache is in a folder that all users may share.
  process.env.JITI_FS_CACHE = 'false'
  const lib = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
  const etc = [
    'ld.so.cache',
    'localtime',
    'timezone',
    'hosts',
    'resolv.conf',
    'nsswitch.conf',
    'host.conf',
    'gai.conf',
    'ssl',
  ]
  const read = [
    ...['/usr', '/lib', '/lib64', '/bin', '/proc', '/sys', ...etc.map((file) => `/etc/${file}`)],
    ...[path.dirname(process.execPath), libraries, lib, path.dirname(config)],
    ...['node_modules', 'clickhouse'].map((folder) => path.join(lib, '../..', folder)),
  ]
  const write = [data, ...['null', 'zero', 'random', 'urandom', 'ptmx', 'pts'].map((device) => `/dev/${device}`)]
  if (confine(libc, { read, write })) restart(libc)
  process.stderr.write('This kernel has no Landlock: file() and FROM INFILE can read every file of this account\n')
}

// Password hashes arrive on standard input: a query can read /proc/self/environ, which does not show variables that are set here.
Object.assign(process.env, JSON.parse(readFileSync(0, 'utf8')))

// The servers live as long as the library's session, which this query keeps open until the stop file exists.
const STOP_FILE = path.join(data, 'stop')
const KEEP_ALIVE =
  'SELECT 1 FROM numbers(1000000000000000000) WHERE sleepEachRow(0.1) = 0 ' +
  `AND file(materialize('${STOP_FILE.replace(/['\\]/g, '\\$&')}'), '') != '' LIMIT 1 FORMAT Null ` +
  'SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, log_queries = 0'
// HTTP comes last, because an answer over HTTP counts as ready and the native port must be open by then.
const SCRIPT = `SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; ${KEEP_ALIVE}`

// Ends the query, so that the library closes its tables and returns.
process.on('SIGTERM', () => writeFileSync(STOP_FILE, 'stop'))
rmSync(STOP_FILE, { force: true })

/**
 * Puts a terminal on standard input, which makes the library's session interactive. In a non-interactive session an exception in any
 * connection ends the whole process, even one caused by a wrong password or a lost client.
 * @see https://github.com/ClickHouse/ClickHouse/issues/115666 (26.6 to 26.8)
 */
function giveTerminal(): void {
  // O_NOCTTY: closing a controlling terminal would end the process.
  const flags = constants.O_RDWR | constants.O_NOCTTY
  const master = openSync('/dev/ptmx', flags)
  libc('unlockpt', master)
  const name = load({
    library: 'libc',
    funcName: 'ptsname',
    retType: DataType.String,
    paramsType: [DataType.I32],
    paramsValue: [master],
  })
  libc('dup2', openSync(name, flags), 0)
  // Otherwise the shutdown would wait for the terminal to answer.
  process.once('SIGTERM', () => closeSync(master))
}

giveTerminal()
open({ library: 'chdb', path: require.resolve('@chdb/lib-linux-x64-gnu/libchdb.so') })
const argv = [
  'clickhouse',
  '--interactive',
  `--config-file=${config}`,
  `--path=${data}`,
  '--log-level=information',
  '--query',
  SCRIPT,
]
// In a new thread, so that the main thread stays free for signals. The library also needs to see the whole stack of its thread, or it
// rejects deeply nested queries.
await load({
  library: 'chdb',
  funcName: 'chdb_query_cmdline',
  retType: DataType.External,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [argv.length, argv],
  runInNewThread: true,
})
// The tables are closed. Only the library's exit handlers are left, and they crash in a process that embeds the library.
process.kill(process.pid, 'SIGKILL')
