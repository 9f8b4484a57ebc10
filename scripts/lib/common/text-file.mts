/** Reads text files that users write, and checks who else has access to them. */
import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats, statSync } from 'node:fs'

/** Far more than any configuration file needs, and small enough to read quickly. */
const MAX_BYTES = 1024 * 1024

const REASONS: Record<string, string> = {
  EACCES: 'a file that this user may not read',
  EPERM: 'a file that this user may not read',
  ELOOP: 'a symbolic link that points to itself',
  ENOTDIR: 'a path with a component that is not a folder',
  ENAMETOOLONG: 'a name that is too long',
  ENXIO: 'a socket or a device',
}

/**
 * Returns the text of a regular file; undefined if it does not exist. Never blocks, even on a named pipe.
 * @throws {Error} whose message says what was found instead: a folder, pipe, device or dangling link, a file that this user may not read, more
 * than `maxBytes`, or bytes that are not UTF-8. It carries the system's error `code`, if there is one.
 */
export function readTextFile(file: string, { maxBytes = MAX_BYTES } = {}): string | undefined {
  const descriptor = openToRead(file)
  if (descriptor === undefined) return undefined
  try {
    const kind = kindOf(fstatSync(descriptor))
    if (kind) throw new Error(kind)
    // The size from fstat is not reliable: the file may grow, and files in /proc report 0.
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
    if (lstatSync(file, { throwIfNoEntry: false })) throw new Error('a symbolic link to a file that does not exist')
    return undefined
  }
}

/** Returns the permission bits of group and others for a file or folder; always 0 on Windows, undefined if it does not exist. */
export function othersMode(file: string): number | undefined {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode
  if (mode === undefined) return undefined
  return process.platform === 'win32' ? 0 : mode & 0o077
}

/** Names the type of a file that is not a regular file; undefined for one that is. */
function kindOf(status: Stats): string | undefined {
  if (status.isFile()) return undefined
  if (status.isDirectory()) return 'a folder'
  return status.isFIFO() ? 'a named pipe' : 'a device'
}
