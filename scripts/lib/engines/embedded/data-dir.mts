/** The data folder of an embedded stack: what keeps it from being used, as findings. */
import { cannotTell, type OpsError, reason, unknown } from '../../common/findings.mts'
import { readTextFile } from '../../common/text-file.mts'

/** Bytes of a lock or a process record, at most. */
const MAX_BYTES = 64 * 1024

const DISK_FULL = ['ENOSPC', 'EDQUOT']
const NOT_OURS = ['EACCES', 'EPERM', 'EROFS', 'EEXIST', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EIO']

/** True for an error of the system about a file or folder that this user cannot use, or a full disk. */
export const isFileError = (error: unknown): boolean =>
  [...DISK_FULL, ...NOT_OURS].includes(String((error as NodeJS.ErrnoException | undefined)?.code))

/**
 * The finding of a folder that this user cannot use, or whose disk is full: exit code 3.
 * @param hint for a folder other than the data folder
 */
export function unusable(
  folder: string,
  error: unknown,
  hint = 'run as the user who owns it, or set EMBEDDED_DATA_DIR in .env to another folder',
): OpsError {
  const found = (what: string) => `${what} (${reason(error)})`
  const full = { found: found('the disk is full'), hint: `free space in ${folder} (df -h), then try again` }
  const finding = DISK_FULL.includes(String((error as NodeJS.ErrnoException).code))
    ? unknown('DISK_FULL', folder, full)
    : unknown('DATA_DIR', folder, { found: found('this user cannot use the folder'), hint })
  return cannotTell(finding, error)
}

/**
 * The text of a lock or process record; undefined when it is not there. Empty for what is no regular file, or too large: a broken one, as a
 * power failure may leave it, is to be replaced.
 * @throws {OpsError} exit code 3 when this user may not read it
 */
export function readState(dataDir: string, file: string): string | undefined {
  try {
    return readTextFile(file, { maxBytes: MAX_BYTES })
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === undefined) return ''
    throw unusable(dataDir, failure)
  }
}
