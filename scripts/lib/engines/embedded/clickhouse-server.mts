/**
 * The process behind the embedded ClickHouse: `clickhouse-server.mts LIBRARIES CONFIG DATA`. Starts ClickHouse's HTTP and
 * native servers inside this process, from the library in LIBRARIES/node_modules, and ends cleanly on SIGTERM.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { reason } from '../../common/findings.mts'

const [libraries = '', config = '', data = ''] = process.argv.slice(2)
const require = createRequire(path.join(libraries, 'package.json'))
const { DataType, load, open } = require('ffi-rs')

// A query that never ends keeps the library's session, and with it the servers, alive.
const KEEP_ALIVE =
  'SELECT sleepEachRow(0.5) FROM numbers(1000000000000000000) FORMAT Null ' +
  'SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, log_queries = 0'
// HTTP comes last: the start takes its answer as ready, and the native port must be open then too.
const SCRIPT = `SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; ${KEEP_ALIVE}`

/** Ends the query that never ends: the library then closes its tables and returns. */
async function endSession(): Promise<void> {
  const response = await fetch(process.env.L2_CLICKHOUSE_URL ?? '', {
    method: 'POST',
    headers: {
      // The servers wait up to 5 s for open connections at their end.
      Connection: 'close',
      Authorization: process.env.L2_CLICKHOUSE_LOGIN ?? '',
    },
    body: "KILL QUERY WHERE startsWith(query, 'SELECT sleepEachRow(0.5) FROM numbers(1000000000000000000)') ASYNC",
  })
  if (!response.ok) throw new Error(await response.text())
}

process.on('SIGTERM', () => {
  endSession().catch((error) => {
    process.stderr.write(`Cannot end the session: ${reason(error)}; exiting without it\n`)
    process.kill(process.pid, 'SIGKILL')
  })
})

/**
 * Puts a terminal on standard input, which makes the library's session an interactive one. In any other it ends the whole
 * process when the handler of a connection throws: a wrong password or a client that vanishes is enough.
 * @see https://github.com/ClickHouse/ClickHouse/issues/115666 (26.6 to 26.8)
 */
function giveTerminal(): void {
  open({ library: 'libc', path: 'libc.so.6' })
  const libc = (funcName: string, retType: number, ...paramsValue: number[]) =>
    load({ library: 'libc', funcName, retType, paramsType: paramsValue.map(() => DataType.I32), paramsValue })
  // Never this process's controlling terminal, whose end would end it.
  const flags = constants.O_RDWR | constants.O_NOCTTY
  const master = openSync('/dev/ptmx', flags)
  libc('unlockpt', DataType.I32, master)
  libc('dup2', DataType.I32, openSync(libc('ptsname', DataType.String, master), flags), 0)
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
