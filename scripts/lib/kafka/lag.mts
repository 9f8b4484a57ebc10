/** Consumer group positions and lag. */
import { readUntil } from '../common/wait.mts'
import type { Cluster } from './cluster.mts'
import { metadata, type TopicMetadata } from './cluster-requests.mts'
import { type GroupReading, isTransient, readGroups } from './groups.mts'
import { type Offsets, readOffsets } from './offsets.mts'

export interface PartitionLag {
  /**
   * Records between the committed offset and the end of the partition. If nothing is committed, or the committed offset is no longer
   * retained, all records of the partition: what a group reads that starts at the first record.
   */
  lag: number
  /** Whether nothing is committed. */
  uncommitted: boolean
  /** Records by which the committed offset exceeds the end, as after the topic was deleted and recreated. The next fetch fails. */
  ahead: number
}

/** Returns a group's lag in a partition; undefined if an offset needed for it is unknown. */
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

/** A group's position in a partition. Values that Kafka does not report are undefined. */
export interface GroupPosition {
  topic: string
  partition: number
  /** Also undefined if nothing is committed. */
  committed: number | undefined
  low: number | undefined
  high: number | undefined
  behind: PartitionLag | undefined
}

export interface GroupPositions extends Pick<GroupReading, 'id' | 'state' | 'protocol' | 'members' | 'subscribed'> {
  /** `NONE`, or why its committed offsets, or the ends of its partitions, could not all be read. */
  error: string
  /** Partitions of the topics that it commits for or that are assigned to its members; none for a group that commits elsewhere. */
  partitions: GroupPosition[]
}

export interface Positions {
  /** `NONE`, or why the list of groups is incomplete. */
  error: string
  groups: GroupPositions[]
}

export interface GroupLag {
  group: string
  /** See {@link GroupPositions}. */
  error: string
  /** Records, summed over its partitions. */
  lag: number
  /** Those of `lag` that are in partitions with nothing committed. */
  uncommitted: number
  /** Records by which the committed offset exceeds the end, by `topic/partition`. */
  ahead: Map<string, number>
}

export interface Lags {
  /** `NONE`, or why the list of groups is incomplete. */
  error: string
  groups: GroupLag[]
}

/**
 * Reads the position of every group in its partitions; groups that are not consumers have none. Retries transient errors for up to `waitMs`;
 * one that remains is in `error`.
 * @throws {OpsError} exit code 3 if a broker does not answer
 */
export async function readPositions(cluster: Cluster, waitMs: number): Promise<Positions> {
  return readUntil(
    () => readOnce(cluster),
    (read) => !isTransient(read),
    { timeoutMs: waitMs, pollMs: 100 },
  )
}

/** Whether a group commits offsets in Kafka; other protocols, such as Kafka Connect's, commit elsewhere. */
export const isConsumer = ({ protocol }: Pick<GroupReading, 'protocol'>) => protocol === 'consumer' || protocol === ''

async function readOnce(cluster: Cluster): Promise<Positions> {
  const { error, groups } = await readGroups(cluster)
  const names = new Set(groups.filter(isConsumer).flatMap(topicsOf))
  // Deleted topics are left out: nothing of them remains to be read.
  const topics = (await cluster.send(metadata)).topics.filter(({ name }) => names.has(name))
  const [high, low] = await Promise.all([readOffsets(cluster, 'high', topics), readOffsets(cluster, 'low', topics)])
  return { error, groups: groups.map((group) => positionsOf(group, topics, { high, low })) }
}

/** Returns the topics that a group commits for or that are assigned to its members. */
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
  const names = isConsumer(group) ? topicsOf(group) : []
  const partitions = topics
    .filter(({ name }) => names.includes(name))
    .flatMap(({ name, partitions: all }) => all.map(({ index }) => ({ topic: name, partition: index })))
    .map(({ topic, partition }): GroupPosition => {
      const key = `${topic}/${partition}`
      const offsets = { committed: committed.get(key), low: low.get(key)?.offset, high: high.get(key)?.offset }
      return { topic, partition, ...offsets, behind: partitionLag(offsets.committed, offsets.low, offsets.high) }
    })
  // Assignments are unknown during a rebalance; a group with committed offsets can be reported without them.
  const joining = group.committed.length === 0 && group.state.endsWith('Rebalance')
  const open = partitions.some(({ behind }) => behind === undefined)
  const unknown = joining ? 'REBALANCE_IN_PROGRESS' : open ? 'LEADER_NOT_AVAILABLE' : 'NONE'
  const { id, state, protocol, members, subscribed } = group
  return { id, state, protocol, members, subscribed, error: group.error === 'NONE' ? unknown : group.error, partitions }
}

/** Sums up the partitions of each consumer group. */
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
