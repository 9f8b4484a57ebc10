/** Reads a cluster's topics, and what would make them match the declared ones. */
import type { Cluster } from '../kafka/cluster.mts'
import { metadata } from '../kafka/cluster-requests.mts'
import { describeTopicConfigs } from '../kafka/topic-requests.mts'
import type { DeclaredTopic } from './file.mts'
import { type ActualTopic, planTopics, type TopicPlan } from './plan.mts'

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
