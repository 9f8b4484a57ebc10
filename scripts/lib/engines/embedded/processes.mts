/** Processes that outlive the command that started them, and are identified by their records. */
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { waitUntil } from '../../common/wait.mts'
import { logFile, recordFile } from '../logs.mts'
import { readState, unusable } from './data-dir.mts'

/** A process that a start recorded in `DATA_DIR/run/NAME.json`. */
export interface ProcessRecord {
  name: string
  pid: number
  /** Start time, which tells the process from a later one with the same PID. */
  born: string
  log: string
}

export interface Launch {
  name: string
  command: string
  args: string[]
  env: NodeJS.ProcessEnv
  /** Written to standard input, which is then closed. */
  stdin?: string
}

const runFolder = (dataDir: string) => path.join(dataDir, 'run')

/**
 * Returns the start time of a process, as the boot id and the clock ticks since boot. Undefined if there is no such process or it is a
 * zombie. A zombie with other threads counts as running, because it still holds its ports and files.
 */
export function bornAt(pid: number): string | undefined {
  try {
    // The command may contain blanks and parentheses. After it, the 1st field is the state, the 18th the number of threads and the 20th
    // the start time.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return fields[0] === 'Z' && Number(fields[17]) <= 1 ? undefined : `${boot}:${fields[19]}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // The process exited before (ENOENT) or during (ESRCH) the read.
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

/** True while the recorded process runs. */
export function isAlive(record: ProcessRecord): boolean {
  return bornAt(record.pid) === record.born
}

/** The start time in the record of a process that never ran. */
const NEVER = 'never'

/**
 * Returns the records in a data folder, including those of dead processes; empty if nothing was ever started. An empty, truncated or
 * invalid record, which a power failure may leave, counts as that of a dead process.
 * @throws {OpsError} exit code 3 if this user may not read them
 */
export function readRecords(dataDir: string): ProcessRecord[] {
  let files: string[]
  try {
    files = readdirSync(runFolder(dataDir))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw unusable(dataDir, error)
  }
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => {
      const name = path.basename(file, '.json')
      const { pid = 0, born = NEVER } = parseRecord(readState(dataDir, recordFile(dataDir, name)) ?? '')
      return { name, pid, born, log: logFile(dataDir, name) }
    })
}

function parseRecord(text: string): { pid?: number; born?: string } {
  try {
    const record: Partial<ProcessRecord> | null = JSON.parse(text)
    const { pid, born } = record ?? {}
    return Number.isSafeInteger(pid) && typeof born === 'string' ? { pid: pid as number, born } : {}
  } catch {
    // Invalid JSON: empty or truncated.
    return {}
  }
}

/** Returns the records of processes that run now. */
export const runningEmbedded = (dataDir: string): ProcessRecord[] => readRecords(dataDir).filter(isAlive)

/** Starts and records a process that outlives this one. Runs it in the data folder and writes its output to its log file. */
export function launch(dataDir: string, { name, command, args, env, stdin }: Launch): ProcessRecord {
  const log = logFile(dataDir, name)
  mkdirSync(path.dirname(log), { recursive: true })
  mkdirSync(runFolder(dataDir), { recursive: true })
  if (existsSync(log)) renameSync(log, `${log}.1`)
  const output = openSync(log, 'a')
  const child = spawn(command, args, { cwd: dataDir, env, detached: true, stdio: ['pipe', output, output] })
  closeSync(output)
  // A command that cannot be run is treated like a process that has exited, with the reason in its log.
  child.on('error', (error) => writeFileSync(log, `${error.message}\n`))
  child.stdin?.on('error', () => {
    // EPIPE: the process exited before it read its input. Its log contains the reason.
  })
  child.stdin?.end(stdin)
  child.unref()
  const pid = child.pid ?? 0
  const record = { name, pid, born: (pid && bornAt(pid)) || NEVER, log }
  const file = recordFile(dataDir, name)
  try {
    // Renamed from a temporary file, so that the record is never incomplete.
    writeFileSync(`${file}.tmp`, JSON.stringify(record))
    renameSync(`${file}.tmp`, file)
  } catch (error) {
    // The disk may be full. Without a record the process could not be stopped later.
    signal(record, 'SIGKILL')
    throw error
  }
  return record
}

/**
 * Stops a recorded process with SIGTERM, and with SIGKILL if it still runs after `timeoutMs`. Removes its record.
 * @returns `stopped` after SIGTERM, `killed` after SIGKILL
 */
export async function stopProcess(
  dataDir: string,
  record: ProcessRecord,
  timeoutMs: number,
): Promise<'stopped' | 'killed' | 'was not running'> {
  const gone = async () => !isAlive(record)
  let how: 'stopped' | 'killed' | 'was not running' = 'was not running'
  if (isAlive(record)) {
    signal(record, 'SIGTERM')
    // A suspended process handles SIGTERM only once it is resumed.
    signal(record, 'SIGCONT')
    how = 'stopped'
    if (!(await waitUntil(gone, { timeoutMs, pollMs: 50 }))) {
      how = 'killed'
      signal(record, 'SIGKILL')
      await waitUntil(gone, { timeoutMs: 5_000, pollMs: 20 })
    }
  }
  rmSync(recordFile(dataDir, record.name), { force: true })
  return how
}

function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  if (!isAlive(record)) return
  try {
    process.kill(record.pid, name)
  } catch (error) {
    // ESRCH: the process exited in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Bytes to read from the end of a log file, which may have grown for months. */
const TAIL_BYTES = 256 * 1024

/** Returns the last lines of a log file; empty if it does not exist. */
export function lastLines(file: string, count: number): string[] {
  if (!existsSync(file)) return []
  const handle = openSync(file, 'r')
  try {
    const { size } = fstatSync(handle)
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES))
    readSync(handle, tail, 0, tail.length, size - tail.length)
    return tail.toString().trimEnd().split('\n').slice(-count)
  } finally {
    closeSync(handle)
  }
}
