/** Reads a cluster's topics, and compares them with the declared ones. */
import { OpsError } from '../common/findings.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { type Metadata, metadata, type Partition } from '../kafka/cluster-requests.mts'
import { sendToController } from '../kafka/controller.mts'
import { listReassignments } from '../kafka/reassignment-requests.mts'
import { describeTopicConfigs } from '../kafka/topic-requests.mts'
import type { DeclaredTopic } from './file.mts'
import { type ActualTopic, planTopics, type TopicPlan } from './plan.mts'

/** Returns the cluster's topics, without Kafka's internal ones. Only the named topics have their configuration. */
export async function readTopics(cluster: Cluster, names: readonly string[]): Promise<ActualTopic[]> {
  const { topics } = await cluster.send(metadata)
  const present = topics.filter(({ internal }) => !internal)
  const wanted = present.map(({ name }) => name).filter((name) => names.includes(name))
  const isBeingAdded = await readAdding(cluster, topics)
  const configs = wanted.length > 0 ? await cluster.send(describeTopicConfigs(wanted)) : new Map()
  return present.map(({ name, partitions }) => ({
    name,
    partitions: partitions.length,
    // Replicas that are still being added do not count yet: min.insync.replicas must not rely on them.
    replication: Math.min(
      ...partitions.map((partition) => partition.replicas.filter((id) => !isBeingAdded(name, partition, id)).length),
    ),
    leaderless: partitions.filter(({ leader }) => leader < 0).length,
    config: configs.get(name) ?? new Map(),
  }))
}

type IsBeingAdded = (topic: string, partition: Partition, brokerId: number) => boolean

/**
 * Reads which replicas are being added by a reassignment. Assumes none if all replicas are in sync or the user may not list reassignments;
 * assumes all that are not in sync if the controller does not answer.
 */
async function readAdding(cluster: Cluster, topics: Metadata['topics']): Promise<IsBeingAdded> {
  const lags = ({ inSync }: Partition, id: number) => !inSync.includes(id)
  const partitions = topics.flatMap((topic) => topic.partitions)
  if (!partitions.some((each) => each.replicas.some((id) => lags(each, id)))) return () => false
  try {
    const { whole, moving } = await sendToController(cluster, listReassignments)
    if (whole.error === 'NONE')
      return (topic, { index }, id) =>
        moving.some((each) => each.topic === topic && each.partition === index && each.adding.includes(id))
  } catch (failure) {
    if (!(failure instanceof OpsError)) throw failure
    if (failure.exitCode === 2) return () => false
  }
  return (_, partition, id) => lags(partition, id)
}

/** Returns the plan that would make the cluster's topics match the declared ones. Changes nothing. */
export async function readTopicPlan(cluster: Cluster, declared: readonly DeclaredTopic[]): Promise<TopicPlan> {
  const names = declared.map(({ name }) => name)
  return planTopics(declared, await readTopics(cluster, names))
}
