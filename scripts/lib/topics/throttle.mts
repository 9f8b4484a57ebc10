/** Bounds what brokers copy while partitions move, so that producers and consumers keep their share of the network and disks. */
import { cannotTell, unknown } from '../common/findings.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { Outcome } from '../kafka/cluster-requests.mts'
import { askController, words } from '../kafka/controller.mts'
import type { Reassignment } from '../kafka/reassignment-requests.mts'
import { type ConfigEdit, editConfigs } from '../kafka/topic-requests.mts'
import type { Move } from './placement.mts'

/** Keys of a topic: the copies, as `partition:broker`, that are read and written no faster than the rate of their broker. */
export const THROTTLED = ['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas'] as const
/** Keys of a broker: bytes a second. */
const RATES = ['leader.replication.throttled.rate', 'follower.replication.throttled.rate'] as const

/** The throttled copies by topic, for moves that are planned and under way: those that are read, and those that are written. */
export function throttledCopies(
  moves: readonly Move[],
  moving: readonly Reassignment[],
): Map<string, Record<string, string>> {
  const copies = new Map<string, [Set<string>, Set<string>]>()
  const note = (topic: string, partition: number, sources: readonly number[], targets: readonly number[]) => {
    const sets = copies.get(topic) ?? [new Set(), new Set()]
    copies.set(topic, sets)
    for (const id of sources) sets[0].add(`${partition}:${id}`)
    for (const id of targets) sets[1].add(`${partition}:${id}`)
  }
  for (const { topic, partition, from, to } of moves) {
    const targets = to.filter((id) => !from.includes(id))
    if (targets.length > 0) note(topic, partition, from, targets)
  }
  for (const { topic, partition, replicas, adding } of moving) {
    const sources = replicas.filter((id) => !adding.includes(id))
    note(topic, partition, sources, adding)
  }
  return new Map(
    [...copies].map(([topic, [sources, targets]]) => [
      topic,
      { [THROTTLED[0]]: [...sources].join(), [THROTTLED[1]]: [...targets].join() },
    ]),
  )
}

/**
 * Throttles these copies to so many bytes a second for each broker, in and out. The topics' lists come first and go last: they are the mark by
 * which the next run finds what a killed one left.
 * @throws {OpsError} exit code 3 where a broker does not take it, 2 where the login may not
 */
export async function throttle(
  cluster: Cluster,
  brokers: readonly number[],
  copies: ReturnType<typeof throttledCopies>,
  bytesPerSecond: number,
): Promise<void> {
  await editTopics(
    cluster,
    [...copies].map(([name, config]) => ({ on: 'topic', name, config })),
  )
  await editBrokers(cluster, brokers, String(bytesPerSecond))
}

/** Takes the throttles of these topics and of all brokers away. */
export async function unthrottle(cluster: Cluster, brokers: readonly number[], topics: readonly string[]) {
  await editBrokers(cluster, brokers, null)
  const none = Object.fromEntries(THROTTLED.map((key) => [key, null]))
  await editTopics(
    cluster,
    topics.map((name) => ({ on: 'topic', name, config: none })),
  )
}

async function editTopics(cluster: Cluster, edits: ConfigEdit[]): Promise<void> {
  if (edits.length > 0) refuseFailure('topics', await askController(cluster, editConfigs(edits)))
}

/** Each broker is asked itself: with ZooKeeper none takes what is meant for another. */
async function editBrokers(cluster: Cluster, brokers: readonly number[], rate: string | null): Promise<void> {
  const config = Object.fromEntries(RATES.map((key) => [key, rate]))
  const edits = brokers.map((id) => cluster.sendTo(id, editConfigs([{ on: 'broker', name: String(id), config }])))
  for (const outcomes of await Promise.all(edits)) refuseFailure('brokers', outcomes)
}

function refuseFailure(what: string, outcomes: ReadonlyMap<string, Outcome>): void {
  const failure = [...outcomes.values()].find(({ error }) => error !== 'NONE')
  if (!failure) return
  const found = `Kafka did not change the throttle of replication: ${words(failure)}`
  const hint = 'run it again: it removes what is left of throttles'
  throw cannotTell(unknown('REBALANCE_THROTTLE', `kafka ${what}`, { found, hint }))
}
