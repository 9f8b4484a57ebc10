import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { cannotTell, reason } from '../findings.mts'
import { bornAt } from './processes.mts'

/**
 * Keeps two starts or stops of one data folder apart.
 * @returns the function that ends it
 * @throws {OpsError} exit code 3 while another one runs, or where the folder may not be written
 */
export function lock(dataDir: string): () => void {
  const folder = path.join(dataDir, 'run')
  const file = path.join(folder, 'lock')
  // Linked, not opened: whoever finds the lock finds its holder in it.
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
        expected: 'one of yours: whoever started a stack stops it',
        hint: 'run as the user who owns it, or set EMBEDDED_DATA_DIR in .env to another folder',
      },
      error,
    )
  }
  try {
    for (let attempt = 1; ; attempt++) {
      const holder = linkUnlessThere(mine, file)
      if (holder === undefined) return () => rmSync(file, { force: true })
      const [pid, born] = holder.split(' ')
      if (attempt > 3 || (pid && bornAt(Number(pid)) === born)) {
        throw cannotTell({
          code: 'BUSY',
          subject: dataDir,
          found: `a start or stop that is under way (PID ${pid})`,
          expected: 'one at a time',
          hint: 'wait until it has ended, then try again',
        })
      }
      // Its holder was killed.
      if (pid) removeStale(file, holder)
    }
  } finally {
    rmSync(mine, { force: true })
  }
}

/** Undefined if the link was made, else the contents of what is there; empty if that is gone meanwhile. */
function linkUnlessThere(existing: string, link: string): string | undefined {
  try {
    linkSync(existing, link)
    return undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  try {
    return readFileSync(link, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return ''
  }
}

/** Removes the lock of a holder that is gone; leaves the one that another, who found the same, may have made since. */
function removeStale(file: string, holder: string): void {
  const aside = `${file}.${process.pid}.stale`
  try {
    // Of all who find it, one moves it away.
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return
  }
  if (readFileSync(aside, 'utf8') !== holder) linkUnlessThere(aside, file)
  rmSync(aside, { force: true })
}
