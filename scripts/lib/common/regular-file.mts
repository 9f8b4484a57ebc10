import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/**
 * The text of a regular file; undefined when there is no such file. Never waits, as reading a FIFO or a terminal would.
 * @throws {TypeError} for anything else than a file, and for one of more than `maxBytes`
 * @throws {Error} with `code`, where it may not be read
 */
export function readRegularFile(file: string, maxBytes: number): string | undefined {
  let handle: number
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const stats = fstatSync(handle)
    if (!stats.isFile()) throw new TypeError(`Cannot read "${file}": it is no regular file`)
    if (stats.size > maxBytes) throw new TypeError(`Cannot read "${file}": it has more than ${maxBytes} bytes`)
    return readFileSync(handle, 'utf8')
  } finally {
    closeSync(handle)
  }
}
