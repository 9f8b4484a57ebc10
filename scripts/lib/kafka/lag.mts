/** How far consumer groups are behind. By the plain protocol: health asks at every check, and importing kafkajs would cost more than that. */

import { waitUntil } from '../common/wait.mts'
import type { Cluster } from './cluster.mts'
import { findCoordinator, metadata, type TopicMetadata } from './cluster-requests.mts'
import { assignedTopics, committedOffsets, listGroups } from './offset-requests.mts'
import { readOffsets } from './offsets.mts'

export interface GroupLag {
  group: string
  /** `NONE`, or why what it has committed, or an end of its partitions, could not be told. */
  error: string
  /**
   * Records between its committed offsets and the ends of their partitions. Where nothing is committed, of a topic that it commits for or
   * that its members are assigned, all that the partition keeps: so many a group has before it that begins at the first record.
   */
  lag: number
  /** Of these, the ones of partitions for which nothing is committed. */
  uncommitted: number
}

export interface Lags {
  /** `NONE`, or why the list of groups is not whole. */
  error: string
  groups: GroupLag[]
}

/** Answers of a broker that has just started, or has just become coordinator or leader, and of a group that is about to begin. */
const PASSING = [
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REBALANCE_IN_PROGRESS',
]

/**
 * The lag of every consumer group. Asks again for `waitMs` while the brokers are not ready to say; what is open then, `error` tells.
 * @throws {OpsError} exit code 3, when a broker gives no answer
 */
export async function readLags(cluster: Cluster, waitMs: number): Promise<Lags> {
  let lags: Lags = { error: 'NONE', groups: [] }
  const settled = async () => {
    lags = await readOnce(cluster)
    return ![lags, ...lags.groups].some(({ error }) => PASSING.includes(error))
  }
  await waitUntil(settled, { timeoutMs: waitMs, pollMs: 100 })
  return lags
}

async function readOnce(cluster: Cluster): Promise<Lags> {
  const { brokers, topics } = await cluster.send(metadata)
  const lists = await Promise.all(brokers.map(({ id }) => cluster.sendTo(id, listGroups)))
  const positions = await Promise.all(lists.flatMap((list) => list.groups).map((group) => readPosition(cluster, group)))
  // Topics that are gone leave nothing to read.
  const known = (names: string[]) => topics.filter(({ name }) => names.includes(name))
  const [high, low] = await Promise.all([
    readOffsets(cluster, 'high', known(positions.flatMap((each) => each.topics))),
    readOffsets(cluster, 'low', known(positions.flatMap((each) => lacking(each, topics)))),
  ])
  return {
    error: lists.find(({ error }) => error !== 'NONE')?.error ?? 'NONE',
    groups: positions.map((position) => lagOf(position, known(position.topics), { high, low })),
  }
}

interface Position {
  group: string
  error: string
  /** Those that it commits for, or that its members are assigned. */
  topics: string[]
  /** By `topic/partition`. */
  committed: Map<string, number>
}

async function readPosition(cluster: Cluster, group: string): Promise<Position> {
  const coordinator = await cluster.send(findCoordinator(group))
  if (coordinator.error !== 'NONE') return { group, error: coordinator.error, topics: [], committed: new Map() }
  const [read, assigned] = await Promise.all([
    cluster.sendTo(coordinator.brokerId, committedOffsets(group)),
    cluster.sendTo(coordinator.brokerId, assignedTopics(group)),
  ])
  // -1: nothing committed.
  const own = read.offsets.filter(({ offset }) => offset >= 0)
  // What is committed tells enough while the members are about to be assigned anew.
  const unassigned = own.length > 0 ? 'NONE' : assigned.error
  return {
    group,
    error: read.error === 'NONE' ? unassigned : read.error,
    topics: [...new Set([...own.map(({ topic }) => topic), ...assigned.topics])],
    committed: new Map(own.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset])),
  }
}

const keysOf = ({ name, partitions }: TopicMetadata): string[] => partitions.map(({ index }) => `${name}/${index}`)

/** Names of the position's topics of which a partition has nothing committed. */
function lacking({ topics: names, committed }: Position, topics: readonly TopicMetadata[]): string[] {
  const short = topics.filter((topic) => names.includes(topic.name) && keysOf(topic).some((key) => !committed.has(key)))
  return short.map(({ name }) => name)
}

type Offsets = Awaited<ReturnType<typeof readOffsets>>

function lagOf(
  { group, error, committed }: Position,
  topics: readonly TopicMetadata[],
  { high, low }: { high: Offsets; low: Offsets },
): GroupLag {
  const lags = topics.flatMap(keysOf).map((key) => {
    const [own, end] = [committed.get(key), high.get(key)?.offset]
    const from = own ?? low.get(key)?.offset
    if (from === undefined || end === undefined) return { open: true, lag: 0, uncommitted: 0 }
    // Beyond the end: of a topic that was made anew.
    const lag = Math.max(0, end - from)
    return { open: false, lag, uncommitted: own === undefined ? lag : 0 }
  })
  const sum = (what: 'lag' | 'uncommitted') => lags.reduce((total, each) => total + each[what], 0)
  const open = lags.some((each) => each.open)
  return {
    group,
    error: error === 'NONE' && open ? 'LEADER_NOT_AVAILABLE' : error,
    lag: sum('lag'),
    uncommitted: sum('uncommitted'),
  }
}
