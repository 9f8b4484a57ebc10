/** Processes that outlive the command that started them, known again by their records. */
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

/** A process that a start recorded in `<data folder>/run/<name>.json`. */
export interface ProcessRecord {
  name: string
  pid: number
  /** When the process began, as the system has it: a process of another age under the same PID is not ours. */
  born: string
  log: string
}

export interface Launch {
  name: string
  command: string
  args: string[]
  env: NodeJS.ProcessEnv
  /** Written to its standard input, which is then closed. */
  stdin?: string
}

const runFolder = (dataDir: string) => path.join(dataDir, 'run')

/**
 * When a process began: on Linux the boot's id and the ticks since. Undefined when there is no such process, or it is a
 * zombie, which is only waiting for its parent to look; one with threads left still holds its ports and files.
 */
export function bornAt(pid: number): string | undefined {
  try {
    // Fields after the command, which may itself hold blanks and parentheses: state is the first, threads the 18th, start
    // time the 20th.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return fields[0] === 'Z' && Number(fields[17]) <= 1 ? undefined : `${boot}:${fields[19]}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // ENOENT before, ESRCH while it is read: the process is gone.
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

/** True while the recorded process itself runs. */
export function isAlive(record: ProcessRecord): boolean {
  return bornAt(record.pid) === record.born
}

/** When a process began that never did: no living process is known by it. */
const NEVER = 'never'

/**
 * The records in a data folder, of dead processes too; empty for a folder that never ran anything. One that is empty, cut or no record, as
 * a power failure may leave it, counts as that of a dead process.
 * @throws {OpsError} exit code 3 where this user may not read them
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
    // No JSON: empty, or cut off.
    return {}
  }
}

/** Those of a data folder that run now. */
export const runningEmbedded = (dataDir: string): ProcessRecord[] => readRecords(dataDir).filter(isAlive)

/** Starts a process in the data folder that survives this one, its output in its log file, and records it. */
export function launch(dataDir: string, { name, command, args, env, stdin }: Launch): ProcessRecord {
  const log = logFile(dataDir, name)
  mkdirSync(path.dirname(log), { recursive: true })
  mkdirSync(runFolder(dataDir), { recursive: true })
  if (existsSync(log)) renameSync(log, `${log}.1`)
  const output = openSync(log, 'a')
  const child = spawn(command, args, { cwd: dataDir, env, detached: true, stdio: ['pipe', output, output] })
  closeSync(output)
  // A command that cannot be run looks like a process that has ended; the log has the reason.
  child.on('error', (error) => writeFileSync(log, `${error.message}\n`))
  child.stdin?.on('error', () => {
    // EPIPE: it ended before it read; the reason is in its log.
  })
  child.stdin?.end(stdin)
  child.unref()
  const pid = child.pid ?? 0
  const record = { name, pid, born: (pid && bornAt(pid)) || NEVER, log }
  const file = recordFile(dataDir, name)
  try {
    // Written beside and renamed: a record is whole or not there.
    writeFileSync(`${file}.tmp`, JSON.stringify(record))
    renameSync(`${file}.tmp`, file)
  } catch (error) {
    // On a full disk: without its record it could not be stopped any more.
    signal(record, 'SIGKILL')
    throw error
  }
  return record
}

/**
 * Ends a recorded process: SIGTERM, and SIGKILL if it still runs after `timeoutMs`. Removes its record.
 * @returns how it went; `killed` means that it had to be killed
 */
export async function end(
  dataDir: string,
  record: ProcessRecord,
  timeoutMs: number,
): Promise<'ended' | 'killed' | 'was not running'> {
  const gone = async () => !isAlive(record)
  let how: 'ended' | 'killed' | 'was not running' = 'was not running'
  if (isAlive(record)) {
    signal(record, 'SIGTERM')
    // A suspended process handles the signal only when it is resumed.
    signal(record, 'SIGCONT')
    how = 'ended'
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
    // ESRCH: it has ended since the look.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Bytes at the end of a log file that are looked at: it may have grown for months. */
const TAIL_BYTES = 256 * 1024

/** The last lines of a log file, or none when it is not there. */
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
