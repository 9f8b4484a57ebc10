/** Applies a topic plan, and reads the topics back until they match it. */
import { error, type Finding } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import type { Outcome } from '../kafka/cluster-requests.mts'
import { outcomeText, RETRIABLE, RETRY_MS, sendToController } from '../kafka/controller.mts'
import { createPartitions, createTopics, setTopicConfigs } from '../kafka/topic-requests.mts'
import { createCommand } from './hint.mts'
import { changedTopics, narrowPlan, planTopics, type TopicPlan } from './plan.mts'
import { readTopics } from './read.mts'

export interface Applied {
  /** Changes that were made and verified, one line per topic. */
  done: string[]
  /** Changes that failed or could not be verified. */
  findings: Finding[]
}

/** Errors that mean "not yet": an earlier deletion or the change itself is still in progress, or no broker accepts it at the moment. */
const PENDING = ['TOPIC_ALREADY_EXISTS', ...RETRIABLE]

/**
 * Applies a plan and verifies it by reading back until the cluster matches and every partition has a leader. A topic whose change
 * fails does not affect the others. Never deletes or shrinks a topic, or changes a configuration key that the plan does not name.
 * @param options.log called with each step
 * @param options.file path of the declaration, for the hints, if not kafka/topics.yml
 * @throws {OpsError} exit code 3 when the broker stops answering
 */
export async function applyTopicPlan(
  cluster: Cluster,
  plan: TopicPlan,
  { timeoutMs, log, file }: { timeoutMs: number; log: (line: string) => void; file?: string | undefined },
): Promise<Applied> {
  const touched = changedTopics(plan)
  const names = [...touched.keys()]
  if (names.length === 0) return { done: [], findings: [] }
  const failed = new Map<string, Finding>()
  /** Topics that cannot be created because they already exist. */
  let present: string[] = []
  const recordFailures = (outcomes: Map<string, Outcome>, verb: string) => {
    for (const [name, outcome] of outcomes) {
      if (outcome.error === 'NONE' || PENDING.includes(outcome.error)) continue
      const found = `Kafka could not ${verb} the topic: ${outcomeText(outcome)}`
      failed.set(name, error('TOPIC_NOT_CHANGED', name, { found, hint: createCommand(name, file) }))
    }
  }
  let askedAtMs = 0
  const send = async (step: TopicPlan) => {
    askedAtMs = performance.now()
    if (step.create.length > 0) {
      const outcomes = await sendToController(cluster, createTopics(step.create, { validateOnly: false }))
      present = [...outcomes].flatMap(([name, { error }]) => (error === 'TOPIC_ALREADY_EXISTS' ? [name] : []))
      recordFailures(outcomes, 'create')
    }
    const growing = step.grow.map(({ topic }) => ({ name: topic.name, to: topic.partitions }))
    if (growing.length > 0) recordFailures(await sendToController(cluster, createPartitions(growing)), 'grow')
    const configs = step.configure.map(({ topic, changes }) => ({
      name: topic.name,
      config: Object.fromEntries(changes.map(({ key, to }) => [key, to])),
    }))
    if (configs.length > 0) {
      recordFailures(await sendToController(cluster, setTopicConfigs(configs)), 'configure')
    }
  }

  log(`Changing ${names.length} ${names.length === 1 ? 'topic' : 'topics'}: ${names.join(', ')}`)
  await send(plan)
  let left = plan
  let leaderless: string[] = []
  await waitUntil(
    async () => {
      const actual = await readTopics(cluster, names)
      const pending = names.filter((name) => !failed.has(name))
      left = narrowPlan(planTopics([...touched.values()], actual), pending)
      if (pending.length === 0) return true
      leaderless = actual.filter(({ name, leaderless: n }) => n > 0 && pending.includes(name)).map(({ name }) => name)
      if (changedTopics(left).size === 0) return leaderless.length === 0
      // The requests are idempotent, so repeat those that have not taken effect. This creates a topic whose deletion was still in progress,
      // and corrects one that a producer has created in the meantime.
      if (performance.now() - askedAtMs >= RETRY_MS) await send(left)
      return false
    },
    { timeoutMs, pollMs: 20 },
  )
  const late = new Set([...changedTopics(left).keys(), ...leaderless].filter((name) => !failed.has(name)))
  const findings = [
    ...failed.values(),
    ...[...late].map((name) => unverified(name, present.includes(name), timeoutMs, file)),
  ]
  return { done: summaries(plan, (name) => !failed.has(name) && !late.has(name)), findings }
}

function unverified(name: string, isPresent: boolean, timeoutMs: number, file: string | undefined): Finding {
  const hint = `${createCommand(name, file)} --timeout ${Math.ceil((2 * timeoutMs) / 1000)}`
  const cause = isPresent
    ? '; it exists, but Kafka does not list it: it is being deleted, or the Describe ACL is missing'
    : ''
  const found = `still differs from the declaration after ${timeoutMs / 1000} s${cause}`
  return error('TOPIC_NOT_PROVEN', name, { found, hint })
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
