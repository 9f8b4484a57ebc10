/** What a recording is, whatever its format: messages in the order of the file, and mistakes in place of lines that are none. */
import { configError, error, reason } from '../common/findings.mts'
import { mergeByTime } from '../common/merge.mts'
import type { Kind } from './fields.mts'
import type { Context, Message } from './message.mts'

/** A message, or what is wrong with the line that should have been one. */
export type Entry = { file: string; line: number } & ({ message: Message } | { mistake: string })

export interface Recording {
  file: string
  /** In batches, as they are read. */
  entries: AsyncGenerator<Entry[]>
  /** How much of it is read, from 0 to 1. */
  fraction: () => number
}

/** How recordings are read. */
export interface ReadOptions extends Context {
  /** What all their rows are; without it, their columns decide. */
  kind: Kind | undefined
  /** Whether the symbol is taken from the file's name. */
  isNamed: boolean
  log: (line: string) => void
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

/** Reports that the symbol of a file without a column for it comes from its name, and what its times are. */
export function noteSymbol(
  file: string,
  columns: readonly string[],
  { symbol, zone, isNamed, log }: ReadOptions,
): void {
  if (!isNamed || columns.includes('symbol')) return
  const times = zone ? zone.name : 'UTC (--timezone America/New_York for US Eastern)'
  log(`${file}: symbol ${symbol}, from the file's name; times without an offset are ${times}`)
}

/** Lines at the beginning of which one must be usable. */
const FIRST_LINES = 1_000

/**
 * The entries of a recording whose first lines hold one that can be used; nothing comes before.
 * @param explain throws what is better known about lines that cannot
 * @throws {OpsError} exit code 2, when none of the first thousand lines, or of all, can be used
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
  const hint = 'docs/ingest.md describes what a line may hold'
  throw configError([error('REPLAY_LINES', file, { found, hint })])
}

/** The entries of all recordings by time. Mistakes come when they are met. */
export const mergeRecordings = (recordings: readonly Recording[]): AsyncGenerator<Entry[]> =>
  mergeByTime(
    recordings.map(({ entries }) => entries),
    (entry) => ('message' in entry ? entry.message.timeUs : Number.NEGATIVE_INFINITY),
  )
