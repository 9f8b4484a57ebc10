/** Reads a cluster's topics, carries out a plan for them, and reads back until it holds. */
import type { Finding } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { metadata, type Outcome } from '../kafka/cluster-requests.mts'
import type { Request } from '../kafka/codec.mts'
import { createPartitions, createTopics, describeTopicConfigs, setTopicConfigs } from '../kafka/topic-requests.mts'
import type { DeclaredTopic } from './file.mts'
import { type ActualTopic, changeCount, narrowPlan, planTopics, type TopicPlan } from './plan.mts'
import { createCommand } from './report.mts'

/** Milliseconds the broker may take for an answer; what it has not finished by then it goes on with. */
export const BROKER_WAIT_MS = 5_000

/** Milliseconds between requests for the same change: long enough for a change of configuration to reach the broker's memory. */
export const ASK_AGAIN_MS = 250

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

/** Asks the controller of now: another may have been elected since the cluster was opened. */
export async function askController<T>(cluster: Cluster, request: Request<T>): Promise<T> {
  const { controllerId } = await cluster.send(metadata)
  return cluster.sendTo(controllerId < 0 ? 'controller' : controllerId, request)
}

/** What would make the cluster's topics match the declared ones. Changes nothing. */
export async function readTopicPlan(cluster: Cluster, declared: readonly DeclaredTopic[]): Promise<TopicPlan> {
  const names = declared.map(({ name }) => name)
  return planTopics(declared, await readTopics(cluster, names))
}

export const words = ({ message, error }: Outcome): string => message || error

export interface Applied {
  /** What was done and proven, a line a topic. */
  done: string[]
  /** What was not. */
  findings: Finding[]
}

/** Answers that mean "not now": another broker becomes controller, or this one is busy. */
export const NOT_NOW = ['NOT_CONTROLLER', 'REQUEST_TIMED_OUT', 'BROKER_NOT_AVAILABLE', 'THROTTLING_QUOTA_EXCEEDED']
/** Answers that mean "not yet": an earlier deletion still goes on, or the change does, or nobody takes it just now. */
const PENDING = ['TOPIC_ALREADY_EXISTS', ...NOT_NOW]

/**
 * Carries out a plan and proves it by reading back until the cluster matches and every partition has a leader. A topic whose change
 * fails does not keep others from theirs. Never deletes, shrinks, or touches a configuration key that the plan does not name.
 * @param options.log told of each step
 * @param options.file path of the declaration, for the hints, if it is another than kafka/topics.yml
 * @throws {OpsError} exit code 3, when the broker stops answering
 */
export async function applyTopicPlan(
  cluster: Cluster,
  plan: TopicPlan,
  { timeoutMs, log, file }: { timeoutMs: number; log: (line: string) => void; file?: string | undefined },
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
      const hint = createCommand(name, file)
      failed.set(name, { severity: 'error', code: 'TOPIC_NOT_CHANGED', subject: name, found, expected, hint })
    }
  }
  let askedAtMs = 0
  const carryOut = async (step: TopicPlan) => {
    askedAtMs = performance.now()
    const options = { validateOnly: false, timeoutMs: BROKER_WAIT_MS }
    if (step.create.length > 0) {
      failures(await askController(cluster, createTopics(step.create, options)), 'create')
    }
    const growing = step.grow.map(({ topic }) => ({ name: topic.name, to: topic.partitions }))
    if (growing.length > 0) failures(await askController(cluster, createPartitions(growing, BROKER_WAIT_MS)), 'grow')
    const configs = step.configure.map(({ topic, changes }) => ({
      name: topic.name,
      config: Object.fromEntries(changes.map(({ key, to }) => [key, to])),
    }))
    if (configs.length > 0) {
      failures(await askController(cluster, setTopicConfigs(configs)), 'configure')
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
  const findings = [...failed.values(), ...[...late].map((name) => unproven(name, timeoutMs, file))]
  return { done: summaries(plan, (name) => !failed.has(name) && !late.has(name)), findings }
}

const notYet = ({ create, grow, configure }: TopicPlan): string[] =>
  [...create, ...[...grow, ...configure].map(({ topic }) => topic)].map(({ name }) => name)

function unproven(name: string, timeoutMs: number, file: string | undefined): Finding {
  const [found, expected] = [`not as declared after ${timeoutMs / 1000} s`, 'the change to take effect']
  const hint = `${createCommand(name, file)} --timeout ${Math.ceil((2 * timeoutMs) / 1000)}`
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
