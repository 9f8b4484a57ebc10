/** What consumer groups do: how far behind they are, how fast they go, and when they have caught up. */
import type { GroupPosition, GroupPositions } from '../kafka/lag.mts'

export interface PartitionStatus {
  partition: number
  /** null where nothing is committed. */
  committed: number | null
  /** High watermark; null where Kafka does not report it. */
  end: number | null
  /** Records; null where Kafka does not report an offset that it takes. */
  lag: number | null
}

export interface TopicStatus {
  topic: string
  /** Records, over the partitions; null where that of one is not known. */
  lag: number | null
  /** Records a second that the group commits, and that producers add, between the two looks. */
  consumedPerSecond: number
  producedPerSecond: number
  /** Seconds until the lag is 0 at this pace; null where it does not shrink, or is not known. */
  catchUpSeconds: number | null
  partitions: PartitionStatus[]
}

export interface GroupStatus extends Pick<GroupPositions, 'state' | 'protocol' | 'members'> {
  group: string
  topics: TopicStatus[]
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/**
 * The status of a group from two looks at it. A consumer that commits less often than the looks seems to stand still, or to leap.
 * @param before undefined for a group that was not there then
 * @param seconds between the looks
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
      const own = after.partitions.filter((each) => each.topic === topic).sort((a, b) => a.partition - b.partition)
      const perSecond = (of: 'committed' | 'high') => {
        const steps = own.map((now) => step(earlier.get(`${topic}/${now.partition}`)?.[of], now[of]))
        return sum(steps) / seconds
      }
      const lags = own.map(({ behind }) => behind?.lag)
      const lag = lags.includes(undefined) ? null : sum(lags.map((each) => each ?? 0))
      const [consumed, produced] = [perSecond('committed'), perSecond('high')]
      return {
        topic,
        lag,
        consumedPerSecond: Math.round(consumed),
        producedPerSecond: Math.round(produced),
        catchUpSeconds: catchUp(lag, consumed - produced),
        partitions: own.map(partitionStatus),
      }
    }),
  }
}

/** Records between two offsets; an offset that went back, as by a reset, is no record. */
const step = (from: number | undefined, to: number | undefined): number =>
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
