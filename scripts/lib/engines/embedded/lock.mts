import { linkSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { cannotTell, type OpsError, unknown } from '../../common/findings.mts'
import { isFileError, readState, unusable } from './data-dir.mts'
import { bornAt } from './processes.mts'

/**
 * Locks a folder, so that only one operation at a time uses it. The lock is a symbolic link whose target identifies the holder: it is
 * created atomically, and even on a full disk.
 * @param what describes the operation in the error; by default a start or stop of the stack in that data folder
 * @returns the function that releases the lock
 * @throws {OpsError} exit code 3 while another process holds the lock, or if the folder is not writable
 */
export function lock(dataDir: string, what = 'a start or stop'): () => void {
  const file = lockFile(dataDir)
  try {
    mkdirSync(path.dirname(file), { recursive: true })
    for (let attempt = 1; ; attempt++) {
      if (create(() => symlinkSync(`${process.pid} ${bornAt(process.pid)}`, file)))
        return () => rmSync(file, { force: true })
      const holder = holderOf(dataDir)
      if (holder !== undefined && (attempt > 3 || isRunning(holder))) throw busy(dataDir, holder, what)
      if (holder !== undefined) removeStale(dataDir, holder)
    }
  } catch (error) {
    throw isFileError(error) ? unusable(dataDir, error) : error
  }
}

/**
 * Checks that no start or stop of this data folder is running, during which processes may have no record yet.
 * @throws {OpsError} exit code 3 while one is running
 */
export function refuseWhileLocked(dataDir: string): void {
  const holder = holderOf(dataDir) ?? ''
  if (isRunning(holder)) throw busy(dataDir, holder)
}

const lockFile = (dataDir: string) => path.join(dataDir, 'run', 'lock')

/** Reports whether the process that a lock names still runs; false for an empty, truncated or invalid lock. */
function isRunning(holder: string): boolean {
  const [, pid, born] = /^(\d+) (\S+)$/.exec(holder) ?? []
  return pid !== undefined && bornAt(Number(pid)) === born
}

const busy = (dataDir: string, holder: string, what = 'a start or stop'): OpsError =>
  cannotTell(
    unknown('BUSY', dataDir, {
      found: `${what} is under way (PID ${holder.split(' ')[0]})`,
      hint: 'wait until it has finished, then try again',
    }),
  )

/** Creates a link; returns false if the path already exists. */
function create(link: () => void): boolean {
  try {
    link()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

/** Returns the process that holds the lock, as `PID START_TIME`; undefined if there is no lock. */
function holderOf(dataDir: string, file = lockFile(dataDir)): string | undefined {
  try {
    return readlinkSync(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    // EINVAL: not a link but a file, which earlier versions used.
    if (code === 'EINVAL') return readState(dataDir, file)
    throw unusable(dataDir, error)
  }
}

/** Removes the lock of a holder that no longer runs, but not a new lock that another process may have created in the meantime. */
function removeStale(dataDir: string, holder: string): void {
  const file = lockFile(dataDir)
  const aside = `${file}.${process.pid}.stale`
  try {
    // Only one of several concurrent processes succeeds.
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return
  }
  if (holderOf(dataDir, aside) !== holder) create(() => linkSync(aside, file))
  rmSync(aside, { recursive: true, force: true })
}
