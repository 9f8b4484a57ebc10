/** How far topics reach: the offsets of their first and last records. */
import type { Cluster } from './cluster.mts'
import type { TopicMetadata } from './cluster-requests.mts'
import { listOffsets, type PartitionOffset, type Which } from './offset-requests.mts'

/**
 * Offsets of all partitions of the topics, by `topic/partition`. Left out are those without a leader, and those whose leader does not
 * tell, such as one that is no longer it.
 */
export async function readOffsets(
  cluster: Cluster,
  which: Which,
  topics: readonly TopicMetadata[],
): Promise<Map<string, PartitionOffset>> {
  const leaders = new Set(topics.flatMap(({ partitions }) => partitions.map(({ leader }) => leader)))
  const answers = await Promise.all(
    [...leaders]
      .filter((leader) => leader >= 0)
      .map((leader) => {
        const led = topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.filter((each) => each.leader === leader).map(({ index }) => index),
        }))
        return cluster.sendTo(leader, listOffsets(which, led))
      }),
  )
  const known = answers.flat().filter(({ error }) => error === 'NONE')
  return new Map(known.map((each) => [`${each.topic}/${each.partition}`, each]))
}
