/** How far consumer groups are behind. */
import { readUntil } from '../common/wait.mts'
import type { Cluster } from './cluster.mts'
import { metadata, type TopicMetadata } from './cluster-requests.mts'
import { type GroupReading, isPassing, readGroups } from './groups.mts'
import { type Offsets, readOffsets } from './offsets.mts'

export interface PartitionLag {
  /**
   * Records between the committed offset and the end of the partition. Where nothing is committed, or what was committed has expired, all
   * that the partition keeps: so many a group has before it that begins at the first record.
   */
  lag: number
  /** Whether nothing is committed. */
  uncommitted: boolean
  /** Records by which the committed offset lies above the end, as after the topic was deleted and created again: the next fetch fails. */
  ahead: number
}

/** How far a group is behind in a partition; undefined where an offset that this takes is not known. */
export function partitionLag(
  committed: number | undefined,
  low: number | undefined,
  high: number | undefined,
): PartitionLag | undefined {
  const from = committed ?? low
  if (from === undefined || high === undefined) return undefined
  return {
    lag: Math.max(0, high - Math.max(from, low ?? 0)),
    uncommitted: committed === undefined,
    ahead: Math.max(0, (committed ?? 0) - high),
  }
}

/** A partition and how far a group is in it; what Kafka does not report is undefined. */
export interface GroupPosition {
  topic: string
  partition: number
  /** Undefined also where nothing is committed. */
  committed: number | undefined
  low: number | undefined
  high: number | undefined
  behind: PartitionLag | undefined
}

export interface GroupPositions extends Pick<GroupReading, 'id' | 'state' | 'protocol' | 'members' | 'subscribed'> {
  /** `NONE`, or why what it has committed, or an end of its partitions, could not be read. */
  error: string
  /** The partitions of the topics that it commits for or that its members are assigned; none of one that commits elsewhere. */
  partitions: GroupPosition[]
}

export interface Positions {
  /** `NONE`, or why the list of groups is not whole. */
  error: string
  groups: GroupPositions[]
}

export interface GroupLag {
  group: string
  /** As of {@link GroupPositions}. */
  error: string
  /** Records, over its partitions. */
  lag: number
  /** Of these, the ones of partitions for which nothing is committed. */
  uncommitted: number
  /** The partitions, as `topic/partition`, whose committed offset lies above their end, and by how many records. */
  ahead: Map<string, number>
}

export interface Lags {
  /** `NONE`, or why the list of groups is not whole. */
  error: string
  groups: GroupLag[]
}

/**
 * Every group, and how far it is in its partitions; those that are no consumers have none. Asks again for `waitMs` while the brokers are not
 * ready to say; what is open then, `error` says.
 * @throws {OpsError} exit code 3, when a broker gives no answer
 */
export async function readPositions(cluster: Cluster, waitMs: number): Promise<Positions> {
  return readUntil(
    () => readOnce(cluster),
    (read) => !isPassing(read),
    { timeoutMs: waitMs, pollMs: 100 },
  )
}

/** Other protocols, such as Connect's, commit elsewhere. */
const isConsumer = ({ protocol }: Pick<GroupReading, 'protocol'>) => protocol === 'consumer' || protocol === ''

async function readOnce(cluster: Cluster): Promise<Positions> {
  const { error, groups } = await readGroups(cluster)
  const names = new Set(groups.filter(isConsumer).flatMap(topicsOf))
  // Topics that are gone leave nothing to read.
  const topics = (await cluster.send(metadata)).topics.filter(({ name }) => names.has(name))
  const [high, low] = await Promise.all([readOffsets(cluster, 'high', topics), readOffsets(cluster, 'low', topics)])
  return { error, groups: groups.map((group) => positionsOf(group, topics, { high, low })) }
}

/** Those that a group commits for, or that its members are assigned. */
const topicsOf = ({ committed, assigned }: GroupReading): string[] => [
  ...committed.map((each) => each.topic),
  ...assigned,
]

function positionsOf(
  group: GroupReading,
  topics: readonly TopicMetadata[],
  { high, low }: { high: Offsets; low: Offsets },
): GroupPositions {
  const committed = new Map(group.committed.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]))
  const own = isConsumer(group) ? topicsOf(group) : []
  const partitions = topics
    .filter(({ name }) => own.includes(name))
    .flatMap(({ name, partitions: all }) => all.map(({ index }) => ({ topic: name, partition: index })))
    .map((place): GroupPosition => {
      const key = `${place.topic}/${place.partition}`
      const offsets = { committed: committed.get(key), low: low.get(key)?.offset, high: high.get(key)?.offset }
      return { ...place, ...offsets, behind: partitionLag(offsets.committed, offsets.low, offsets.high) }
    })
  // What is committed says enough while the members are about to be assigned partitions.
  const joining = group.committed.length === 0 && group.state.endsWith('Rebalance')
  const open = partitions.some(({ behind }) => behind === undefined)
  const unknown = joining ? 'REBALANCE_IN_PROGRESS' : open ? 'LEADER_NOT_AVAILABLE' : 'NONE'
  const { id, state, protocol, members, subscribed } = group
  return { id, state, protocol, members, subscribed, error: group.error === 'NONE' ? unknown : group.error, partitions }
}

/** Each consumer group's partitions together. */
export function lagsOf({ error, groups }: Positions): Lags {
  return {
    error,
    groups: groups.filter(isConsumer).map(({ id, error: failure, partitions }) => {
      const lags = partitions.map(({ topic, partition, behind }) => ({ key: `${topic}/${partition}`, ...behind }))
      const sum = (which: typeof lags) => which.reduce((total, { lag = 0 }) => total + lag, 0)
      return {
        group: id,
        error: failure,
        lag: sum(lags),
        uncommitted: sum(lags.filter(({ uncommitted }) => uncommitted)),
        ahead: new Map(lags.flatMap(({ key, ahead = 0 }) => (ahead > 0 ? [[key, ahead]] : []))),
      }
    }),
  }
}
