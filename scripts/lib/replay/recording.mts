/** Recordings of any format: messages in file order, with a mistake in place of each unusable line. */
import { configError, error, reason } from '../common/findings.mts'
import { mergeByTime } from '../common/merge.mts'
import type { Kind } from './fields.mts'
import type { Context, Message } from './message.mts'

/** A message, or the reason why a line is unusable. */
export type Entry = { file: string; line: number } & ({ message: Message } | { mistake: string })

export interface Recording {
  file: string
  /** In batches. */
  entries: AsyncGenerator<Entry[]>
  /** Returns how much of it has been read, from 0 to 1. */
  fraction: () => number
}

export interface ReadOptions extends Context {
  /** Kind of all rows; by default the columns determine it. */
  kind: Kind | undefined
  /** Whether the symbol comes from the file name. */
  isNamed: boolean
  log: (line: string) => void
}

/** Returns the message that `read` returns, or its RangeError as a mistake. */
export function entryOf(file: string, line: number, read: () => Message): Entry {
  try {
    return { file, line, message: read() }
  } catch (failure) {
    if (!(failure instanceof RangeError)) throw failure
    return { file, line, mistake: failure.message }
  }
}

/** Returns the error for a file that exists but cannot be read. */
export function unreadable(file: string, failure: unknown): Error {
  return configError([error('REPLAY_FILE', file, { found: reason(failure), hint: `ls -l ${file}` })])
}

/** Logs that the symbol of a file without a symbol column comes from its name, and which zone its times have. */
export function noteSymbol(
  file: string,
  columns: readonly string[],
  { symbol, zone, isNamed, log }: ReadOptions,
): void {
  if (!isNamed || columns.includes('symbol')) return
  const times = zone ? zone.name : 'UTC (--timezone America/New_York for US Eastern)'
  log(`${file}: symbol ${symbol}, from the file name; times without an offset are ${times}`)
}

/** One of this many first lines must be usable. */
const FIRST_LINES = 1_000

/**
 * Returns the entries unchanged, once one of the first {@link FIRST_LINES} is usable.
 * @param explain may throw a more specific error
 * @throws {OpsError} exit code 2, when none of these lines is usable
 */
export async function* usable(
  file: string,
  entries: AsyncGenerator<Entry[]>,
  explain: () => void = () => {},
): AsyncGenerator<Entry[]> {
  const first: Entry[] = []
  for await (const batch of entries) {
    for (const entry of batch) first.push(entry)
    if (first.some((entry) => 'message' in entry)) {
      yield first
      yield* entries
      return
    }
    if (first.length >= FIRST_LINES) break
  }
  const [entry] = first
  if (!entry || !('mistake' in entry)) return
  explain()
  const found = `no usable line${first.length > 1 ? ` among the first ${first.length}` : ''}; line ${entry.line}: ${entry.mistake}`
  const hint = 'docs/ingest.md describes the fields of a line'
  throw configError([error('REPLAY_LINES', file, { found, hint })])
}

/** Merges the entries of all recordings by time. A mistake, which has no time, is returned as soon as it is read. */
export const mergeRecordings = (recordings: readonly Recording[]): AsyncGenerator<Entry[]> =>
  mergeByTime(
    recordings.map(({ entries }) => entries),
    (entry) => ('message' in entry ? entry.message.timeUs : Number.NEGATIVE_INFINITY),
  )
