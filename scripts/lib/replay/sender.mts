/** An idempotent producer that says of each message whether the broker has it. */
import { setTimeout as delay } from 'node:timers/promises'
import { configError, error, OpsError } from '../common/findings.mts'
import { grouped } from '../common/grouped.mts'
import { networkCause } from '../common/tcp.mts'
import { openKafkajs } from '../kafka/clients.mts'
import { openCluster, unreachable } from '../kafka/cluster.mts'
import { isPermissionError, missingPermission } from '../kafka/permissions.mts'
import { describeTopicConfigs } from '../kafka/topic-requests.mts'
import type { Settings } from '../settings/settings.mts'
import type { Message } from './message.mts'

export interface Sender {
  /** The most bytes of keys and values that a batch of several messages should have: what every topic takes at once. */
  batchBytes: number
  /**
   * Sends a batch, and again until every message is acknowledged by all copies. One broker, as this stack has, knows what it has already;
   * of several, one that took its part while another stayed away may get that part twice, since kafkajs counts it as sent.
   * @returns the indexes of messages that are too large for their topic
   * @throws {OpsError} exit code 3, when the broker does not come back in time. Whether it has messages of this batch is then unknown, and
   *   the sender must not be used again: it would number other messages as it numbered these.
   */
  send: (messages: readonly Message[]) => Promise<number[]>
  close: () => Promise<void>
}

interface Outgoing {
  topic: string
  /** In the batch that was to be sent. */
  index: number
  record: { key: string; value: string; partition?: number }
}

/** Bytes of a request that brokers still read (socket.request.max.bytes, 100 MiB by default); beyond it they only close the connection. */
const MAX_REQUEST_BYTES = 90 * 1024 * 1024
/** Part of max.message.bytes that is filled: the rest is for lengths and times. */
const FILL = 0.8
/** Milliseconds between two attempts while the broker is away. */
const RETRY_MS = 250

/**
 * A sender to the named topics: keyed, acknowledged by all copies. It sends plain batches; the broker stores them as each topic's
 * compression.type says, here lz4.
 * @param options.timeoutMs how long the broker may be away
 * @throws {OpsError} exit code 2, when a topic does not exist; 3, when the broker does not answer
 */
export async function openSender(
  settings: Settings,
  topics: readonly string[],
  { timeoutMs, log }: { timeoutMs: number; log: (line: string) => void },
): Promise<Sender> {
  const cluster = await openCluster(settings, { timeoutMs, log })
  const configs = await cluster.sendTo('controller', describeTopicConfigs([...topics])).finally(cluster.close)
  const missing = topics.filter((topic) => !configs.has(topic))
  if (missing.length > 0) {
    const hint = './scripts/create-topics.mts'
    throw configError([error('REPLAY_TOPIC', missing.join(', '), { found: 'no such topic', hint })])
  }
  const limits = topics.map((topic) => Number(configs.get(topic)?.get('max.message.bytes')?.value))
  const batchBytes = Math.min(Math.floor(Math.min(...limits) * FILL), MAX_REQUEST_BYTES)
  const { default: kafkajs } = await import('kafkajs')
  const kafka = await openKafkajs(settings, { timeoutMs: Math.min(timeoutMs, 30_000) })
  const producer = await kafka
    .producer({
      idempotent: true,
      maxInFlightRequests: 1,
      // A message stays in the partition that it went to first, and can be asked for it.
      createPartitioner: () => {
        const choose = kafkajs.Partitioners.DefaultPartitioner()
        return (args) => {
          args.message.partition ??= choose(args)
          return args.message.partition
        }
      },
    })
    .catch(async (failure: unknown) => {
      // What it has connected would keep the process alive.
      await kafka.close()
      throw failure
    })

  /** One request; the same request again after a failure is no second one to the broker, since kafkajs takes back its numbers. */
  const request = async (batch: readonly Outgoing[]): Promise<'acknowledged' | 'too large'> => {
    let left = batch
    const deadline = performance.now() + timeoutMs
    let logged = ''
    for (;;) {
      const topicMessages = [...grouped(left, ({ topic }) => topic)].map(([topic, list]) => ({
        topic,
        messages: list.map(({ record }) => record),
      }))
      try {
        const answers = await producer.sendBatch({ acks: -1, topicMessages })
        const taken = new Set(answers.map(({ topicName, partition }) => `${topicName} ${partition}`))
        // kafkajs, trying again after a leader has changed, asks no broker twice: what the new leader was to get beside what it has
        // taken is not sent at all, and only has no answer.
        left = left.filter(({ topic, record }) => !taken.has(`${topic} ${record.partition}`))
        if (left.length === 0) return 'acknowledged'
        if (performance.now() > deadline) throw new Error('no answer for some partitions')
      } catch (error) {
        if (isTooLarge(error)) return 'too large'
        if (error instanceof OpsError) throw error
        if (isPermissionError((error as { type?: unknown }).type)) {
          const names = topicMessages.map(({ topic }) => topic)
          throw configError([missingPermission(settings, { operation: 'Write', on: 'topic', names })])
        }
        if (performance.now() > deadline)
          throw unreachable(settings.KAFKA_BOOTSTRAP_SERVERS.join(','), error, timeoutMs)
        const cause = networkCause(error)
        if (cause !== logged) log(`Kafka does not take the messages, trying again: ${cause}`)
        logged = cause
        await delay(RETRY_MS)
      }
    }
  }

  /** Sends a batch, in parts where it is too large as a whole. Returns the messages that are too large alone. */
  const deliver = async (batch: readonly Outgoing[]): Promise<readonly Outgoing[]> => {
    const [first] = batch
    if (!first) return []
    const alone = batch.length === 1
    if (alone && Buffer.byteLength(first.record.value) > MAX_REQUEST_BYTES) return batch
    if ((await request(batch)) === 'acknowledged') return []
    if (alone) return batch
    // Other partitions may have theirs: the broker knows it again if it comes as it came. What one refused has none of it, and can be cut.
    const partitions = [...grouped(batch, ({ topic, record }) => `${topic} ${record.partition}`).values()]
    const middle = Math.ceil(batch.length / 2)
    const refused: Outgoing[] = []
    for (const part of partitions.length > 1 ? partitions : [batch.slice(0, middle), batch.slice(middle)])
      refused.push(...(await deliver(part)))
    return refused
  }

  return {
    batchBytes,
    send: async (messages) => {
      const refused = await deliver(
        messages.map(({ topic, key, value }, index) => ({ topic, index, record: { key, value } })),
      )
      return refused.map(({ index }) => index)
    },
    close: kafka.close,
  }
}

function isTooLarge(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if ((at as { type?: unknown }).type === 'MESSAGE_TOO_LARGE') return true
  return false
}
