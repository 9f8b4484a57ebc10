import { linkSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { cannotTell, type OpsError, unknown } from '../../common/findings.mts'
import { isFileError, readState, unusable } from './data-dir.mts'
import { bornAt } from './processes.mts'

/**
 * Keeps two starts or stops of one data folder apart, or two of `what`, in a folder of their own. The lock is a link whose target names its
 * holder: made whole or not at all, and on a full disk too.
 * @returns the function that ends it
 * @throws {OpsError} exit code 3 while another one runs, or where the folder may not be written
 */
export function lock(dataDir: string, what = 'a start or stop'): () => void {
  const file = lockFile(dataDir)
  try {
    mkdirSync(path.dirname(file), { recursive: true })
    for (let attempt = 1; ; attempt++) {
      if (make(() => symlinkSync(`${process.pid} ${bornAt(process.pid)}`, file)))
        return () => rmSync(file, { force: true })
      const holder = holderOf(dataDir)
      if (holder !== undefined && (attempt > 3 || holds(holder))) throw busy(dataDir, holder, what)
      if (holder !== undefined) removeStale(dataDir, holder)
    }
  } catch (error) {
    throw isFileError(error) ? unusable(dataDir, error) : error
  }
}

/**
 * Does nothing, unless a start or stop of this data folder is under way: until its end, processes may lack their record.
 * @throws {OpsError} exit code 3 while one runs
 */
export function refuseWhileLocked(dataDir: string): void {
  const holder = holderOf(dataDir) ?? ''
  if (holds(holder)) throw busy(dataDir, holder)
}

const lockFile = (dataDir: string) => path.join(dataDir, 'run', 'lock')

/** Whether the process that a lock names still runs: not for a lock that is empty, cut or something else. */
function holds(holder: string): boolean {
  const [, pid, born] = /^(\d+) (\S+)$/.exec(holder) ?? []
  return pid !== undefined && bornAt(Number(pid)) === born
}

const busy = (dataDir: string, holder: string, what = 'a start or stop'): OpsError =>
  cannotTell(
    unknown('BUSY', dataDir, {
      found: `${what} is under way (PID ${holder.split(' ')[0]})`,
      hint: 'wait until it has ended, then try again',
    }),
  )

/** False if there is something already. */
function make(link: () => void): boolean {
  try {
    link()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

/** The lock's process, as `PID BIRTH`; undefined for no lock. */
function holderOf(dataDir: string, file = lockFile(dataDir)): string | undefined {
  try {
    return readlinkSync(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    // EINVAL: no link, but a file, as earlier versions made.
    if (code === 'EINVAL') return readState(dataDir, file)
    throw unusable(dataDir, error)
  }
}

/** Removes the lock of a holder that is gone; leaves the one that another process, which found the same, may have made since. */
function removeStale(dataDir: string, holder: string): void {
  const file = lockFile(dataDir)
  const aside = `${file}.${process.pid}.stale`
  try {
    // Of several processes that find it, one moves it away.
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return
  }
  if (holderOf(dataDir, aside) !== holder) make(() => linkSync(aside, file))
  rmSync(aside, { recursive: true, force: true })
}
