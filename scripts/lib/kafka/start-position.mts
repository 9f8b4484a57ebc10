/** Start positions in topics as users name them: an end, an offset, or a time. */
import { parseTime } from '../common/time.mts'
import type { Cluster } from './cluster.mts'
import type { TopicMetadata } from './cluster-requests.mts'
import type { Offsets } from './offsets.mts'

export type Start =
  | { kind: 'earliest' | 'latest' }
  | { kind: 'offset'; offset: number }
  /** The first record with this timestamp or a later one. */
  | { kind: 'time'; timeMs: number }

/** The accepted forms, for help and messages. */
export const START_FORMS =
  'earliest, latest, an offset such as 42, a time such as 2026-11-23T14:30, or an age such as -5m'

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Parses a position: `earliest`, `latest`, an offset (digits), an age (`-90s`, `-5m`, `-1h`, `-2d`), or a time for {@link parseTime}.
 * @param nowMs the time that ages are relative to
 * @throws {RangeError} for anything else
 */
export function parseStart(text: string, nowMs: number): Start {
  if (text === 'earliest' || text === 'latest') return { kind: text }
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return { kind: 'offset', offset: Number(text) }
  const [, amount, unit = ''] = /^-(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? []
  if (amount !== undefined)
    return { kind: 'time', timeMs: Math.max(0, Math.round(nowMs - Number(amount) * (UNIT_MS[unit] ?? 0))) }
  // Digits alone are always an offset, never a time.
  if (/^\d*$/.test(text)) throw new RangeError(`"${text}"`)
  return { kind: 'time', timeMs: Math.floor(parseTime(text).us / 1000) }
}

/**
 * Returns the offset of a position in each partition of the topics, by `topic/partition`, limited to the range from the first record to the
 * end. Partitions that do not report their offsets are left out.
 */
export async function readStarts(
  cluster: Cluster,
  start: Start,
  topics: readonly TopicMetadata[],
  { low, high }: { low: Offsets; high: Offsets },
): Promise<Map<string, number>> {
  // Imported late: parsing flags and --help need this file, but not Kafka.
  const { readOffsets } = await import('./offsets.mts')
  const since = start.kind === 'time' ? await readOffsets(cluster, { sinceMs: start.timeMs }, topics) : undefined
  const starts = new Map<string, number>()
  for (const [key, { offset: last }] of high) {
    const first = low.get(key)?.offset
    if (first === undefined || (since && !since.has(key))) continue
    const found = since?.get(key)?.offset ?? -1
    const wanted = {
      earliest: first,
      latest: last,
      offset: start.kind === 'offset' ? start.offset : 0,
      time: found < 0 ? last : found,
    }
    starts.set(key, Math.min(last, Math.max(first, wanted[start.kind])))
  }
  return starts
}
