/** Reads the first and last offset of each partition, and reports partitions that no leader serves. */
import { error, type Finding } from '../common/findings.mts'
import { readUntil } from '../common/wait.mts'
import { type Cluster, HEALTH_CHECK } from './cluster.mts'
import { errorName, metadata, type TopicMetadata } from './cluster-requests.mts'
import { withMissingAcl } from './permissions.mts'
import { type Request, readStructures } from './transport.mts'

/**
 * Selects an offset of a partition: `high` is after the last record, `low` that of the first retained record, `newest` that of the record with
 * the highest timestamp, and `sinceMs` that of the first record with this timestamp or a later one.
 */
export type Which = 'high' | 'low' | 'newest' | { sinceMs: number }
const WHICH = { high: -1, low: -2, newest: -3 }

export interface PartitionOffset {
  topic: string
  partition: number
  error: string
  /** -1 if there is no such record. */
  offset: number
  /** The record's timestamp in milliseconds since 1970, for `newest` and `sinceMs` only; -1 if there is no such record. */
  timestampMs: number
}

/** Reads offsets of partitions. Send it to their leader. */
export const listOffsets = (
  which: Which,
  topics: { name: string; partitions: number[] }[],
): Request<PartitionOffset[]> => ({
  key: 2,
  version: 7,
  flexible: true,
  write: (to) => {
    // Not a replica; read uncommitted.
    to.writeInt32(-1)
      .writeInt8(0)
      .writeUVarInt(topics.length + 1)
    const timestamp = typeof which === 'string' ? WHICH[which] : which.sinceMs
    for (const { name, partitions } of topics) {
      to.writeUVarIntString(name).writeUVarInt(partitions.length + 1)
      for (const index of partitions) to.writeInt32(index).writeInt32(-1).writeInt64(timestamp).writeUVarInt(0)
      to.writeUVarInt(0)
    }
    to.writeUVarInt(0)
  },
  read: (from) => {
    from.forward(4)
    const topics = readStructures(from, () => {
      const topic = from.readUVarIntString() ?? ''
      return readStructures(from, () => {
        const [partition, code] = [from.readInt32(), errorName(from.readInt16())]
        const error = withMissingAcl(code, { operation: 'Describe', on: 'topic', names: [topic] })
        const [timestampMs, offset] = [Number(from.readInt64()), Number(from.readInt64())]
        from.forward(4)
        return { topic, partition, error, offset, timestampMs }
      })
    })
    return topics.flat()
  },
})

/** Formats a record's timestamp. One outside JavaScript's date range, such as nanoseconds sent as milliseconds, is shown as a number. */
export const formatTime = (ms: number): string =>
  Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms since 1970`

/** By `topic/partition`. */
export type Offsets = Map<string, PartitionOffset>

/** Returns the answers of the partitions' leaders; partitions without a leader are left out. */
async function askLeaders(
  cluster: Cluster,
  which: Which,
  topics: readonly TopicMetadata[],
): Promise<PartitionOffset[]> {
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
  return answers.flat()
}

const knownOf = (answers: readonly PartitionOffset[]): Offsets =>
  new Map(answers.filter(({ error }) => error === 'NONE').map((each) => [`${each.topic}/${each.partition}`, each]))

/**
 * Reads an offset of each partition of the topics. Partitions are left out if they have no leader, or if it does not report the offset, for
 * example because it is no longer the leader.
 */
export async function readOffsets(cluster: Cluster, which: Which, topics: readonly TopicMetadata[]): Promise<Offsets> {
  return knownOf(await askLeaders(cluster, which, topics))
}

export interface Ends {
  /** The named topics that exist. */
  topics: TopicMetadata[]
  /** High watermarks. */
  high: Offsets
  /** By topic, the partitions whose high watermark could not be read. */
  unread: Map<string, number[]>
  /** By topic, the error of the first such partition. */
  errors: Map<string, string>
}

/** Reads the named topics and the ends of their partitions. Retries for up to `waitMs` until all partitions have answered. */
export async function readEnds(cluster: Cluster, names: readonly string[], waitMs: number): Promise<Ends> {
  const read = async (): Promise<Ends> => {
    // Read on every attempt, because leaders change.
    const topics = (await cluster.send(metadata)).topics.filter(({ name }) => names.includes(name))
    const answers = await askLeaders(cluster, 'high', topics)
    const high = knownOf(answers)
    const open = topics.map(({ name, partitions }): [string, number[]] => [
      name,
      partitions.map(({ index }) => index).filter((index) => !high.has(`${name}/${index}`)),
    ])
    const unread = new Map(open.filter(([, indexes]) => indexes.length > 0))
    const refused = (name: string) => answers.find(({ topic, error }) => topic === name && error !== 'NONE')?.error
    const errors = new Map([...unread.keys()].map((name) => [name, refused(name) ?? 'LEADER_NOT_AVAILABLE']))
    return { topics, high, unread, errors }
  }
  return readUntil(read, ({ unread }) => unread.size === 0, { timeoutMs: waitMs, pollMs: 50 })
}

/** Milliseconds that a leader gets to take over its partitions: after a start or an election it refuses to serve them for a moment. */
export const TAKE_OVER_MS = 10_000

/**
 * Reports partitions of the named topics that their leader refuses to serve for `waitMs`, which the metadata does not show. Partitions without
 * a leader are reported elsewhere.
 * @throws {OpsError} exit code 3 if a broker does not answer
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
  return [error('KAFKA_NOT_SERVED', 'kafka partitions', { found, hint: `${HEALTH_CHECK} --only kafka` })]
}
