/** What is wrong with declared topics that only the cluster can find. */
import { cannotTell, configError, error, type Finding, unknown } from '../common/findings.mts'
import { readUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { Outcome } from '../kafka/cluster-requests.mts'
import { ASK_AGAIN_MS, askController, NOT_NOW, words } from '../kafka/controller.mts'
import { isPermissionError } from '../kafka/permissions.mts'
import { createTopics, type NewTopic } from '../kafka/topic-requests.mts'
import { type DeclaredTopic, metricName } from './file.mts'
import type { TopicPlan } from './plan.mts'
import { editHint } from './yaml-source.mts'

/**
 * The mistakes of the declared topics that only the cluster can find: more copies than brokers, names that collide with topics
 * which are not declared, and configuration that it does not know or accept. Only what `plan` would change is asked about.
 * @param timeoutMs to wait for a broker that can judge the configuration: none can while a controller is elected
 * @throws {OpsError} exit code 3, when none could
 */
export async function clusterMistakes(
  cluster: Cluster,
  declared: readonly DeclaredTopic[],
  plan: TopicPlan,
  timeoutMs: number,
): Promise<Finding[]> {
  const brokers = cluster.metadata.brokers.length
  // One that is down comes back.
  const named = cluster.metadata.topics.flatMap(({ partitions }) => partitions.flatMap(({ replicas }) => replicas))
  const known = new Set([...cluster.metadata.brokers.map(({ id }) => id), ...named]).size
  const mistakes: Finding[] = []
  const report = (code: string, at = '', subject: string, found: string, expected?: string) =>
    mistakes.push(error(code, `${at} ${subject}`, { found, expected, hint: editHint(at) }))
  for (const { name, replication, at } of declared) {
    if (replication > known) {
      const expected = `at most ${known}, the number of brokers`
      report('TOPIC_REPLICATION', at.replication, `${name} replication`, `"${replication}"`, expected)
    }
    const twin = plan.undeclared.find((other) => metricName(other) === metricName(name))
    if (twin) report('TOPIC_COLLISION', at.name, name, `in metrics the same name as "${twin}" in the cluster`)
  }
  const pairs = [
    ...plan.create.flatMap((topic) => Object.entries(topic.config).map(([key, value]) => ({ topic, key, value }))),
    ...plan.configure.flatMap(({ topic, changes }) => changes.map(({ key, to }) => ({ topic, key, value: to }))),
  ]
  if (plan.create.length > 0) await refuseWithoutRight(cluster, plan.create)
  if (pairs.length === 0) return mistakes
  // The broker names only the first wrong key of a topic, so each distinct pair is tried on a topic of its own, never made.
  const distinct = [
    ...new Map(pairs.map(({ topic, key, value }) => [`${key}=${value}`, { topic, key, value }])).values(),
  ]
  const probes = distinct.map(({ topic, key, value }, index) => ({
    name: `l2-check-${process.pid}-${index}`,
    partitions: 1,
    // Clusters of others may refuse topics with fewer copies.
    replication: Math.min(topic.replication, brokers),
    config: { [key]: value },
  }))
  const outcomes = await judged(cluster, probes, timeoutMs)
  for (const [index, { name }] of probes.entries()) {
    const outcome = outcomes.get(name)
    // A login that may not create topics of this name may those that are declared, and then learns of a mistake when it does.
    if (!outcome || outcome.error === 'NONE' || outcome.error === UNNAMED) continue
    for (const { topic, key, value } of pairs) {
      if (key !== distinct[index]?.key || value !== distinct[index]?.value) continue
      report('TOPIC_CONFIG', topic.at[key], `${topic.name} ${key}`, `Kafka refuses "${value}": ${words(outcome)}`)
    }
  }
  return mistakes
}

/** @throws {OpsError} exit code 2, naming every topic that this login may not create: found out before anything is deleted or made */
async function refuseWithoutRight(cluster: Cluster, topics: readonly NewTopic[]): Promise<void> {
  const outcomes = await askController(cluster, createTopics(topics, { validateOnly: true }))
  const names = topics.map(({ name }) => name).filter((name) => isPermissionError(outcomes.get(name)?.error))
  if (names.length > 0) throw configError([cluster.missingPermission({ operation: 'Create', on: 'topic', names })])
}

/** The login may not create topics of that name. */
const UNNAMED = 'TOPIC_AUTHORIZATION_FAILED'
/** Answers that judge a topic; any other says that it could not be judged. */
const JUDGED = ['NONE', 'INVALID_CONFIG', 'INVALID_REQUEST', 'POLICY_VIOLATION', UNNAMED]
/** What the controller says of topics that are not made; asks again while it cannot say. */
async function judged(cluster: Cluster, probes: NewTopic[], timeoutMs: number): Promise<Map<string, Outcome>> {
  const request = createTopics(probes, { validateOnly: true })
  const errors = (of: Map<string, Outcome>) => probes.map(({ name }) => of.get(name)?.error ?? 'no answer')
  const outcomes = await readUntil(
    () => askController(cluster, request),
    (answer) => !errors(answer).some((code) => NOT_NOW.includes(code)),
    { timeoutMs, pollMs: ASK_AGAIN_MS },
  )
  const open = errors(outcomes).find((code) => !JUDGED.includes(code))
  if (open === undefined) return outcomes
  const found = `no controller judges the configuration of topics within ${timeoutMs / 1000} s (${open})`
  throw cannotTell(unknown('KAFKA_CONTROLLER', 'kafka', { found, hint: 'npm run health' }))
}
