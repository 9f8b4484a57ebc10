/** Reading the text files that people write, whatever is found in their place, and who else may. */
import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats, statSync } from 'node:fs'

/** Far above any configuration, far below what slows a command down. */
const MAX_BYTES = 1024 * 1024

const REASONS: Record<string, string> = {
  EACCES: 'a file that this user may not read',
  EPERM: 'a file that this user may not read',
  ELOOP: 'a link that leads back to itself',
  ENOTDIR: 'a path through what is no folder',
  ENAMETOOLONG: 'a name that is too long',
  ENXIO: 'a socket or a device',
}

/**
 * The text of a regular file; undefined when there is none. Never waits, as a read of a named pipe would.
 * @throws {Error} that says what is there instead: a folder, pipe, device or dangling link, a file that this user may not read, more than
 * `maxBytes`, or bytes that are not UTF-8. It has the `code` of the system's error, where there is one.
 */
export function readTextFile(file: string, { maxBytes = MAX_BYTES } = {}): string | undefined {
  const descriptor = openToRead(file)
  if (descriptor === undefined) return undefined
  try {
    const kind = kindOf(fstatSync(descriptor))
    if (kind) throw new Error(kind)
    // The size in the file's status is not to be relied on: the file may grow, and those of /proc have none.
    const buffer = Buffer.alloc(maxBytes + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(descriptor, buffer, length, buffer.length - length, null)
    }
    if (length > maxBytes) throw new Error(`more than ${maxBytes} bytes`)
    const bytes = buffer.subarray(0, length)
    if (!isUtf8(bytes)) throw new Error('bytes that are not UTF-8')
    return bytes.toString()
  } finally {
    closeSync(descriptor)
  }
}

function openToRead(file: string): number | undefined {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') throw Object.assign(new Error(REASONS[code] ?? message), { code })
    if (lstatSync(file, { throwIfNoEntry: false })) throw new Error('a link to a file that is not there')
    return undefined
  }
}

/** What group and others may do with a file or folder, as bits of its mode; 0 where the system has no such. undefined when it is not there. */
export function othersMode(file: string): number | undefined {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode
  if (mode === undefined) return undefined
  return process.platform === 'win32' ? 0 : mode & 0o077
}

/** What a file is that is no regular one. */
function kindOf(status: Stats): string | undefined {
  if (status.isFile()) return undefined
  if (status.isDirectory()) return 'a folder'
  return status.isFIFO() ? 'a named pipe' : 'a device'
}
