/**
 * Deletes topics and creates them again, step by step. No step relies on what an earlier run remembers: a topic that is
 * gone is created, one that is there is deleted first, so a run after one that was killed finishes its work.
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
 * @returns findings for those that are still there
 */
export async function destroyTopics(cluster: Cluster, names: string[], options: ResetOptions): Promise<Finding[]> {
  if (names.length === 0) return []
  options.log(`Deleting ${names.join(', ')}`)
  const ids = new Map((await cluster.send(metadata)).topics.map(({ name, id }) => [name, id]))
  const errors = await cluster.sendTo('controller', deleteTopics(names))
  const findings = [...errors].flatMap(([name, answer]) => {
    // Gone already, or on its way: the wait below decides.
    if (['NONE', 'UNKNOWN_TOPIC_OR_PARTITION', 'REQUEST_TIMED_OUT'].includes(answer)) return []
    const disabled = answer === 'TOPIC_DELETION_DISABLED'
    const hint = disabled ? 'set delete.topic.enable=true in the broker' : resetCommand(options, [name])
    return [error('RESET_NOT_DELETED', name, { found: `Kafka refused to delete it: ${answer}`, hint })]
  })
  const refused = new Set(findings.map(({ subject }) => subject))
  const stillThere = async () => {
    // One of the same name but with another id was made meanwhile, by a producer on a broker that lets them.
    const { topics } = await cluster.send(metadata)
    const present = new Map(topics.map(({ name, id }) => [name, id]))
    return names.filter((name) => !refused.has(name) && present.has(name) && present.get(name) === ids.get(name))
  }
  const left = await readUntil(stillThere, ({ length }) => length === 0, { timeoutMs: options.timeoutMs, pollMs: 50 })
  const late = left.map((name) => {
    const found = `still there ${options.timeoutMs / 1000} s after its deletion`
    return error('RESET_NOT_DELETED', name, { found, hint: resetCommand(options, [name]) })
  })
  return [...findings, ...late]
}

/**
 * Creates declared topics that do not exist, waiting for deletions that are still under way, as create-topics does.
 * @returns findings for those that are not as declared
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
    const coordinator = await cluster.send(findCoordinator(id))
    const outcome =
      coordinator.error === 'NONE'
        ? await cluster.sendTo(coordinator.brokerId, deleteGroupOffsets(id, topics))
        : coordinator.error
    // A group that ended meanwhile has no offsets; partitions that the topic had before have none any more.
    if (['NONE', 'GROUP_ID_NOT_FOUND', 'UNKNOWN_TOPIC_OR_PARTITION'].includes(outcome)) continue
    const active = ['GROUP_SUBSCRIBED_TO_TOPIC', 'NON_EMPTY_GROUP'].includes(outcome)
    const hint = active ? withoutReaders(id, resetCommand(options)) : resetCommand(options)
    findings.push(
      error('RESET_OFFSETS', `group ${id}`, { found: `its offsets of these topics stay: ${outcome}`, hint }),
    )
  }
  return findings
}

/** A failure of a step that lost the broker, with what the next run does about it. */
export function interrupted(failure: unknown): unknown {
  if (!(failure instanceof OpsError)) return failure
  const hint = 'restore the broker, then run the reset again: it finishes what this one began'
  const findings = failure.findings.map((each) => ({ ...each, hint }))
  return new OpsError(failure.exitCode, findings, failure)
}
