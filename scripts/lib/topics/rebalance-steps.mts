/** The steps of a rebalance. Each can be repeated after an interruption. */
import { setTimeout as delay } from 'node:timers/promises'
import { showProgress } from '../command/progress.mts'
import { waitUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { metadata, type Outcome } from '../kafka/cluster-requests.mts'
import { RETRIABLE, RETRY_MS, sendOrThrow } from '../kafka/controller.mts'
import { readLogDirs } from '../kafka/log-dirs.mts'
import {
  alterReassignments,
  electPreferredLeaders,
  nameOf,
  type Outcomes,
  type TopicPartition,
} from '../kafka/reassignment-requests.mts'
import type { RetryingCluster } from '../kafka/retrying-cluster.mts'
import { bytesAt, electionsOf, readReassignments, sizeOf } from './rebalance-plan.mts'

/** A partition that is being reassigned, and the brokers that get a replica. */
interface MovingPartition extends TopicPartition {
  adding: readonly number[]
}

/** Returns the ids of the brokers that are up. */
export const upIn = async (cluster: Cluster): Promise<number[]> =>
  (await cluster.send(metadata)).brokers.map(({ id }) => id)

const alter = (link: RetryingCluster, moves: Parameters<typeof alterReassignments>[0]): Promise<Outcomes> =>
  link.use((cluster) => sendOrThrow(cluster, alterReassignments(moves)))

/** Starts the moves. Returns those that Kafka refuses, with its reason. */
export async function submit(
  link: RetryingCluster,
  moves: readonly (TopicPartition & { to: readonly number[] })[],
  timeoutMs: number,
): Promise<Map<string, Outcome>> {
  const refused = new Map<string, Outcome>()
  let left = [...moves]
  const ask = async () => {
    const { partitions } = await alter(link, left)
    for (const move of left) refused.set(nameOf(move), partitions.get(nameOf(move)) ?? { error: 'NONE', message: null })
    left = left.filter((move) => RETRIABLE.includes(refused.get(nameOf(move))?.error ?? ''))
    return left.length === 0
  }
  if (left.length > 0) await waitUntil(ask, { timeoutMs, pollMs: RETRY_MS })
  return new Map([...refused].filter(([, { error }]) => error !== 'NONE'))
}

/** Returns those of these partitions that are still being reassigned. */
async function stillMoving<T extends TopicPartition>(link: RetryingCluster, partitions: readonly T[]): Promise<T[]> {
  const names = new Set((await link.use(readReassignments)).map(nameOf))
  return partitions.filter((each) => names.has(nameOf(each)))
}

/** Milliseconds between progress checks, each of which lists every replica on all disks. */
const CHECK_MS = 1_000

/**
 * Waits until these partitions have moved. Returns false when `stopped` returns true, or without progress for `timeoutMs`.
 * @param options.log called with the progress occasionally where there is no terminal
 */
export async function waitForMoves(
  link: RetryingCluster,
  partitions: readonly MovingPartition[],
  { timeoutMs, log, stopped }: { timeoutMs: number; log: (line: string) => void; stopped: () => boolean },
): Promise<boolean> {
  const progress = showProgress(log)
  let seen = ''
  let changedMs = performance.now()
  try {
    while (!stopped()) {
      const left = await stillMoving(link, partitions)
      if (left.length === 0) return true
      const { copied, total, mark, down } = await progressOf(link, partitions, left)
      if (mark !== seen) changedMs = performance.now()
      else if (performance.now() - changedMs > timeoutMs) return false
      seen = mark
      const brokers = down.length > 0 ? `; down: ${down.join(', ')}` : ''
      const text = `${partitions.length - left.length} of ${partitions.length} partitions moved${brokers}`
      progress.show(total > 0 ? copied / total : undefined, text)
      await delay(CHECK_MS)
    }
    return false
  } finally {
    progress.clear()
  }
}

/**
 * Returns the total bytes of the new replicas and the bytes copied so far, without brokers that do not report sizes; `mark`, which changes
 * with any progress; and the brokers that get replicas and are down. Replicas in sync do not count for `mark`: they grow with new records.
 */
async function progressOf(
  link: RetryingCluster,
  partitions: readonly MovingPartition[],
  left: readonly MovingPartition[],
) {
  const { brokers, topics, disks } = await link.use(async (cluster) => {
    const { brokers, topics } = await cluster.send(metadata)
    return { brokers, topics, disks: await readLogDirs(cluster, brokers).catch(() => new Map()) }
  })
  const inSync = new Map(
    topics.flatMap(({ name, partitions }) =>
      partitions.map((each) => [nameOf({ topic: name, partition: each.index }), each.inSync]),
    ),
  )
  let [copied, total, lagging, laggingBytes] = [0, 0, 0, 0]
  for (const each of partitions) {
    const size = sizeOf(each, disks) ?? 0
    total += size * each.adding.length
    if (!left.includes(each)) copied += size * each.adding.length
    else
      for (const id of each.adding) {
        const bytes = bytesAt(disks.get(id) ?? [], each)
        copied += Math.min(size, bytes)
        if (inSync.get(nameOf(each))?.includes(id)) continue
        laggingBytes += bytes
        lagging++
      }
  }
  const up = new Set(brokers.map(({ id }) => id))
  const down = [...new Set(left.flatMap(({ adding }) => adding))].filter((id) => !up.has(id)).sort((a, b) => a - b)
  return { copied, total, mark: `${left.length} ${lagging} ${laggingBytes}`, down }
}

/** Cancels unfinished reassignments, so that the partitions stay where they were. Returns whether none of them is left. */
export async function cancel(link: RetryingCluster, partitions: readonly TopicPartition[], timeoutMs: number) {
  const isCancelled = async () => {
    const left = await stillMoving(link, partitions)
    if (left.length === 0) return true
    await alter(
      link,
      left.map(({ topic, partition }) => ({ topic, partition, to: null })),
    )
    return false
  }
  return (await waitUntil(isCancelled, { timeoutMs, pollMs: RETRY_MS })) === true
}

/** Milliseconds to wait for leaders to change. */
const ELECTION_MS = 10_000

/** Makes the preferred brokers lead these topics' partitions where they are in sync. */
export async function elect(link: RetryingCluster, isChosen: (topic: string) => boolean): Promise<void> {
  const led = () =>
    link.use(async (cluster) => {
      const { topics } = await cluster.send(metadata)
      const elections = electionsOf(topics.filter(({ name }) => isChosen(name)))
      if (elections.length === 0) return true
      await sendOrThrow(cluster, electPreferredLeaders(elections))
      return false
    })
  await waitUntil(led, { timeoutMs: ELECTION_MS, pollMs: RETRY_MS })
}
