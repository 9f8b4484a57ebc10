/** Checks declared topics against what only the cluster knows: its brokers, its other topics and the configuration it accepts. */
import { cannotTell, configError, error, type Finding, unknown } from '../common/findings.mts'
import { readUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { Outcome } from '../kafka/cluster-requests.mts'
import { outcomeText, RETRIABLE, RETRY_MS, sendToController } from '../kafka/controller.mts'
import { isPermissionError } from '../kafka/permissions.mts'
import { createTopics, type NewTopic } from '../kafka/topic-requests.mts'
import { type DeclaredTopic, metricName } from './file.mts'
import type { TopicPlan } from './plan.mts'
import { editHint } from './yaml-source.mts'

/**
 * Reports mistakes in declared topics that only the cluster can find: more replicas than brokers, names that collide with undeclared
 * topics, and configuration that it does not know or accept. Validates only the configuration that `plan` would change.
 * @param timeoutMs how long to wait for a broker that can validate the configuration: none can during a controller election
 * @throws {OpsError} exit code 3 when no broker could validate it
 */
export async function clusterMistakes(
  cluster: Cluster,
  declared: readonly DeclaredTopic[],
  plan: TopicPlan,
  timeoutMs: number,
): Promise<Finding[]> {
  const brokers = cluster.metadata.brokers.length
  // Brokers that are down still count: they are expected to come back.
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
    if (twin) report('TOPIC_COLLISION', at.name, name, `has the same metric name as "${twin}" in the cluster`)
  }
  const pairs = [
    ...plan.create.flatMap((topic) => Object.entries(topic.config).map(([key, value]) => ({ topic, key, value }))),
    ...plan.configure.flatMap(({ topic, changes }) => changes.map(({ key, to }) => ({ topic, key, value: to }))),
  ]
  if (plan.create.length > 0) await requireCreatePermission(cluster, plan.create)
  if (pairs.length === 0) return mistakes
  // The broker reports only the first invalid key of a topic, so each distinct pair is validated on a separate topic that is never created.
  const distinct = [
    ...new Map(pairs.map(({ topic, key, value }) => [`${key}=${value}`, { topic, key, value }])).values(),
  ]
  const probes = distinct.map(({ topic, key, value }, index) => ({
    name: `l2-check-${process.pid}-${index}`,
    partitions: 1,
    // An external cluster's policy may reject topics with fewer replicas.
    replication: Math.min(topic.replication, brokers),
    config: { [key]: value },
  }))
  const outcomes = await validate(cluster, probes, timeoutMs)
  for (const [index, { name }] of probes.entries()) {
    const outcome = outcomes.get(name)
    // The user may be allowed to create the declared topics but not the probe; a mistake then surfaces when the topic is created.
    if (!outcome || outcome.error === 'NONE' || outcome.error === NOT_AUTHORIZED) continue
    for (const { topic, key, value } of pairs) {
      if (key !== distinct[index]?.key || value !== distinct[index]?.value) continue
      report('TOPIC_CONFIG', topic.at[key], `${topic.name} ${key}`, `Kafka refuses "${value}": ${outcomeText(outcome)}`)
    }
  }
  return mistakes
}

/**
 * Checks before anything is deleted or created that the user may create these topics.
 * @throws {OpsError} exit code 2, naming every topic that the user may not create
 */
async function requireCreatePermission(cluster: Cluster, topics: readonly NewTopic[]): Promise<void> {
  const outcomes = await sendToController(cluster, createTopics(topics, { validateOnly: true }))
  const names = topics.map(({ name }) => name).filter((name) => isPermissionError(outcomes.get(name)?.error))
  if (names.length > 0) throw configError([cluster.missingPermission({ operation: 'Create', on: 'topic', names })])
}

/** The user may not create topics with that name. */
const NOT_AUTHORIZED = 'TOPIC_AUTHORIZATION_FAILED'
/** The outcomes of a validation; any other error means that the topic could not be validated. */
const VALIDATED = ['NONE', 'INVALID_CONFIG', 'INVALID_REQUEST', 'POLICY_VIOLATION', NOT_AUTHORIZED]
/** Has the controller validate topics without creating them, and retries while it is unavailable. */
async function validate(cluster: Cluster, probes: NewTopic[], timeoutMs: number): Promise<Map<string, Outcome>> {
  const request = createTopics(probes, { validateOnly: true })
  const errors = (of: Map<string, Outcome>) => probes.map(({ name }) => of.get(name)?.error ?? 'no answer')
  const outcomes = await readUntil(
    () => sendToController(cluster, request),
    (answer) => !errors(answer).some((code) => RETRIABLE.includes(code)),
    { timeoutMs, pollMs: RETRY_MS },
  )
  const failure = errors(outcomes).find((code) => !VALIDATED.includes(code))
  if (failure === undefined) return outcomes
  const found = `no controller validated the topic configuration within ${timeoutMs / 1000} s (${failure})`
  throw cannotTell(unknown('KAFKA_CONTROLLER', 'kafka', { found, hint: 'npm run health' }))
}
