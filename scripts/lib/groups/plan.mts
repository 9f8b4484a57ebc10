/** What a reset of a group's offsets would move. */
import type { TopicMetadata } from '../kafka/cluster-requests.mts'
import type { CommittedOffset } from '../kafka/group-requests.mts'
import type { Offsets } from '../kafka/offsets.mts'

export interface Move {
  topic: string
  partition: number
  /** null where nothing is committed. */
  from: number | null
  to: number
  /** Of the first record that is kept. */
  low: number
  /** High watermark. */
  high: number
}

/**
 * The moves that bring a group to its new places: one a partition of the topics, those that move nothing too, in the order of topics and
 * partitions.
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

/** Records that the next reader of a partition reads a second time, and those that none reads. */
export function recordsMoved({ from, to, low, high }: Move): { again: number; skipped: number } {
  // Records before the first that is kept, and beyond the end, are none.
  const at = Math.min(high, Math.max(low, from ?? to))
  return { again: Math.max(0, at - to), skipped: Math.max(0, to - at) }
}
