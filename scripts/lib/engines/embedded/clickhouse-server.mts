/**
 * The process behind the embedded ClickHouse: `clickhouse-server.mts LIBRARIES CONFIG DATA`. Starts ClickHouse's HTTP and
 * native servers inside this process, from the library in LIBRARIES/node_modules, and ends cleanly on SIGTERM.
 */
import { closeSync, constants, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { confine, startAgain } from './landlock.mts'

const [libraries = '', config = '', data = ''] = process.argv.slice(2)
const require = createRequire(path.join(libraries, 'package.json'))
const { DataType, load, open } = require('ffi-rs')

open({ library: 'libc', path: 'libc.so.6' })
/** What a function of the C library returns, an integer. */
function libc(funcName: string, ...paramsValue: (number | string | Buffer)[]): number {
  const typeOf = (value: number | string | Buffer) =>
    typeof value === 'number' ? DataType.I64 : typeof value === 'string' ? DataType.String : DataType.U8Array
  return load({ library: 'libc', funcName, retType: DataType.I32, paramsType: paramsValue.map(typeOf), paramsValue })
}

if (process.env.L2_CLICKHOUSE_FILES === 'own') {
  process.env.L2_CLICKHOUSE_FILES = 'confined'
  // The runner's cache may be in a folder that every user shares.
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
  if (confine(libc, { read, write })) startAgain(libc)
  process.stderr.write('This kernel has no Landlock: file() and FROM INFILE read every file of this account\n')
}

// Hashes of passwords come on standard input: a query can read /proc/self/environ, but what is set here is not in it.
Object.assign(process.env, JSON.parse(readFileSync(0, 'utf8')))

// A query that keeps the library's session, and with it the servers, alive until this file is there.
const STOP_FILE = path.join(data, 'stop')
const KEEP_ALIVE =
  'SELECT 1 FROM numbers(1000000000000000000) WHERE sleepEachRow(0.1) = 0 ' +
  `AND file(materialize('${STOP_FILE.replace(/['\\]/g, '\\$&')}'), '') != '' LIMIT 1 FORMAT Null ` +
  'SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, log_queries = 0'
// HTTP comes last: the start takes its answer as ready, and the native port must be open then too.
const SCRIPT = `SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; ${KEEP_ALIVE}`

// The library then closes its tables and returns.
process.on('SIGTERM', () => writeFileSync(STOP_FILE, 'stop'))
rmSync(STOP_FILE, { force: true })

/**
 * Puts a terminal on standard input, which makes the library's session an interactive one. In any other it ends the whole
 * process when the handler of a connection throws: a wrong password or a client that vanishes is enough.
 * @see https://github.com/ClickHouse/ClickHouse/issues/115666 (26.6 to 26.8)
 */
function giveTerminal(): void {
  // Never this process's controlling terminal, whose end would end it.
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
  // A question to the terminal at the end finds none, instead of waiting for an answer.
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
// On a thread of its own: the main one stays free for signals, and the library can see the thread's whole stack, without
// which it refuses deep queries.
await load({
  library: 'chdb',
  funcName: 'chdb_query_cmdline',
  retType: DataType.External,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [argv.length, argv],
  runInNewThread: true,
})
// The tables are closed. What is left are the library's exit handlers, which fault in a process that is not theirs.
process.kill(process.pid, 'SIGKILL')
