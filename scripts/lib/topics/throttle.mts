/** Throttles replication while replicas are reassigned, which leaves network and disk bandwidth to producers and consumers. */
import { cannotTell, type Finding, unknown, warning } from '../common/findings.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { Outcome } from '../kafka/cluster-requests.mts'
import { outcomeText, sendToController } from '../kafka/controller.mts'
import type { Reassignment } from '../kafka/reassignment-requests.mts'
import { type ConfigEdit, type ConfigValue, editConfigs } from '../kafka/topic-requests.mts'
import { rebalanceCommand } from './hint.mts'
import type { Move } from './placement.mts'
import type { ActualTopic } from './plan.mts'

/** Topic keys: the replicas, as `partition:broker`, that are read and written at no more than their broker's rate. */
const THROTTLED = ['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas'] as const
/** Broker keys: bytes per second. */
const RATES = ['leader.replication.throttled.rate', 'follower.replication.throttled.rate'] as const

/** Returns the {@link THROTTLED} keys of each topic for planned moves and for reassignments in progress. */
export function throttledReplicas(
  moves: readonly Move[],
  moving: readonly Reassignment[],
): Map<string, Record<string, string>> {
  const replicasOf = new Map<string, [Set<string>, Set<string>]>()
  const add = (topic: string, partition: number, sources: readonly number[], targets: readonly number[]) => {
    const sets = replicasOf.get(topic) ?? [new Set(), new Set()]
    replicasOf.set(topic, sets)
    for (const id of sources) sets[0].add(`${partition}:${id}`)
    for (const id of targets) sets[1].add(`${partition}:${id}`)
  }
  for (const { topic, partition, from, to } of moves) {
    const targets = to.filter((id) => !from.includes(id))
    if (targets.length > 0) add(topic, partition, from, targets)
  }
  for (const { topic, partition, replicas, adding } of moving) {
    const sources = replicas.filter((id) => !adding.includes(id))
    add(topic, partition, sources, adding)
  }
  return new Map(
    [...replicasOf].map(([topic, [sources, targets]]) => [
      topic,
      { [THROTTLED[0]]: [...sources].join(), [THROTTLED[1]]: [...targets].join() },
    ]),
  )
}

/**
 * Throttles these replicas to `bytesPerSecond` per broker, inbound and outbound. The topics' lists are set first and removed last, so that
 * they mark what a killed run leaves for the next one to clean up.
 * @throws {OpsError} exit code 3 when a broker refuses the change, 2 when the user lacks permissions
 */
export async function throttle(
  cluster: Cluster,
  brokers: readonly number[],
  replicas: ReturnType<typeof throttledReplicas>,
  bytesPerSecond: number,
): Promise<void> {
  await editTopics(
    cluster,
    [...replicas].map(([name, config]) => ({ on: 'topic', name, config })),
  )
  await editBrokers(cluster, brokers, String(bytesPerSecond))
}

/** Removes the throttle from these brokers and topics. */
export async function unthrottle(cluster: Cluster, brokers: readonly number[], topics: readonly string[]) {
  await editBrokers(cluster, brokers, null)
  const none = Object.fromEntries(THROTTLED.map((key) => [key, null]))
  await editTopics(
    cluster,
    topics.map((name) => ({ on: 'topic', name, config: none })),
  )
}

async function editTopics(cluster: Cluster, edits: ConfigEdit[]): Promise<void> {
  if (edits.length > 0) refuseFailure('topics', await sendToController(cluster, editConfigs(edits)))
}

/** Sends each broker its own change: in ZooKeeper mode a broker does not accept changes for another. */
async function editBrokers(cluster: Cluster, brokers: readonly number[], rate: string | null): Promise<void> {
  const config = Object.fromEntries(RATES.map((key) => [key, rate]))
  const edits = brokers.map((id) => cluster.sendTo(id, editConfigs([{ on: 'broker', name: String(id), config }])))
  for (const outcomes of await Promise.all(edits)) refuseFailure('brokers', outcomes)
}

function refuseFailure(what: string, outcomes: ReadonlyMap<string, Outcome>): void {
  const failure = [...outcomes.values()].find(({ error }) => error !== 'NONE')
  if (!failure) return
  const found = `Kafka did not change the replication throttle: ${outcomeText(failure)}`
  const hint = 'run it again; it removes any remaining throttle'
  throw cannotTell(unknown('REBALANCE_THROTTLE', `kafka ${what}`, { found, hint }))
}

/** Whether a topic with this configuration has throttled replicas. */
export const isThrottled = (config: ReadonlyMap<string, ConfigValue> | undefined): boolean =>
  THROTTLED.some((key) => Boolean(config?.get(key)?.value))

/** Returns a warning for each topic with throttled replicas. */
export const throttledFindings = (topics: readonly ActualTopic[]): Finding[] =>
  topics
    .filter(({ config }) => isThrottled(config))
    .map(({ name }) => throttledFinding(name, rebalanceCommand([name], undefined)))

/** Returns the warning for a topic with throttled replicas. `next` is the command that removes the throttle. */
export const throttledFinding = (name: string, next: string): Finding =>
  warning('TOPIC_THROTTLED', name, {
    found: 'replication is throttled: a rebalance is in progress or was interrupted',
    hint: `${next} (finishes it and removes the throttle)`,
  })
