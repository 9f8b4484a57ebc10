/** What a rebalance of topics would move, from where to where, and what an earlier one left. */
import { readUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { type Metadata, metadata } from '../kafka/cluster-requests.mts'
import { askWhole } from '../kafka/controller.mts'
import { type LogDir, readLogDirs } from '../kafka/log-dirs.mts'
import { listReassignments, type Reassignment, type TopicPartition } from '../kafka/reassignment-requests.mts'
import { type ConfigValue, describeTopicConfigs } from '../kafka/topic-requests.mts'
import { type DeclaredTopic, MIN_IN_SYNC } from './file.mts'
import { type Move, type PlacedTopic, planPlacement } from './placement.mts'
import { THROTTLED } from './throttle.mts'

export interface SizedMove extends Move {
  /** To be copied over the network; undefined where the brokers do not say. */
  bytes: number | undefined
}

export interface RebalancePlan {
  moves: SizedMove[]
  /** Partitions of these topics that are being moved already. */
  moving: Reassignment[]
  /** Topics of which others are being moved. */
  others: string[]
  /** Partitions whose first copy is in sync and does not lead. */
  elections: (TopicPartition & { from: number; to: number })[]
  /** Topics whose replication is throttled. */
  throttled: string[]
  /** Ids of brokers that hold copies, or the only one of a partition on its way, and are down: nothing is moved meanwhile. */
  down: number[]
  /** Topics that are not moved: they would have fewer copies than must be in sync, and some brokers then refuse records. */
  unsafe: { topic: string; inSync: number; replication: number }[]
}

/** A topic's partitions with the brokers that are to hold them once what is being moved has arrived. */
export function placedTopics(
  topics: Metadata['topics'],
  declared: readonly DeclaredTopic[],
  only: readonly string[],
  moving: readonly Reassignment[] = [],
): PlacedTopic[] {
  return declared.flatMap(({ name, replication }): PlacedTopic[] => {
    const found = topics.find((topic) => topic.name === name)
    if (!found) return []
    const sorted = found.partitions.toSorted((a, b) => a.index - b.index)
    const partitions = sorted.map(({ index, replicas }) => {
      const move = moving.find(({ topic, partition }) => topic === name && partition === index)
      return { index, replicas: replicas.filter((id) => !move?.removing.includes(id)) }
    })
    return [{ name, replication: only.length === 0 || only.includes(name) ? replication : undefined, partitions }]
  })
}

/**
 * What would make the copies of the declared topics as many as declared and even over the brokers. Changes nothing.
 * @param only moves these topics; all for none
 * @throws {OpsError} exit code 2 where the login may not see what is being moved
 */
export async function readRebalance(
  cluster: Cluster,
  declared: readonly DeclaredTopic[],
  only: readonly string[],
): Promise<RebalancePlan> {
  const read = () => readOnce(cluster, declared, only)
  // What is moved has more copies until it has arrived, and the broker that is asked may hear of that later than the controller.
  return readUntil(read, ({ unsafe }) => unsafe.length === 0, { timeoutMs: HEARD_MS, pollMs: 250 })
}

/** Milliseconds after which a broker has heard of what the controller says. */
const HEARD_MS = 3_000

async function readOnce(
  cluster: Cluster,
  declared: readonly DeclaredTopic[],
  only: readonly string[],
): Promise<RebalancePlan> {
  // In this order: what ends between the two is then a move to where it is already.
  const under = await readReassignments(cluster)
  const { brokers, topics } = await cluster.send(metadata)
  const chosen = (name: string) => isChosen(name, declared, only)
  const moving = under.filter(({ topic }) => chosen(topic))
  const others = [...new Set(under.map(({ topic }) => topic).filter((name) => !chosen(name)))]
  const placed = placedTopics(topics, declared, only, moving)
  const present = placed.map(({ name }) => name).filter(chosen)
  const [configs, disks] = await Promise.all([
    present.length > 0 ? cluster.send(describeTopicConfigs(present)) : new Map(),
    readLogDirs(cluster, brokers),
  ])
  const up = new Set(brokers.map(({ id }) => id))
  const named = placed.filter(({ name }) => chosen(name)).flatMap(({ partitions }) => partitions)
  const leaderless = topics
    .filter(({ name }) => chosen(name))
    .flatMap(({ partitions }) => partitions.filter(({ leader }) => leader < 0))
  const down = new Set([...named, ...leaderless].flatMap(({ replicas }) => replicas).filter((id) => !up.has(id)))
  const unsafe = declared.flatMap(({ name, replication, config }) => {
    const inSync = Number(config[MIN_IN_SYNC] ?? configs.get(name)?.get(MIN_IN_SYNC)?.value ?? 1)
    const partitions = placed.find((topic) => topic.name === name && chosen(name))?.partitions ?? []
    const loses = partitions.some(({ replicas }) => replicas.length > replication)
    return loses && inSync > replication ? [{ topic: name, inSync, replication }] : []
  })
  const isSafe = (name: string) => !unsafe.some(({ topic }) => topic === name)
  const movable = placed.map((topic) => (isSafe(topic.name) ? topic : { ...topic, replication: undefined }))
  const moves = planPlacement(brokers, movable)
  return {
    moves: moves.map((move) => ({ ...move, bytes: bytesOf(move, disks) })),
    moving,
    others,
    elections: electionsOf(topics.filter(({ name }) => chosen(name))),
    throttled: present.filter((name) => isThrottled(configs.get(name))),
    down: [...down].sort((a, b) => a - b),
    unsafe,
  }
}

/** Whether a topic of this configuration has a list of throttled copies. */
export const isThrottled = (config: ReadonlyMap<string, ConfigValue> | undefined): boolean =>
  THROTTLED.some((key) => Boolean(config?.get(key)?.value))

/** Whether a topic is one of the declared, and of `only` where there are any. */
export const isChosen = (name: string, declared: readonly DeclaredTopic[], only: readonly string[]): boolean =>
  declared.some((topic) => topic.name === name) && (only.length === 0 || only.includes(name))

/** Every partition of the cluster that is being moved. @throws {Error} when the controller cannot say */
export async function readReassignments(cluster: Cluster): Promise<Reassignment[]> {
  return (await askWhole(cluster, listReassignments)).moving
}

/** Partitions that another broker than the first of their copies leads, though that is in sync. */
export function electionsOf(topics: Metadata['topics']): RebalancePlan['elections'] {
  return topics.flatMap(({ name, partitions }) =>
    partitions.flatMap(({ index, leader, replicas: [first = -1], inSync }) =>
      leader >= 0 && leader !== first && inSync.includes(first)
        ? [{ topic: name, partition: index, from: leader, to: first }]
        : [],
    ),
  )
}

/** Bytes of a partition by the copy that has most. */
export function sizeOf({ topic, partition }: TopicPartition, disks: ReadonlyMap<number, readonly LogDir[]>) {
  const sizes = [...disks.values()].flatMap((dirs) => copies(dirs, { topic, partition }))
  return sizes.length > 0 ? Math.max(...sizes) : undefined
}

/** Bytes that one broker has of a partition. */
export const bytesAt = (dirs: readonly LogDir[], partition: TopicPartition): number =>
  copies(dirs, partition).reduce((most, each) => Math.max(most, each), 0)

const copies = (dirs: readonly LogDir[], { topic, partition }: TopicPartition): number[] =>
  dirs.flatMap(({ replicas }) =>
    replicas.filter((each) => each.topic === topic && each.partition === partition).map(({ bytes }) => bytes),
  )

function bytesOf({ from, to, ...partition }: Move, disks: ReadonlyMap<number, readonly LogDir[]>): number | undefined {
  const added = to.filter((id) => !from.includes(id)).length
  const size = sizeOf(partition, disks)
  return added === 0 ? 0 : size === undefined ? undefined : added * size
}
