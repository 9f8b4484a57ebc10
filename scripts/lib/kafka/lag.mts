/** How far consumer groups are behind. */
import { waitUntil } from '../common/wait.mts'
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

export interface GroupLag {
  group: string
  /** `NONE`, or why what it has committed, or an end of its partitions, could not be read. */
  error: string
  /** Records, over the partitions of the topics that it commits for or that its members are assigned. */
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
 * The lag of every consumer group. Asks again for `waitMs` while the brokers are not ready to say; what is open then, `error` says.
 * @throws {OpsError} exit code 3, when a broker gives no answer
 */
export async function readLags(cluster: Cluster, waitMs: number): Promise<Lags> {
  let lags: Lags = { error: 'NONE', groups: [] }
  const settled = async () => {
    lags = await readOnce(cluster)
    return !isPassing(lags)
  }
  await waitUntil(settled, { timeoutMs: waitMs, pollMs: 100 })
  return lags
}

async function readOnce(cluster: Cluster): Promise<Lags> {
  const { error, groups } = await readGroups(cluster)
  // Other protocols, such as Connect's, commit elsewhere.
  const consumers = groups.filter(({ protocol }) => protocol === 'consumer' || protocol === '')
  const names = new Set(consumers.flatMap(topicsOf))
  // Topics that are gone leave nothing to read.
  const topics = (await cluster.send(metadata)).topics.filter(({ name }) => names.has(name))
  const [high, low] = await Promise.all([readOffsets(cluster, 'high', topics), readOffsets(cluster, 'low', topics)])
  return { error, groups: consumers.map((group) => lagOf(group, topics, { high, low })) }
}

/** Those that a group commits for, or that its members are assigned. */
const topicsOf = ({ committed, assigned }: GroupReading): string[] => [
  ...committed.map((each) => each.topic),
  ...assigned,
]

function lagOf(
  group: GroupReading,
  topics: readonly TopicMetadata[],
  { high, low }: { high: Offsets; low: Offsets },
): GroupLag {
  const committed = new Map(group.committed.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]))
  const keys = topics
    .filter(({ name }) => topicsOf(group).includes(name))
    .flatMap(({ name, partitions }) => partitions.map(({ index }) => `${name}/${index}`))
  const lags = keys.map((key) => ({
    key,
    ...partitionLag(committed.get(key), low.get(key)?.offset, high.get(key)?.offset),
  }))
  const sum = (which: typeof lags) => which.reduce((total, { lag = 0 }) => total + lag, 0)
  // What is committed says enough while the members are about to be assigned partitions.
  const joining = group.committed.length === 0 && group.state.endsWith('Rebalance')
  const open = lags.some(({ lag }) => lag === undefined)
  const unknown = joining ? 'REBALANCE_IN_PROGRESS' : open ? 'LEADER_NOT_AVAILABLE' : 'NONE'
  return {
    group: group.id,
    error: group.error === 'NONE' ? unknown : group.error,
    lag: sum(lags),
    uncommitted: sum(lags.filter(({ uncommitted }) => uncommitted)),
    ahead: new Map(lags.flatMap(({ key, ahead = 0 }) => (ahead > 0 ? [[key, ahead]] : []))),
  }
}
