/** Plans a reset of a group's offsets. */
import type { TopicMetadata } from '../kafka/cluster-requests.mts'
import type { CommittedOffset } from '../kafka/group-requests.mts'
import type { Offsets } from '../kafka/offsets.mts'

export interface Move {
  topic: string
  partition: number
  /** null if nothing is committed. */
  from: number | null
  to: number
  /** Offset of the first retained record. */
  low: number
  /** High watermark. */
  high: number
}

/**
 * Returns the moves that take a group to its targets, sorted by topic and partition. Partitions that are already at their target are included.
 * @param targets offsets by `topic/partition`; partitions without one are left out
 */
export function planMoves(
  topics: readonly TopicMetadata[],
  committed: readonly CommittedOffset[],
  targets: ReadonlyMap<string, number>,
  { low, high }: { low: Offsets; high: Offsets },
): Move[] {
  const moves = topics.flatMap(({ name: topic, partitions }) =>
    partitions.flatMap(({ index: partition }): Move[] => {
      const key = `${topic}/${partition}`
      const [to, first, end] = [targets.get(key), low.get(key)?.offset, high.get(key)?.offset]
      if (to === undefined || first === undefined || end === undefined) return []
      const from = committed.find((each) => each.topic === topic && each.partition === partition)?.offset ?? null
      return [{ topic, partition, from, to, low: first, high: end }]
    }),
  )
  return moves.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
}

export const isMoved = ({ from, to }: Move): boolean => from !== to

/** Returns how many records of a partition the next consumer reads again, and how many it skips. */
export function recordsMoved({ from, to, low, high }: Move): { again: number; skipped: number } {
  // Offsets before the first retained record or beyond the end have no records.
  const at = Math.min(high, Math.max(low, from ?? to))
  return { again: Math.max(0, at - to), skipped: Math.max(0, to - at) }
}
