/** Places in topics as people name them: the ends, a time, or an offset. */
import { parseTime } from '../common/time.mts'
import type { Cluster } from './cluster.mts'
import type { TopicMetadata } from './cluster-requests.mts'
import type { Offsets } from './offsets.mts'

export type Start =
  | { kind: 'earliest' | 'latest' }
  | { kind: 'offset'; offset: number }
  /** The first record with this timestamp or a later one. */
  | { kind: 'time'; timeMs: number }

/** For help and messages. */
export const START_FORMS =
  'earliest, latest, an offset such as 42, a time such as 2026-11-23T14:30, or an age such as -5m'

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * A place: `earliest`, `latest`, an offset (digits), an age (`-90s`, `-5m`, `-1h`, `-2d`), or a time as {@link parseTime} reads it.
 * @param nowMs what ages are counted from
 * @throws {RangeError} for anything else
 */
export function parseStart(text: string, nowMs: number): Start {
  if (text === 'earliest' || text === 'latest') return { kind: text }
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return { kind: 'offset', offset: Number(text) }
  const [, amount, unit = ''] = /^-(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? []
  if (amount !== undefined)
    return { kind: 'time', timeMs: Math.max(0, Math.round(nowMs - Number(amount) * (UNIT_MS[unit] ?? 0))) }
  // Digits alone are an offset, so that they are no time here.
  if (/^\d*$/.test(text)) throw new RangeError(`"${text}"`)
  return { kind: 'time', timeMs: Math.floor(parseTime(text).us / 1000) }
}

/**
 * Where a place is in every partition of the topics, by `topic/partition`: between the first record and the end. Left out are partitions
 * that do not report their offsets.
 */
export async function readStarts(
  cluster: Cluster,
  start: Start,
  topics: readonly TopicMetadata[],
  { low, high }: { low: Offsets; high: Offsets },
): Promise<Map<string, number>> {
  // Where flags are parsed, with --help too, nothing asks Kafka yet.
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
