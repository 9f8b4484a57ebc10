/** Fetches the records of one topic from the leaders of its partitions. Joins no consumer group and commits nothing. */
import { cannotTell, error, OpsError, unknown } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { type Cluster, HEALTH_CHECK } from '../kafka/cluster.mts'
import { metadata, type TopicMetadata } from '../kafka/cluster-requests.mts'
import { type Fetched, type FetchLimits, fetchRecords, type Position } from '../kafka/fetch-request.mts'
import { readOffsets } from '../kafka/offsets.mts'
import { type KafkaRecord, readBatches } from '../kafka/records.mts'

export interface Message extends KafkaRecord {
  topic: string
  partition: number
}

export const timeOf = ({ timestampMs = -1 }: Message): number => timestampMs
export const byTime = (a: Message, b: Message): number =>
  timeOf(a) - timeOf(b) || a.partition - b.partition || a.offset - b.offset

/** Bytes of fetched batches kept in memory: for all partitions together, and the bounds of one partition's share. */
const BUFFER_BYTES = { all: 64 * 1024 * 1024, least: 64 * 1024, most: 1024 * 1024 }

/** Errors that a retry may resolve: the broker is no longer, or not yet, the leader, or has not yet learned of a new topic. */
const TRANSIENT = [
  'NOT_LEADER_OR_FOLLOWER',
  'LEADER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
]

/** Returns the failure of a topic or partition that no longer exists. */
export const topicGone = (name: string, found: string): OpsError =>
  new OpsError(1, [error('TOPIC_GONE', name, { found, hint: './scripts/create-topics.mts' })])

export class Reader {
  #cluster: Cluster
  readonly #timeoutMs: number
  #topic: TopicMetadata

  /** @param timeoutMs how long a partition may be without a leader that serves it */
  constructor(cluster: Cluster, topic: TopicMetadata, timeoutMs: number) {
    this.#cluster = cluster
    this.#topic = topic
    this.#timeoutMs = timeoutMs
  }

  /**
   * Reads the messages of a partition with offsets from `from` up to but excluding `to`, in batches. Compaction and transactions leave gaps.
   * @throws {OpsError} exit code 1 if a batch cannot be decoded or the topic was deleted; 3 if the partition has no leader
   */
  async *range(partition: number, from: number, to: number): AsyncGenerator<Message[]> {
    let offset = from
    while (offset < to) {
      const [answer] = await this.fetch([{ partition, offset }], 0)
      if (!answer) throw topicGone(this.#topic.name, 'deleted and recreated while being read')
      let read = 0
      for await (const { messages, nextOffset } of this.decode(answer, offset)) {
        read++
        offset = Math.max(offset, nextOffset)
        const wanted = messages.filter((message) => message.offset < to)
        if (wanted.length > 0) yield wanted
      }
      if (read > 0) continue
      // No records up to the high watermark, or the offset has been deleted in the meantime.
      const first = answer.error === 'NONE' ? to : ((await this.ends(partition))?.low ?? 0)
      offset = first > offset ? first : to
    }
  }

  /**
   * Fetches from these positions on. Returns nothing if the topic turns out to be recreated; its ID has then changed.
   * @param waitMs how long a leader may wait for a first record
   * @throws {OpsError} exit code 1 if the topic was deleted; 3 if partitions have no leader that serves them
   */
  async fetch(positions: readonly Position[], waitMs: number): Promise<Fetched[]> {
    const share = Math.floor(BUFFER_BYTES.all / this.#topic.partitions.length)
    const limits = { waitMs, partitionBytes: Math.min(BUFFER_BYTES.most, Math.max(BUFFER_BYTES.least, share)) }
    let answers: Fetched[] = []
    const settled = async () => {
      answers = await this.#askLeaders(positions, limits)
      if (!answers.some(({ error }) => TRANSIENT.includes(error))) return 'answered'
      const { id } = this.#topic
      await this.refresh()
      return this.#topic.id !== id && 'recreated'
    }
    const end = await waitUntil(settled, { timeoutMs: this.#timeoutMs, pollMs: 100 })
    if (end === 'answered') return answers
    if (end === 'recreated') return []
    throw this.#unserved(answers)
  }

  /** The topic as of the last refresh. */
  get topic(): TopicMetadata {
    return this.#topic
  }

  /**
   * Reads the topic's metadata again; its ID has changed if it was recreated. If `cluster` is given, it is used from now on.
   * @throws {OpsError} exit code 1 if the topic was deleted
   */
  async refresh(cluster: Cluster = this.#cluster): Promise<void> {
    this.#cluster = cluster
    const { name } = this.#topic
    const found = (await cluster.send(metadata)).topics.find((topic) => topic.name === name)
    if (found?.partitions.length) this.#topic = found
    else throw topicGone(name, 'deleted while being read')
  }

  async #askLeaders(positions: readonly Position[], limits: FetchLimits): Promise<Fetched[]> {
    const leaderOf = ({ partition }: Position) =>
      this.#topic.partitions.find(({ index }) => index === partition)?.leader ?? -1
    const leaders = new Set(positions.map(leaderOf))
    const answers = [...leaders].map(async (leader): Promise<Fetched[]> => {
      const led = positions.filter((position) => leaderOf(position) === leader)
      if (leader >= 0) return this.#cluster.sendTo(leader, fetchRecords(this.#topic.name, led, limits))
      return led.map(({ partition }) => ({ partition, error: 'LEADER_NOT_AVAILABLE', batches: Buffer.alloc(0) }))
    })
    return (await Promise.all(answers)).flat()
  }

  #unserved(answers: readonly Fetched[]): OpsError {
    const { name } = this.#topic
    const open = answers.filter((answer) => TRANSIENT.includes(answer.error))
    const found = `no leader answers for partitions ${open.map(({ partition }) => partition).join(', ')} (${open[0]?.error})`
    return cannotTell(unknown('KAFKA_NOT_SERVED', name, { found, hint: `${HEALTH_CHECK} --only kafka` }))
  }

  /**
   * Decodes the messages of an answer from `offset` on, one batch at a time, with the offset to continue from. Yields nothing if the offset is
   * outside the partition.
   * @throws {OpsError} exit code 1 if a batch cannot be decoded; 3 for an error reported by the broker
   */
  async *decode(answer: Fetched, offset: number): AsyncGenerator<{ messages: Message[]; nextOffset: number }> {
    const { name: topic } = this.#topic
    if (answer.error === 'OFFSET_OUT_OF_RANGE') return
    const { partition } = answer
    if (answer.error !== 'NONE') {
      const found = `Kafka refuses to return partition ${partition}: ${answer.error}`
      throw cannotTell(unknown('TOPIC_UNREAD', topic, { found, hint: `${HEALTH_CHECK} --only kafka` }))
    }
    try {
      for await (const { records, nextOffset } of readBatches(answer.batches)) {
        const messages = records.filter((record) => record.offset >= offset)
        yield { messages: messages.map((record) => ({ topic, partition, ...record })), nextOffset }
      }
    } catch (failure) {
      if (!(failure instanceof Error) || failure instanceof OpsError) throw failure
      const found = `partition ${partition}: ${failure.message}`
      const hint = `./scripts/tail-topic.mts ${topic} --partition ${partition} --from OFFSET, with a later offset`
      throw new OpsError(1, [error('TOPIC_UNREADABLE', topic, { found, hint })], failure)
    }
  }

  /** Returns the offsets of a partition's first retained record and after its last one; undefined while no leader reports them. */
  async ends(partition: number): Promise<{ low: number; high: number } | undefined> {
    const of = async (which: 'low' | 'high') =>
      (await readOffsets(this.#cluster, which, [this.#topic])).get(`${this.#topic.name}/${partition}`)?.offset
    const [low, high] = await Promise.all([of('low'), of('high')])
    return low === undefined || high === undefined ? undefined : { low, high }
  }
}
