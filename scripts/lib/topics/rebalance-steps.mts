/** The steps of a rebalance. Each may be done again after an interruption. */
import { setTimeout as delay } from 'node:timers/promises'
import { showProgress } from '../command/progress.mts'
import { waitUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { metadata, type Outcome } from '../kafka/cluster-requests.mts'
import { ASK_AGAIN_MS, askWhole, NOT_NOW } from '../kafka/controller.mts'
import { readLogDirs } from '../kafka/log-dirs.mts'
import {
  alterReassignments,
  electPreferredLeaders,
  nameOf,
  type Outcomes,
  type TopicPartition,
} from '../kafka/reassignment-requests.mts'
import type { SteadyCluster } from '../kafka/retrying-cluster.mts'
import { bytesAt, electionsOf, readReassignments, sizeOf } from './rebalance-plan.mts'

/** A partition on its way, and the brokers that get a copy. */
export interface UnderWay extends TopicPartition {
  adding: readonly number[]
}

/** Ids of the brokers that are up. */
export const upIn = async (cluster: Cluster): Promise<number[]> =>
  (await cluster.send(metadata)).brokers.map(({ id }) => id)

const alter = (link: SteadyCluster, moves: Parameters<typeof alterReassignments>[0]): Promise<Outcomes> =>
  link.use((cluster) => askWhole(cluster, alterReassignments(moves)))

/** Begins the moves. Returns those that Kafka refuses, with its reason. */
export async function submit(
  link: SteadyCluster,
  moves: readonly (TopicPartition & { to: readonly number[] })[],
  timeoutMs: number,
): Promise<Map<string, Outcome>> {
  const refused = new Map<string, Outcome>()
  let left = [...moves]
  const ask = async () => {
    const { partitions } = await alter(link, left)
    for (const move of left) refused.set(nameOf(move), partitions.get(nameOf(move)) ?? { error: 'NONE', message: null })
    left = left.filter((move) => NOT_NOW.includes(refused.get(nameOf(move))?.error ?? ''))
    return left.length === 0
  }
  if (left.length > 0) await waitUntil(ask, { timeoutMs, pollMs: ASK_AGAIN_MS })
  return new Map([...refused].filter(([, { error }]) => error !== 'NONE'))
}

/** Those of these partitions that are still being moved. */
async function stillMoving<T extends TopicPartition>(link: SteadyCluster, under: readonly T[]): Promise<T[]> {
  const names = new Set((await link.use(readReassignments)).map(nameOf))
  return under.filter((each) => names.has(nameOf(each)))
}

/** Milliseconds between two looks at what is copied: each lists every copy on all disks. */
const LOOK_MS = 1_000

/**
 * True when these partitions have arrived; false when `stopped` says so, or when nothing has moved for `timeoutMs`.
 * @param options.log called with the progress now and then, off a terminal
 */
export async function arrival(
  link: SteadyCluster,
  under: readonly UnderWay[],
  { timeoutMs, log, stopped }: { timeoutMs: number; log: (line: string) => void; stopped: () => boolean },
): Promise<boolean> {
  const progress = showProgress(log)
  let seen = ''
  let changedMs = performance.now()
  try {
    while (!stopped()) {
      const left = await stillMoving(link, under)
      if (left.length === 0) return true
      const { copied, whole, mark, away } = await progressOf(link, under, left)
      if (mark !== seen) changedMs = performance.now()
      else if (performance.now() - changedMs > timeoutMs) return false
      seen = mark
      const down = away.length > 0 ? `; down: ${away.join(', ')}` : ''
      const text = `${under.length - left.length} of ${under.length} partitions moved${down}`
      progress.show(whole > 0 ? copied / whole : undefined, text)
      await delay(LOOK_MS)
    }
    return false
  } finally {
    progress.clear()
  }
}

/**
 * Bytes of the new copies, and how many of them are there; nothing of a broker that does not say. `mark` changes while something moves: a copy
 * that is in sync grows with what is sent, and that is none; `away` are brokers that get copies and are down.
 */
async function progressOf(link: SteadyCluster, under: readonly UnderWay[], left: readonly UnderWay[]) {
  const { brokers, topics, disks } = await link.use(async (cluster) => {
    const { brokers, topics } = await cluster.send(metadata)
    return { brokers, topics, disks: await readLogDirs(cluster, brokers).catch(() => new Map()) }
  })
  const inSync = new Map(
    topics.flatMap(({ name, partitions }) =>
      partitions.map((each) => [nameOf({ topic: name, partition: each.index }), each.inSync]),
    ),
  )
  let [copied, whole, behind, late] = [0, 0, 0, 0]
  for (const each of under) {
    const size = sizeOf(each, disks) ?? 0
    whole += size * each.adding.length
    if (!left.includes(each)) copied += size * each.adding.length
    else
      for (const id of each.adding) {
        const bytes = bytesAt(disks.get(id) ?? [], each)
        copied += Math.min(size, bytes)
        if (inSync.get(nameOf(each))?.includes(id)) continue
        behind += bytes
        late++
      }
  }
  const up = new Set(brokers.map(({ id }) => id))
  const away = [...new Set(left.flatMap(({ adding }) => adding))].filter((id) => !up.has(id)).sort((a, b) => a - b)
  return { copied, whole, mark: `${left.length} ${late} ${behind}`, away }
}

/** Takes back what has not arrived: those partitions stay where they were. True when nothing of it moves any more. */
export async function cancel(link: SteadyCluster, under: readonly TopicPartition[], timeoutMs: number) {
  const quiet = async () => {
    const left = await stillMoving(link, under)
    if (left.length === 0) return true
    await alter(
      link,
      left.map(({ topic, partition }) => ({ topic, partition, to: null })),
    )
    return false
  }
  return (await waitUntil(quiet, { timeoutMs, pollMs: ASK_AGAIN_MS })) === true
}

/** Milliseconds that leaders get to change. */
const ELECTION_MS = 10_000

/** Lets the first copies of these topics' partitions lead, where they are in sync. */
export async function elect(link: SteadyCluster, isChosen: (topic: string) => boolean): Promise<void> {
  const led = () =>
    link.use(async (cluster) => {
      const { topics } = await cluster.send(metadata)
      const elections = electionsOf(topics.filter(({ name }) => isChosen(name)))
      if (elections.length === 0) return true
      await askWhole(cluster, electPreferredLeaders(elections))
      return false
    })
  await waitUntil(led, { timeoutMs: ELECTION_MS, pollMs: ASK_AGAIN_MS })
}
