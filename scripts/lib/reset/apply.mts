/**
 * Deletes and recreates topics, step by step. No step relies on state from an earlier run: existing topics are deleted, and missing ones
 * are created, so the next run completes one that was killed.
 */
import { error, type Finding, OpsError } from '../common/findings.mts'
import { readUntil } from '../common/wait.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { metadata } from '../kafka/cluster-requests.mts'
import { deleteGroupOffsets, findCoordinator } from '../kafka/group-requests.mts'
import type { ConsumerGroup } from '../kafka/groups.mts'
import { deleteTopics } from '../kafka/topic-requests.mts'
import { applyTopicPlan } from '../topics/apply.mts'
import type { DeclaredTopic } from '../topics/file.mts'
import { readTopicPlan } from '../topics/read.mts'
import { type ResetScope, resetCommand, withoutReaders } from './hint.mts'

export interface ResetOptions extends ResetScope {
  timeoutMs: number
  log: (line: string) => void
}

/**
 * Deletes topics and waits until they are gone from the cluster. A topic that does not exist counts as deleted.
 * @returns findings for topics that still exist
 */
export async function destroyTopics(cluster: Cluster, names: string[], options: ResetOptions): Promise<Finding[]> {
  if (names.length === 0) return []
  options.log(`Deleting ${names.join(', ')}`)
  const ids = new Map((await cluster.send(metadata)).topics.map(({ name, id }) => [name, id]))
  const errors = await cluster.sendTo('controller', deleteTopics(names))
  const findings = [...errors].flatMap(([name, answer]) => {
    // Already deleted, or being deleted: the wait below decides.
    if (['NONE', 'UNKNOWN_TOPIC_OR_PARTITION', 'REQUEST_TIMED_OUT'].includes(answer)) return []
    const disabled = answer === 'TOPIC_DELETION_DISABLED'
    const hint = disabled ? 'set delete.topic.enable=true in the broker' : resetCommand(options, [name])
    return [error('RESET_NOT_DELETED', name, { found: `Kafka refused to delete it: ${answer}`, hint })]
  })
  const refused = new Set(findings.map(({ subject }) => subject))
  const stillPresent = async () => {
    // A topic with the same name but a different id is a new one, which a producer created where the broker allows auto-creation.
    const { topics } = await cluster.send(metadata)
    const present = new Map(topics.map(({ name, id }) => [name, id]))
    return names.filter((name) => !refused.has(name) && present.has(name) && present.get(name) === ids.get(name))
  }
  const left = await readUntil(stillPresent, ({ length }) => length === 0, { timeoutMs: options.timeoutMs, pollMs: 50 })
  const late = left.map((name) => {
    const found = `still exists ${options.timeoutMs / 1000} s after its deletion`
    return error('RESET_NOT_DELETED', name, { found, hint: resetCommand(options, [name]) })
  })
  return [...findings, ...late]
}

/**
 * Creates declared topics that do not exist, like create-topics; waits for deletions that are still in progress.
 * @returns findings for topics that do not match their declaration
 */
export async function recreateTopics(
  cluster: Cluster,
  topics: readonly DeclaredTopic[],
  { timeoutMs, log, file }: ResetOptions,
): Promise<Finding[]> {
  log(`Creating ${topics.map(({ name }) => name).join(', ')}`)
  const plan = await readTopicPlan(cluster, topics)
  return (await applyTopicPlan(cluster, plan, { timeoutMs, log: () => {}, file })).findings
}

/**
 * Deletes the offsets that the groups have committed for the topics. Kafka deletes them with a topic, but an active consumer may have
 * committed again after that.
 * @returns findings for groups whose offsets could not be deleted
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
    options.log(`Deleting the offsets of group ${id}`)
    const coordinator = await cluster.send(findCoordinator(id))
    const outcome =
      coordinator.error === 'NONE'
        ? await cluster.sendTo(coordinator.brokerId, deleteGroupOffsets(id, topics))
        : coordinator.error
    // A group that no longer exists has no offsets, nor do partitions that only the old topic had.
    if (['NONE', 'GROUP_ID_NOT_FOUND', 'UNKNOWN_TOPIC_OR_PARTITION'].includes(outcome)) continue
    const active = ['GROUP_SUBSCRIBED_TO_TOPIC', 'NON_EMPTY_GROUP'].includes(outcome)
    const hint = active ? withoutReaders(id, resetCommand(options)) : resetCommand(options)
    findings.push(
      error('RESET_OFFSETS', `group ${id}`, {
        found: `its offsets for these topics were not deleted: ${outcome}`,
        hint,
      }),
    )
  }
  return findings
}

/** Returns the failure with the hint to run the reset again. */
export function interrupted(failure: unknown): unknown {
  if (!(failure instanceof OpsError)) return failure
  const hint = 'restore the broker, then run the reset again to complete it'
  const findings = failure.findings.map((each) => ({ ...each, hint }))
  return new OpsError(failure.exitCode, findings, failure)
}
