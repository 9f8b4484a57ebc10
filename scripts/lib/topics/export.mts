/** Exports a cluster's existing topics as a declaration. */
import { configError, error } from '../common/findings.mts'
import { openCluster } from '../kafka/cluster.mts'
import type { Settings } from '../settings/settings.mts'
import { renderTopicsFile } from './declaration.mts'
import { readTopics } from './read.mts'

export interface Exported {
  clusterId: string
  topics: { name: string; partitions: number; replication: number; config: Record<string, string> }[]
  /** The declaration, in the format of kafka/topics.yml. */
  yaml: string
}

/**
 * Reads the cluster's topics, except Kafka's internal ones, and returns them with their declaration. Changes nothing.
 * @param options.only only these topics; all if empty
 * @throws {OpsError} exit code 2 for a topic in `only` that does not exist; 3 when the broker does not answer
 */
export async function exportTopics(
  settings: Settings,
  { only, timeoutMs, log }: { only: readonly string[]; timeoutMs: number; log: (line: string) => void },
): Promise<Exported> {
  const cluster = await openCluster(settings, { timeoutMs, log })
  try {
    const { clusterId } = cluster.metadata
    const present = cluster.metadata.topics.filter(({ internal }) => !internal).map(({ name }) => name)
    const hint = './scripts/create-topics.mts --export'
    const wrong = only.filter((name) => !present.includes(name))
    const expected = [...present].sort().join(' ')
    if (wrong.length > 0)
      throw configError(
        wrong.map((name) => error('USAGE', `--only ${name}`, { found: 'no such topic', expected, hint })),
      )
    const wanted = only.length > 0 ? only : present
    const topics = (await readTopics(cluster, wanted)).filter(({ name }) => wanted.includes(name))
    return {
      clusterId,
      topics: topics.map(({ name, partitions, replication, config }) => {
        const own = [...config].flatMap(([key, { value, own: isOwn }]) => (isOwn ? [[key, value ?? '']] : []))
        return { name, partitions, replication, config: Object.fromEntries(own) }
      }),
      yaml: renderTopicsFile(topics, clusterId),
    }
  } finally {
    cluster.close()
  }
}
