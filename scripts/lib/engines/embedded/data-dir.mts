/** Reads state files in the data folder of an embedded stack, and reports a folder that cannot be used. */
import { cannotTell, type OpsError, reason, unknown } from '../../common/findings.mts'
import { readTextFile } from '../../common/text-file.mts'

/** Largest size of a lock or process record, in bytes. */
const MAX_BYTES = 64 * 1024

const DISK_FULL = ['ENOSPC', 'EDQUOT']
const UNUSABLE = ['EACCES', 'EPERM', 'EROFS', 'EEXIST', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EIO']

/** True for a system error that means a full disk, or a file or folder that this user cannot use. */
export const isFileError = (error: unknown): boolean =>
  [...DISK_FULL, ...UNUSABLE].includes(String((error as NodeJS.ErrnoException | undefined)?.code))

/**
 * Returns the error, with exit code 3, for a folder that this user cannot use or whose disk is full.
 * @param hint by default that of the data folder
 */
export function unusable(
  folder: string,
  error: unknown,
  hint = 'run as the user that owns it, or set EMBEDDED_DATA_DIR in .env to another folder',
): OpsError {
  const found = (what: string) => `${what} (${reason(error)})`
  const full = { found: found('the disk is full'), hint: `free disk space for ${folder} (df -h), then try again` }
  const finding = DISK_FULL.includes(String((error as NodeJS.ErrnoException).code))
    ? unknown('DISK_FULL', folder, full)
    : unknown('DATA_DIR', folder, { found: found('this user cannot use the folder'), hint })
  return cannotTell(finding, error)
}

/**
 * Returns the text of a lock or process record; undefined if it does not exist. Returns an empty text for a file that is too large or not a
 * regular file, so that the caller replaces it like one that a power failure damaged.
 * @throws {OpsError} exit code 3 if this user may not read it
 */
export function readState(dataDir: string, file: string): string | undefined {
  try {
    return readTextFile(file, { maxBytes: MAX_BYTES })
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === undefined) return ''
    throw unusable(dataDir, failure)
  }
}
