/** What a recording is, whatever its format: messages in the order of the file, and mistakes in place of lines that are none. */
import { configError, error, reason } from '../common/findings.mts'
import type { Message } from './message.mts'

/** A message, or what is wrong with the line that should have been one. */
export type Entry = { file: string; line: number } & ({ message: Message } | { mistake: string })

export interface Recording {
  file: string
  /** In batches, as they are read. */
  entries: AsyncIterable<Entry[]>
  /** How much of it is read, from 0 to 1. */
  fraction: () => number
}

/** The message that `read` makes, or what it says is wrong. */
export function entryOf(file: string, line: number, read: () => Message): Entry {
  try {
    return { file, line, message: read() }
  } catch (failure) {
    if (!(failure instanceof RangeError)) throw failure
    return { file, line, mistake: failure.message }
  }
}

/** The error for a file that is there but cannot be read. */
export function unreadable(file: string, failure: unknown): Error {
  return configError([error('REPLAY_FILE', file, { found: reason(failure), hint: `ls -l ${file}` })])
}

/** The error for a file whose columns do not say what it holds. */
export function unknownKind(file: string, columns: readonly string[]): Error {
  const found = `the columns ${columns.join(', ')}`
  const expected = 'price and size (trades), bid or ask (quotes), or side (order book)'
  const hint = 'npm run replay -- --kind trades|quotes|l2 FILE'
  return configError([error('REPLAY_COLUMNS', file, { found, expected, hint })])
}
