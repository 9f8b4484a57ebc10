/** Reads a cluster's topics, carries out a plan for them, and reads back until it holds. */
import type { Finding } from './findings.mts'
import type { Cluster } from './kafka.mts'
import { metadata, type Outcome } from './kafka-requests.mts'
import { type ActualTopic, changeCount, narrowPlan, planTopics, type TopicPlan } from './topic-plan.mts'
import { createPartitions, createTopics, describeTopicConfigs, setTopicConfigs } from './topic-requests.mts'
import { type DeclaredTopic, metricName } from './topics-file.mts'
import { waitUntil } from './wait.mts'
import { editHint, type Mistake } from './yaml-source.mts'

/** Milliseconds the broker may take for an answer; what it has not finished by then it goes on with. */
export const BROKER_WAIT_MS = 5_000

/** The cluster's topics with the configuration of the named ones; without Kafka's internal topics. */
export async function readTopics(cluster: Cluster, names: readonly string[]): Promise<ActualTopic[]> {
  const { topics } = await cluster.send(metadata)
  const present = topics.filter(({ internal }) => !internal)
  const wanted = present.map(({ name }) => name).filter((name) => names.includes(name))
  const configs = wanted.length > 0 ? await cluster.send(describeTopicConfigs(wanted)) : new Map()
  return present.map(({ name, id, partitions }) => ({
    name,
    id,
    partitions: partitions.length,
    replication: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    leaderless: partitions.filter(({ leader }) => leader < 0).length,
    config: configs.get(name) ?? new Map(),
  }))
}

/** What would make the cluster's topics match the declared ones. Changes nothing. */
export async function readTopicPlan(cluster: Cluster, declared: readonly DeclaredTopic[]): Promise<TopicPlan> {
  const names = declared.map(({ name }) => name)
  return planTopics(declared, await readTopics(cluster, names))
}

/**
 * The mistakes of the declared topics that only the cluster can tell: more copies than brokers, names that collide with topics
 * which are not declared, and configuration that it does not know or accept. Only what `plan` would change is asked about.
 */
export async function clusterMistakes(
  cluster: Cluster,
  declared: readonly DeclaredTopic[],
  plan: TopicPlan,
): Promise<Mistake[]> {
  const brokers = cluster.metadata.brokers.length
  const mistakes: Mistake[] = []
  const report = (code: string, at = '', subject: string, found: string, expected: string) =>
    mistakes.push({ code, subject: `${at} ${subject}`, found, expected, hint: editHint(at) })
  for (const { name, replication, at } of declared) {
    if (replication > brokers) {
      const expected = `at most ${brokers}, the number of brokers`
      report('TOPIC_REPLICATION', at.replication, `${name} replication`, `"${replication}"`, expected)
    }
    const twin = plan.undeclared.find((other) => metricName(other) === metricName(name))
    if (twin) report('TOPIC_COLLISION', at.name, name, `"${twin}" in the cluster, the same in metrics`, 'another name')
  }
  const pairs = [
    ...plan.create.flatMap((topic) => Object.entries(topic.config).map(([key, value]) => ({ topic, key, value }))),
    ...plan.configure.flatMap(({ topic, changes }) => changes.map(({ key, to }) => ({ topic, key, value: to }))),
  ]
  if (pairs.length === 0) return mistakes
  // The broker names only the first wrong key of a topic, so each distinct pair is tried on a topic of its own, never made.
  const distinct = [...new Map(pairs.map(({ key, value }) => [`${key}=${value}`, { key, value }])).values()]
  const probes = distinct.map(({ key, value }, index) => ({
    name: `l2-check-${process.pid}-${index}`,
    partitions: 1,
    replication: 1,
    config: { [key]: value },
  }))
  const outcomes = await cluster.sendTo(
    'controller',
    createTopics(probes, { validateOnly: true, timeoutMs: BROKER_WAIT_MS }),
  )
  for (const [index, { name }] of probes.entries()) {
    const outcome = outcomes.get(name)
    if (!outcome || outcome.error === 'NONE') continue
    for (const { topic, key, value } of pairs) {
      if (key !== distinct[index]?.key || value !== distinct[index]?.value) continue
      const expected = 'a topic configuration that the broker accepts'
      report('TOPIC_CONFIG', topic.at[key], `${topic.name} ${key}`, `"${value}": ${words(outcome)}`, expected)
    }
  }
  return mistakes
}

const words = ({ message, error }: Outcome): string => message || error

export interface Applied {
  /** What was done and proven, a line a topic. */
  done: string[]
  /** What was not. */
  findings: Finding[]
}

/** Answers that mean "not yet": an earlier deletion still goes on, or the change does. */
const PENDING = ['TOPIC_ALREADY_EXISTS', 'REQUEST_TIMED_OUT']

/** Milliseconds between requests for the same change: long enough for a change of configuration to reach the broker's memory. */
const ASK_AGAIN_MS = 250

/**
 * Carries out a plan and proves it by reading back until the cluster matches and every partition has a leader. A topic whose change
 * fails does not keep others from theirs. Never deletes, shrinks, or touches a configuration key that the plan does not name.
 * @param options.log told of each step
 * @throws {OpsError} exit code 3, when the broker stops answering
 */
export async function applyTopicPlan(
  cluster: Cluster,
  plan: TopicPlan,
  { timeoutMs, log }: { timeoutMs: number; log: (line: string) => void },
): Promise<Applied> {
  const declared = [...plan.create, ...[...plan.grow, ...plan.configure].map(({ topic }) => topic)]
  const names = [...new Set(declared.map(({ name }) => name))]
  const touched = names.flatMap((name) => declared.find((topic) => topic.name === name) ?? [])
  if (names.length === 0) return { done: [], findings: [] }
  const failed = new Map<string, Finding>()
  const failures = (outcomes: Map<string, Outcome>, verb: string) => {
    for (const [name, outcome] of outcomes) {
      if (outcome.error === 'NONE' || PENDING.includes(outcome.error)) continue
      const [found, expected] = [`Kafka could not ${verb} it: ${words(outcome)}`, `to ${verb} it`]
      const hint = `./scripts/create-topics.mts --only ${name}`
      failed.set(name, { severity: 'error', code: 'TOPIC_NOT_CHANGED', subject: name, found, expected, hint })
    }
  }
  let askedAtMs = 0
  const carryOut = async (step: TopicPlan) => {
    askedAtMs = performance.now()
    const options = { validateOnly: false, timeoutMs: BROKER_WAIT_MS }
    if (step.create.length > 0) {
      failures(await cluster.sendTo('controller', createTopics(step.create, options)), 'create')
    }
    const growing = step.grow.map(({ topic }) => ({ name: topic.name, to: topic.partitions }))
    if (growing.length > 0)
      failures(await cluster.sendTo('controller', createPartitions(growing, BROKER_WAIT_MS)), 'grow')
    const configs = step.configure.map(({ topic, changes }) => ({
      name: topic.name,
      config: Object.fromEntries(changes.map(({ key, to }) => [key, to])),
    }))
    if (configs.length > 0) {
      failures(await cluster.sendTo('controller', setTopicConfigs(configs)), 'configure')
    }
  }

  log(`Changing ${names.length} ${names.length === 1 ? 'topic' : 'topics'}: ${names.join(', ')}`)
  await carryOut(plan)
  let left = plan
  let leaderless: string[] = []
  await waitUntil(
    async () => {
      const actual = await readTopics(cluster, names)
      const open = names.filter((name) => !failed.has(name))
      left = narrowPlan(planTopics(touched, actual), open)
      if (open.length === 0) return true
      leaderless = actual.filter(({ name, leaderless: n }) => n > 0 && open.includes(name)).map(({ name }) => name)
      if (changeCount(left) === 0) return leaderless.length === 0
      // Idempotent, so what has not taken effect is asked for again: that is how a topic comes to be whose deletion still went on,
      // and how one that a producer made meanwhile gets what is declared.
      if (performance.now() - askedAtMs >= ASK_AGAIN_MS) await carryOut(left)
      return false
    },
    { timeoutMs, pollMs: 50 },
  )
  const late = new Set([...notYet(left), ...leaderless].filter((name) => !failed.has(name)))
  const findings = [...failed.values(), ...[...late].map((name) => unproven(name, timeoutMs))]
  return { done: summaries(plan, (name) => !failed.has(name) && !late.has(name)), findings }
}

const notYet = ({ create, grow, configure }: TopicPlan): string[] =>
  [...create, ...[...grow, ...configure].map(({ topic }) => topic)].map(({ name }) => name)

function unproven(name: string, timeoutMs: number): Finding {
  const [found, expected] = [`not as declared after ${timeoutMs / 1000} s`, 'the change to take effect']
  const hint = `./scripts/create-topics.mts --only ${name} --timeout ${Math.ceil((2 * timeoutMs) / 1000)}`
  return { severity: 'error', code: 'TOPIC_NOT_PROVEN', subject: name, found, expected, hint }
}

function summaries(plan: TopicPlan, isDone: (name: string) => boolean): string[] {
  return [
    ...plan.create.map(({ name }) => [name, 'created']),
    ...plan.grow.map(({ topic, from }) => [topic.name, `grown from ${from} to ${topic.partitions} partitions`]),
    ...plan.configure.map(({ topic, changes }) => [
      topic.name,
      `configured (${changes.map(({ key }) => key).join(', ')})`,
    ]),
  ].flatMap(([name = '', what]) => (isDone(name) ? [`${name} ${what}`] : []))
}
