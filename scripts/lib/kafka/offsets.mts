/** How far topics reach: the offsets of their first and last records, and which partitions do not say. */
import { error, type Finding } from '../common/findings.mts'
import { readUntil } from '../common/wait.mts'
import { ASK_HEALTH, type Cluster } from './cluster.mts'
import { errorName, metadata, type TopicMetadata } from './cluster-requests.mts'
import { withRight } from './permissions.mts'
import { type Request, readStructures } from './transport.mts'

/**
 * Which offset of a partition: after the last record, of the first that is kept, of the record with the newest timestamp, or of the first
 * with this timestamp or a later one.
 */
export type Which = 'high' | 'low' | 'newest' | { sinceMs: number }
const WHICH = { high: -1, low: -2, newest: -3 }

export interface PartitionOffset {
  topic: string
  partition: number
  error: string
  /** -1 when no record is so new. */
  offset: number
  /** Milliseconds since 1970 of the record, only for `newest` and a time; -1 when there is none. */
  timestampMs: number
}

/** Offsets of partitions. For their leader. */
export const listOffsets = (
  which: Which,
  topics: { name: string; partitions: number[] }[],
): Request<PartitionOffset[]> => ({
  key: 2,
  version: 7,
  flexible: true,
  write: (to) => {
    // Not a replica; committed and open transactions alike.
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
        const error = withRight(code, { operation: 'Describe', on: 'topic', names: [topic] })
        const [timestampMs, offset] = [Number(from.readInt64()), Number(from.readInt64())]
        from.forward(4)
        return { topic, partition, error, offset, timestampMs }
      })
    })
    return topics.flat()
  },
})

/** A record's time for people; one beyond the dates of JavaScript, such as nanoseconds sent for milliseconds, as the number it is. */
export const formatTime = (ms: number): string =>
  Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms since 1970`

/** By `topic/partition`. */
export type Offsets = Map<string, PartitionOffset>

/** What the leader of each partition of the topics answers; nothing of those without a leader. */
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
 * Offsets of all partitions of the topics. Left out are those without a leader, and those whose leader does not report them, such as one
 * that is no longer the leader.
 */
export async function readOffsets(cluster: Cluster, which: Which, topics: readonly TopicMetadata[]): Promise<Offsets> {
  return knownOf(await askLeaders(cluster, which, topics))
}

export interface Ends {
  /** Those of the named topics that exist. */
  topics: TopicMetadata[]
  /** High watermarks. */
  high: Offsets
  /** By topic, the partitions that did not report theirs. */
  unread: Map<string, number[]>
  /** By topic, why: the error of its first such partition. */
  errors: Map<string, string>
}

/** The named topics and where their partitions end, as soon as all report it, or as far as they did after `waitMs`. */
export async function readEnds(cluster: Cluster, names: readonly string[], waitMs: number): Promise<Ends> {
  const read = async (): Promise<Ends> => {
    // Leaders change, so they are read again too.
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

/** Milliseconds that a leader gets to take its partitions over: after a start or an election it refuses them for a moment. */
export const TAKE_OVER_MS = 10_000

/**
 * The finding of partitions of the named topics whose leader refuses them for `waitMs`, with its error, as metadata does not say; none when
 * all are served. Partitions without any leader are another finding's.
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
