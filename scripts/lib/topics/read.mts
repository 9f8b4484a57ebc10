/** Reads a cluster's topics, and what would make them match the declared ones. */
import { OpsError } from '../common/findings.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { type Metadata, metadata, type Partition } from '../kafka/cluster-requests.mts'
import { askController } from '../kafka/controller.mts'
import { listReassignments } from '../kafka/reassignment-requests.mts'
import { describeTopicConfigs } from '../kafka/topic-requests.mts'
import type { DeclaredTopic } from './file.mts'
import { type ActualTopic, planTopics, type TopicPlan } from './plan.mts'

/** The cluster's topics with the configuration of the named ones; without Kafka's internal topics. */
export async function readTopics(cluster: Cluster, names: readonly string[]): Promise<ActualTopic[]> {
  const { topics } = await cluster.send(metadata)
  const present = topics.filter(({ internal }) => !internal)
  const wanted = present.map(({ name }) => name).filter((name) => names.includes(name))
  const isOnTheWay = await readMoving(cluster, topics)
  const configs = wanted.length > 0 ? await cluster.send(describeTopicConfigs(wanted)) : new Map()
  return present.map(({ name, partitions }) => ({
    name,
    partitions: partitions.length,
    // A copy that is on its way is none yet: min.insync.replicas must not count on it.
    replication: Math.min(
      ...partitions.map((partition) => partition.replicas.filter((id) => !isOnTheWay(name, partition, id)).length),
    ),
    leaderless: partitions.filter(({ leader }) => leader < 0).length,
    config: configs.get(name) ?? new Map(),
  }))
}

type IsOnTheWay = (topic: string, partition: Partition, brokerId: number) => boolean

/**
 * Which copies are being made. None where all are in sync, or the login may not ask; where the controller does not say, whatever is not in sync
 * may be.
 */
async function readMoving(cluster: Cluster, topics: Metadata['topics']): Promise<IsOnTheWay> {
  const isBehind = ({ inSync }: Partition, id: number) => !inSync.includes(id)
  const partitions = topics.flatMap((topic) => topic.partitions)
  if (!partitions.some((each) => each.replicas.some((id) => isBehind(each, id)))) return () => false
  try {
    const { whole, moving } = await askController(cluster, listReassignments)
    if (whole.error === 'NONE')
      return (topic, { index }, id) =>
        moving.some((each) => each.topic === topic && each.partition === index && each.adding.includes(id))
  } catch (failure) {
    if (!(failure instanceof OpsError)) throw failure
    if (failure.exitCode === 2) return () => false
  }
  return (_, partition, id) => isBehind(partition, id)
}

/** What would make the cluster's topics match the declared ones. Changes nothing. */
export async function readTopicPlan(cluster: Cluster, declared: readonly DeclaredTopic[]): Promise<TopicPlan> {
  const names = declared.map(({ name }) => name)
  return planTopics(declared, await readTopics(cluster, names))
}
