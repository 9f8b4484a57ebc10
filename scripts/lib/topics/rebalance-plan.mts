/** Plans a rebalance: the moves to make, and what an earlier rebalance left unfinished. */
import { readUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { type Metadata, metadata } from '../kafka/cluster-requests.mts'
import { sendOrThrow } from '../kafka/controller.mts'
import { type LogDir, readLogDirs } from '../kafka/log-dirs.mts'
import { listReassignments, type Reassignment, type TopicPartition } from '../kafka/reassignment-requests.mts'
import { describeTopicConfigs } from '../kafka/topic-requests.mts'
import { type DeclaredTopic, MIN_IN_SYNC } from './file.mts'
import { type Move, type PlacedTopic, planPlacement } from './placement.mts'
import { isThrottled } from './throttle.mts'

export interface SizedMove extends Move {
  /** Bytes to copy over the network; undefined if the brokers do not report sizes. */
  bytes: number | undefined
}

export interface RebalancePlan {
  moves: SizedMove[]
  /** Partitions of the chosen topics that are already being reassigned. */
  moving: Reassignment[]
  /** Topics that were not chosen and are being reassigned. */
  others: string[]
  /** Partitions that are not led by their preferred broker although it is in sync. */
  elections: (TopicPartition & { from: number; to: number })[]
  /** Topics whose replication is throttled. */
  throttled: string[]
  /**
   * Ids of brokers that are down and hold replicas of the chosen topics; replicas that are being removed count only if the partition has no
   * leader. Nothing is moved until these brokers are back.
   */
  down: number[]
  /** Topics that are not moved because they would have fewer replicas than min.insync.replicas, and some brokers then reject records. */
  unsafe: { topic: string; inSync: number; replication: number }[]
}

/** Returns the declared topics' partitions with the brokers that hold them once the reassignments in progress are complete. */
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
 * Plans the moves that give declared topics their declared replication and balance them over the brokers. Changes nothing.
 * @param only moves only these topics; all if empty
 * @throws {OpsError} exit code 2 if the user may not list reassignments
 */
export async function readRebalance(
  cluster: Cluster,
  declared: readonly DeclaredTopic[],
  only: readonly string[],
): Promise<RebalancePlan> {
  const read = () => readOnce(cluster, declared, only)
  // A partition that is moving has additional replicas, and this broker may learn that the move is complete later than the controller.
  return readUntil(read, ({ unsafe }) => unsafe.length === 0, { timeoutMs: PROPAGATION_MS, pollMs: 250 })
}

/** Milliseconds within which the controller's metadata reaches every broker. */
const PROPAGATION_MS = 3_000

async function readOnce(
  cluster: Cluster,
  declared: readonly DeclaredTopic[],
  only: readonly string[],
): Promise<RebalancePlan> {
  // In this order: a reassignment that completes between the two requests is then merely reported as a move to its current brokers.
  const reassignments = await readReassignments(cluster)
  const { brokers, topics } = await cluster.send(metadata)
  const chosen = (name: string) => isChosen(name, declared, only)
  const moving = reassignments.filter(({ topic }) => chosen(topic))
  const others = [...new Set(reassignments.map(({ topic }) => topic).filter((name) => !chosen(name)))]
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

/** Whether a topic is declared, and named in `only` unless that is empty. */
export const isChosen = (name: string, declared: readonly DeclaredTopic[], only: readonly string[]): boolean =>
  declared.some((topic) => topic.name === name) && (only.length === 0 || only.includes(name))

/** Returns every reassignment in progress in the cluster. @throws {ControllerNotReady} when the controller cannot answer */
export async function readReassignments(cluster: Cluster): Promise<Reassignment[]> {
  return (await sendOrThrow(cluster, listReassignments)).moving
}

/** Returns the partitions that are not led by their preferred broker although it is in sync. */
export function electionsOf(topics: Metadata['topics']): RebalancePlan['elections'] {
  return topics.flatMap(({ name, partitions }) =>
    partitions.flatMap(({ index, leader, replicas: [first = -1], inSync }) =>
      leader >= 0 && leader !== first && inSync.includes(first)
        ? [{ topic: name, partition: index, from: leader, to: first }]
        : [],
    ),
  )
}

/** Returns the bytes of a partition's largest replica, or undefined if no broker reports one. */
export function sizeOf(partition: TopicPartition, disks: ReadonlyMap<number, readonly LogDir[]>) {
  const sizes = [...disks.values()].flatMap((dirs) => replicaSizes(dirs, partition))
  return sizes.length > 0 ? Math.max(...sizes) : undefined
}

/** Returns the bytes that one broker stores of a partition. */
export const bytesAt = (dirs: readonly LogDir[], partition: TopicPartition): number =>
  Math.max(0, ...replicaSizes(dirs, partition))

const replicaSizes = (dirs: readonly LogDir[], { topic, partition }: TopicPartition): number[] =>
  dirs.flatMap(({ replicas }) =>
    replicas.filter((each) => each.topic === topic && each.partition === partition).map(({ bytes }) => bytes),
  )

function bytesOf({ from, to, ...partition }: Move, disks: ReadonlyMap<number, readonly LogDir[]>): number | undefined {
  const added = to.filter((id) => !from.includes(id)).length
  const size = sizeOf(partition, disks)
  return added === 0 ? 0 : size === undefined ? undefined : added * size
}
