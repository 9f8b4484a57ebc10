/** Reads a cluster's topics, and what would make them match the declared ones. */
import { OpsError } from '../common/findings.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { type Metadata, metadata } from '../kafka/cluster-requests.mts'
import { askController, BROKER_WAIT_MS } from '../kafka/controller.mts'
import { listReassignments, type Reassignment } from '../kafka/placement-requests.mts'
import { describeTopicConfigs } from '../kafka/topic-requests.mts'
import type { DeclaredTopic } from './file.mts'
import { type ActualTopic, planTopics, type TopicPlan } from './plan.mts'

/** The cluster's topics with the configuration of the named ones; without Kafka's internal topics. */
export async function readTopics(cluster: Cluster, names: readonly string[]): Promise<ActualTopic[]> {
  const { topics } = await cluster.send(metadata)
  const present = topics.filter(({ internal }) => !internal)
  const wanted = present.map(({ name }) => name).filter((name) => names.includes(name))
  const moving = await readMoving(cluster, topics)
  const onTheWay = (topic: string, partition: number) =>
    moving.find((each) => each.topic === topic && each.partition === partition)?.adding ?? []
  const configs = wanted.length > 0 ? await cluster.send(describeTopicConfigs(wanted)) : new Map()
  return present.map(({ name, id, partitions }) => ({
    name,
    id,
    partitions: partitions.length,
    // A copy that is on its way is none yet: min.insync.replicas must not count on it.
    replication: Math.min(
      ...partitions.map(({ index, replicas }) => {
        const adding = onTheWay(name, index)
        return replicas.filter((id) => !adding.includes(id)).length
      }),
    ),
    leaderless: partitions.filter(({ leader }) => leader < 0).length,
    config: configs.get(name) ?? new Map(),
  }))
}

/** What is being moved; nothing where all copies are in sync, the login may not ask, or the controller cannot say. */
async function readMoving(cluster: Cluster, topics: Metadata['topics']): Promise<Reassignment[]> {
  const partitions = topics.flatMap((topic) => topic.partitions)
  if (partitions.every(({ replicas, inSync }) => replicas.every((id) => inSync.includes(id)))) return []
  try {
    return (await askController(cluster, listReassignments(BROKER_WAIT_MS))).moving
  } catch (failure) {
    if (failure instanceof OpsError && failure.exitCode === 2) return []
    throw failure
  }
}

/** What would make the cluster's topics match the declared ones. Changes nothing. */
export async function readTopicPlan(cluster: Cluster, declared: readonly DeclaredTopic[]): Promise<TopicPlan> {
  const names = declared.map(({ name }) => name)
  return planTopics(declared, await readTopics(cluster, names))
}
