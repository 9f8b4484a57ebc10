/** Whether partitions are usable: metadata may name a leader that refuses everything. */
import { error, type Finding } from '../common/findings.mts'
import { ASK_HEALTH, type Cluster } from './cluster.mts'
import { readEnds } from './offsets.mts'

/** Milliseconds that a leader gets to take its partitions over: after a start or an election it refuses them for a moment. */
export const TAKE_OVER_MS = 10_000

/**
 * The finding of partitions of the named topics whose leader refuses them for `waitMs`, with its error; none when all are served. Partitions
 * without any leader are another finding's.
 * @throws {OpsError} exit code 3, when a broker does not answer
 */
export async function unservedFindings(cluster: Cluster, names: readonly string[], waitMs: number): Promise<Finding[]> {
  const { topics, unread, errors } = await readEnds(cluster, names, waitMs)
  const refused = topics.flatMap(({ name, partitions }) =>
    partitions
      .filter(({ index, leader }) => leader >= 0 && unread.get(name)?.includes(index))
      .map(({ index }) => ({ name, partition: `${name}-${index}` })),
  )
  const [first] = refused
  if (!first) return []
  const some = refused.slice(0, 5).map(({ partition }) => partition)
  const found = `${refused.length} refused by their leader (${errors.get(first.name)}): ${some.join(', ')}${refused.length > some.length ? ', …' : ''}`
  return [error('KAFKA_NOT_SERVED', 'kafka partitions', { found, hint: `${ASK_HEALTH} --only kafka` })]
}
