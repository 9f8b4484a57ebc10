/** Computes the status of consumer groups: lag, rates, and the time until they have caught up. */
import type { GroupPosition, GroupPositions } from '../kafka/lag.mts'

export interface PartitionStatus {
  partition: number
  /** null if nothing is committed. */
  committed: number | null
  /** High watermark; null if Kafka does not report it. */
  end: number | null
  /** Records; null if Kafka does not report an offset needed for it. */
  lag: number | null
}

export interface TopicStatus {
  topic: string
  /** Records, summed over the partitions; null if that of any partition is unknown. */
  lag: number | null
  /** Records per second that the group commits, and that producers add, between the two readings. */
  consumedPerSecond: number
  producedPerSecond: number
  /** Seconds until the lag is 0 at this pace; null if it does not shrink or is unknown. */
  catchUpSeconds: number | null
  partitions: PartitionStatus[]
}

export interface GroupStatus extends Pick<GroupPositions, 'state' | 'protocol' | 'members'> {
  group: string
  topics: TopicStatus[]
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/**
 * Returns the status of a group from two readings. A consumer that commits less often than it is read seems to stop or to jump.
 * @param before undefined if the group did not exist then
 * @param seconds between the readings
 */
export function statusOf(before: GroupPositions | undefined, after: GroupPositions, seconds: number): GroupStatus {
  const earlier = new Map((before?.partitions ?? []).map((each) => [`${each.topic}/${each.partition}`, each]))
  const names = [...new Set(after.partitions.map(({ topic }) => topic))].sort()
  return {
    group: after.id,
    state: after.state,
    protocol: after.protocol,
    members: after.members,
    topics: names.map((topic) => {
      const partitions = after.partitions
        .filter((each) => each.topic === topic)
        .sort((a, b) => a.partition - b.partition)
      const perSecond = (of: 'committed' | 'high') => {
        const records = partitions.map((now) => advance(earlier.get(`${topic}/${now.partition}`)?.[of], now[of]))
        return sum(records) / seconds
      }
      const lags = partitions.map(({ behind }) => behind?.lag)
      const lag = lags.includes(undefined) ? null : sum(lags.map((each) => each ?? 0))
      const [consumed, produced] = [perSecond('committed'), perSecond('high')]
      return {
        topic,
        lag,
        consumedPerSecond: Math.round(consumed),
        producedPerSecond: Math.round(produced),
        catchUpSeconds: catchUp(lag, consumed - produced),
        partitions: partitions.map(partitionStatus),
      }
    }),
  }
}

/** Returns the records between two offsets; 0 if the offset went back, as after a reset. */
const advance = (from: number | undefined, to: number | undefined): number =>
  from === undefined || to === undefined ? 0 : Math.max(0, to - from)

function catchUp(lag: number | null, shrinkPerSecond: number): number | null {
  if (lag === null || (lag > 0 && shrinkPerSecond <= 0)) return null
  return lag === 0 ? 0 : Math.ceil(lag / shrinkPerSecond)
}

const partitionStatus = ({ partition, committed, high, behind }: GroupPosition): PartitionStatus => ({
  partition,
  committed: committed ?? null,
  end: high ?? null,
  lag: behind?.lag ?? null,
})
