/** Records of one topic, fetched from the leaders of its partitions. Joins no consumer group, commits nothing. */
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

/** Bytes of fetched batches that are held at once, as far as partitions can share them. */
const HELD_BYTES = { all: 64 * 1024 * 1024, least: 64 * 1024, most: 1024 * 1024 }

/** Answers of a broker that is no longer, or not yet, the leader. */
const ELSEWHERE = [
  'NOT_LEADER_OR_FOLLOWER',
  'LEADER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
]
/** The same without the topic: a broker learns of a new topic, and of a new leader, a little later than its controller. */
const PASSING = [...ELSEWHERE, 'UNKNOWN_TOPIC_OR_PARTITION']

/** The failure of a topic, or of a partition, that is no more. */
export const topicGone = (name: string, found: string): OpsError =>
  new OpsError(1, [error('TOPIC_GONE', name, { found, hint: './scripts/create-topics.mts' })])

export class Reader {
  #cluster: Cluster
  readonly #timeoutMs: number
  #topic: TopicMetadata

  /** @param timeoutMs how long a partition may be without a leader that answers for it */
  constructor(cluster: Cluster, topic: TopicMetadata, timeoutMs: number) {
    this.#cluster = cluster
    this.#topic = topic
    this.#timeoutMs = timeoutMs
  }

  /**
   * The messages of a partition with offsets from `from` up to but not `to`, in batches. Compaction and transactions leave gaps.
   * @throws {OpsError} exit code 1 for a batch that cannot be decoded or a topic that is gone; 3 for a partition without a leader
   */
  async *range(partition: number, from: number, to: number): AsyncGenerator<Message[]> {
    let offset = from
    while (offset < to) {
      const [answer] = await this.fetch([{ partition, offset }], 0)
      if (!answer) throw topicGone(this.#topic.name, 'deleted and recreated while it was read')
      let read = 0
      for await (const { messages, nextOffset } of this.decode(answer, offset)) {
        read++
        offset = Math.max(offset, nextOffset)
        const wanted = messages.filter((message) => message.offset < to)
        if (wanted.length > 0) yield wanted
      }
      if (read > 0) continue
      // Nothing below the high watermark, or no such offset any more: what was there has been deleted meanwhile.
      const first = answer.error === 'NONE' ? to : ((await this.ends(partition))?.low ?? 0)
      offset = first > offset ? first : to
    }
  }

  /**
   * What the leaders have from these positions on; nothing of a topic that was recreated meanwhile, as its id then shows.
   * @param waitMs how long a leader may wait for a first record
   * @throws {OpsError} exit code 1 for a topic that is gone, 3 for partitions without a leader that answers
   */
  async fetch(positions: readonly Position[], waitMs: number): Promise<Fetched[]> {
    const share = Math.floor(HELD_BYTES.all / this.#topic.partitions.length)
    const limits = { waitMs, partitionBytes: Math.min(HELD_BYTES.most, Math.max(HELD_BYTES.least, share)) }
    let answers: Fetched[] = []
    const settled = async () => {
      answers = await this.#ask(positions, limits)
      if (!answers.some(({ error }) => PASSING.includes(error))) return 'answered'
      const { id } = this.#topic
      await this.refresh()
      return this.#topic.id !== id && 'another'
    }
    const end = await waitUntil(settled, { timeoutMs: this.#timeoutMs, pollMs: 100 })
    if (end === 'answered') return answers
    if (end === 'another') return []
    throw this.#unserved(answers)
  }

  /** The topic as it was last seen. */
  get topic(): TopicMetadata {
    return this.#topic
  }

  /**
   * Sees the topic again, in `cluster` from now on if that is given. Its id is new if it was recreated.
   * @throws {OpsError} exit code 1 for a topic that is gone
   */
  async refresh(cluster: Cluster = this.#cluster): Promise<void> {
    this.#cluster = cluster
    const { name } = this.#topic
    const found = (await cluster.send(metadata)).topics.find((topic) => topic.name === name)
    if (found?.partitions.length) this.#topic = found
    else throw topicGone(name, 'deleted while it was read')
  }

  async #ask(positions: readonly Position[], limits: FetchLimits): Promise<Fetched[]> {
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
    const open = answers.filter((answer) => PASSING.includes(answer.error))
    const found = `no leader answers for partitions ${open.map(({ partition }) => partition).join(', ')} (${open[0]?.error})`
    return cannotTell(unknown('KAFKA_NOT_SERVED', name, { found, hint: `${HEALTH_CHECK} --only kafka` }))
  }

  /**
   * The messages of an answer from `offset` on, a batch at a time, and where to go on. None for an offset that the partition does not have.
   * @throws {OpsError} exit code 1 for a batch that cannot be decoded, 3 for an error of the broker
   */
  async *decode(answer: Fetched, offset: number): AsyncGenerator<{ messages: Message[]; nextOffset: number }> {
    const { name: topic } = this.#topic
    if (answer.error === 'OFFSET_OUT_OF_RANGE') return
    const { partition } = answer
    if (answer.error !== 'NONE') {
      const found = `Kafka does not give partition ${partition}: ${answer.error}`
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
      const hint = `./scripts/tail-topic.mts ${topic} --partition ${partition} --from OFFSET, with one after it`
      throw new OpsError(1, [error('TOPIC_UNREADABLE', topic, { found, hint })], failure)
    }
  }

  /** The offsets of the first record that a partition keeps, and after its last one; undefined while no leader reports them. */
  async ends(partition: number): Promise<{ low: number; high: number } | undefined> {
    const of = async (which: 'low' | 'high') =>
      (await readOffsets(this.#cluster, which, [this.#topic])).get(`${this.#topic.name}/${partition}`)?.offset
    const [low, high] = await Promise.all([of('low'), of('high')])
    return low === undefined || high === undefined ? undefined : { low, high }
  }
}
