/** How far consumer groups are behind. By the plain protocol: health asks at every check, and importing kafkajs would cost more than that. */
import type { Cluster } from './kafka.mts'
import { findCoordinator, metadata } from './kafka-requests.mts'
import { committedOffsets, listGroups } from './offset-requests.mts'
import { readOffsets } from './topic-offsets.mts'
import { waitUntil } from './wait.mts'

export interface GroupLag {
  group: string
  /** `NONE`, or why what it has committed, or an end of its partitions, could not be told. */
  error: string
  /** Records between its committed offsets and the ends of their partitions. */
  lag: number
}

export interface Lags {
  /** `NONE`, or why the list of groups is not whole. */
  error: string
  groups: GroupLag[]
}

/** Answers of a broker that has just started, or has just become coordinator or leader. */
const PASSING = [
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
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
  const groups = await Promise.all(
    lists
      .flatMap((list) => list.groups)
      .map(async (group) => {
        const { error, brokerId } = await cluster.send(findCoordinator(group))
        if (error !== 'NONE') return { group, error, offsets: [] }
        return { group, ...(await cluster.sendTo(brokerId, committedOffsets(group))) }
      }),
  )
  const read = new Set(groups.flatMap(({ offsets }) => offsets.map(({ topic }) => topic)))
  const known = topics.filter(({ name }) => read.has(name))
  const ends = await readOffsets(cluster, 'high', known)
  // Offsets of a topic that is gone are behind nothing.
  const exists = new Set(known.flatMap(({ name, partitions }) => partitions.map(({ index }) => `${name}/${index}`)))
  return {
    error: lists.find(({ error }) => error !== 'NONE')?.error ?? 'NONE',
    groups: groups.map(({ group, error, offsets }) => {
      // -1: nothing committed.
      const own = offsets.filter(({ offset, ...at }) => offset >= 0 && exists.has(`${at.topic}/${at.partition}`))
      const lags = own.map(({ topic, partition, offset }) => {
        const end = ends.get(`${topic}/${partition}`)?.offset ?? offset
        // Beyond the end: of a topic that was made anew.
        return Math.max(0, end - offset)
      })
      const open = own.some(({ topic, partition }) => !ends.has(`${topic}/${partition}`))
      return {
        group,
        error: error === 'NONE' && open ? 'LEADER_NOT_AVAILABLE' : error,
        lag: lags.reduce((sum, lag) => sum + lag, 0),
      }
    }),
  }
}
