import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { cannotTell, type OpsError, reason } from '../../common/findings.mts'
import { bornAt } from './processes.mts'

/**
 * Keeps two starts or stops of one data folder apart.
 * @returns the function that ends it
 * @throws {OpsError} exit code 3 while another one runs, or where the folder may not be written
 */
export function lock(dataDir: string): () => void {
  const file = lockFile(dataDir)
  const folder = path.dirname(file)
  // Linked, not opened: a lock never lacks its holder.
  const mine = path.join(folder, `lock.${process.pid}`)
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(mine, `${process.pid} ${bornAt(process.pid)}`)
  } catch (error) {
    throw cannotTell(
      {
        code: 'DATA_DIR',
        subject: dataDir,
        found: `a folder that cannot be written (${reason(error)})`,
        hint: 'run as the user who owns it, or set EMBEDDED_DATA_DIR in .env to another folder',
      },
      error,
    )
  }
  try {
    for (let attempt = 1; ; attempt++) {
      const holder = linkUnlessThere(mine, file)
      if (holder === undefined) return () => rmSync(file, { force: true })
      if (attempt > 3 || holds(holder)) throw busy(dataDir, holder)
      // Its holder was killed.
      if (holder) removeStale(file, holder)
    }
  } finally {
    rmSync(mine, { force: true })
  }
}

/**
 * Does nothing, unless a start or stop of this data folder is under way: until its end, processes may lack their record.
 * @throws {OpsError} exit code 3 while one runs
 */
export function refuseWhileLocked(dataDir: string): void {
  const holder = contents(lockFile(dataDir))
  if (holds(holder)) throw busy(dataDir, holder)
}

const lockFile = (dataDir: string) => path.join(dataDir, 'run', 'lock')

/** Whether the process that a lock names still runs. */
function holds(holder: string): boolean {
  const [pid, born] = holder.split(' ')
  return Boolean(pid) && bornAt(Number(pid)) === born
}

const busy = (dataDir: string, holder: string): OpsError =>
  cannotTell({
    code: 'BUSY',
    subject: dataDir,
    found: `a start or stop is under way (PID ${holder.split(' ')[0]})`,
    hint: 'wait until it has ended, then try again',
  })

/** Undefined if the link was made, else the contents of what is there; empty if that is gone meanwhile. */
function linkUnlessThere(existing: string, link: string): string | undefined {
  try {
    linkSync(existing, link)
    return undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return contents(link)
}

/** Empty for a file that is not there, or not for this user to read. */
function contents(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (!['ENOENT', 'EACCES'].includes(String((error as NodeJS.ErrnoException).code))) throw error
    return ''
  }
}

/** Removes the lock of a holder that is gone; leaves the one that another process, which found the same, may have made since. */
function removeStale(file: string, holder: string): void {
  const aside = `${file}.${process.pid}.stale`
  try {
    // Of several processes that find it, one moves it away.
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return
  }
  if (readFileSync(aside, 'utf8') !== holder) linkUnlessThere(aside, file)
  rmSync(aside, { force: true })
}
