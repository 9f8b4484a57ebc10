/**
 * Destroys topics and makes them anew, step by step, and proves it. No step relies on what an earlier run remembers: a topic that is
 * gone is made, one that is there is deleted first, so a run after one that was killed finishes its work.
 */

import { type Finding, OpsError } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { findCoordinator, metadata } from '../kafka/cluster-requests.mts'
import type { ConsumerGroup } from '../kafka/groups.mts'
import { deleteGroupOffsets } from '../kafka/offset-requests.mts'
import { deleteTopics } from '../kafka/topic-requests.mts'
import { applyTopicPlan, BROKER_WAIT_MS, readTopics } from '../topics/apply.mts'
import type { DeclaredTopic } from '../topics/file.mts'
import { planTopics } from '../topics/plan.mts'
import { type ResetScope, resetCommand, withoutReaders } from './guard.mts'

export interface ResetOptions extends ResetScope {
  timeoutMs: number
  log: (line: string) => void
}

const finding = (code: string, subject: string, found: string, expected: string, hint: string): Finding => ({
  severity: 'error',
  code,
  subject,
  found,
  expected,
  hint,
})

/**
 * Deletes topics and waits until the cluster knows them no more. A topic that does not exist counts as deleted.
 * @returns findings for those that are still there
 */
export async function destroyTopics(cluster: Cluster, names: string[], options: ResetOptions): Promise<Finding[]> {
  if (names.length === 0) return []
  options.log(`Deleting ${names.join(', ')}`)
  const ids = new Map((await cluster.send(metadata)).topics.map(({ name, id }) => [name, id]))
  const errors = await cluster.sendTo('controller', deleteTopics(names, BROKER_WAIT_MS))
  const findings = [...errors].flatMap(([name, error]) => {
    // Gone already, or on its way: the wait below decides.
    if (['NONE', 'UNKNOWN_TOPIC_OR_PARTITION', 'REQUEST_TIMED_OUT'].includes(error)) return []
    const hint =
      error === 'TOPIC_DELETION_DISABLED' ? 'set delete.topic.enable=true in the broker' : resetCommand(options, [name])
    return [finding('RESET_NOT_DELETED', name, `Kafka refused: ${error}`, 'it to be deleted', hint)]
  })
  const refused = new Set(findings.map(({ subject }) => subject))
  let left: string[] = []
  const gone = async () => {
    // One of the same name but with another id was made meanwhile, by a producer on a broker that lets them.
    const { topics } = await cluster.send(metadata)
    const present = new Map(topics.map(({ name, id }) => [name, id]))
    left = names.filter((name) => !refused.has(name) && present.has(name) && present.get(name) === ids.get(name))
    return left.length === 0
  }
  await waitUntil(gone, { timeoutMs: options.timeoutMs, pollMs: 50 })
  const late = left.map((name) => {
    return finding(
      'RESET_NOT_DELETED',
      name,
      `there ${options.timeoutMs / 1000} s after its deletion`,
      'it to be gone',
      resetCommand(options, [name]),
    )
  })
  return [...findings, ...late]
}

/**
 * Makes declared topics that do not exist, waiting for deletions that still go on, as create-topics does.
 * @returns findings for those that are not as declared
 */
export async function recreateTopics(
  cluster: Cluster,
  topics: readonly DeclaredTopic[],
  { timeoutMs, log, file }: ResetOptions,
): Promise<Finding[]> {
  log(`Creating ${topics.map(({ name }) => name).join(', ')}`)
  const plan = planTopics(
    topics,
    await readTopics(
      cluster,
      topics.map(({ name }) => name),
    ),
  )
  return (await applyTopicPlan(cluster, plan, { timeoutMs, log: () => {}, file })).findings
}

/**
 * Deletes what the groups have committed for the topics. Kafka does so when a topic is deleted, but a reader that was at work then may
 * have committed afterwards.
 * @returns findings for what could not be deleted
 */
export async function clearOffsets(
  cluster: Cluster,
  groups: readonly ConsumerGroup[],
  names: readonly string[],
  options: ResetOptions,
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const { id, committed } of groups) {
    const topics = names
      .map((name) => ({ name, partitions: committed.filter((c) => c.topic === name).map((c) => c.partition) }))
      .filter(({ partitions }) => partitions.length > 0)
    if (topics.length === 0) continue
    options.log(`Clearing the offsets of group ${id}`)
    const { error, brokerId } = await cluster.send(findCoordinator(id))
    const outcome = error === 'NONE' ? await cluster.sendTo(brokerId, deleteGroupOffsets(id, topics)) : error
    // A group that ended meanwhile has no offsets; partitions that the topic had before have none any more.
    if (['NONE', 'GROUP_ID_NOT_FOUND', 'UNKNOWN_TOPIC_OR_PARTITION'].includes(outcome)) continue
    const active = ['GROUP_SUBSCRIBED_TO_TOPIC', 'NON_EMPTY_GROUP'].includes(outcome)
    const hint = active ? withoutReaders(id, resetCommand(options)) : resetCommand(options)
    const subject = `group ${id}`
    findings.push(
      finding('RESET_OFFSETS', subject, `offsets that stay: ${outcome}`, 'no offsets of these topics', hint),
    )
  }
  return findings
}

/** An {@link OpsError} of a step that lost the broker, with what the next run does about it. */
export function interrupted(error: unknown): unknown {
  if (!(error instanceof OpsError)) return error
  const note = 'restore the broker, then run the reset again: it finishes what this one began'
  return new OpsError(
    error.exitCode,
    error.findings.map((each) => ({ ...each, hint: note })),
    error,
  )
}
