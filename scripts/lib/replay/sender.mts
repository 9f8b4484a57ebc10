/** An idempotent producer that reports the messages that are too large for their topic. */
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
  /** Recommended limit for the keys and values of a batch of several messages, in bytes: every topic accepts it in one request. */
  batchBytes: number
  /**
   * Sends a batch, retrying until all in-sync replicas have acknowledged every message. A single broker, as in this stack, discards
   * duplicates. With several, a broker that accepted its part while another was unavailable may store that part twice, because kafkajs
   * counts it as sent.
   * @returns the indexes of messages that are too large for their topic
   * @throws {OpsError} exit code 3, when the broker does not recover in time. It is then unknown whether messages of this batch are stored,
   *   and the sender must not be used again, because it would reuse their sequence numbers for other messages.
   */
  send: (messages: readonly Message[]) => Promise<number[]>
  close: () => Promise<void>
}

interface Outgoing {
  topic: string
  /** Index in the batch passed to `send`. */
  index: number
  record: { key: string; value: string; partition?: number }
}

/** Below the broker's limit for a request (socket.request.max.bytes, 100 MiB by default), beyond which it closes the connection. */
const MAX_REQUEST_BYTES = 90 * 1024 * 1024
/** Fraction of max.message.bytes for keys and values; the rest is for lengths and timestamps. */
const FILL = 0.8
/** Milliseconds between attempts while the broker is unavailable. */
const RETRY_MS = 250

/**
 * Opens a sender to the given topics. It sends keyed messages uncompressed; the broker applies each topic's compression.type, here lz4.
 * @param options.timeoutMs how long the broker may be unavailable
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
      // Stores the partition in the message, so that retries use the same one.
      createPartitioner: () => {
        const choose = kafkajs.Partitioners.DefaultPartitioner()
        return (args) => {
          args.message.partition ??= choose(args)
          return args.message.partition
        }
      },
    })
    .catch(async (failure: unknown) => {
      // Open connections would keep the process alive.
      await kafka.close()
      throw failure
    })

  /** Sends a request. With one broker, retries cause no duplicates: kafkajs resets its sequence numbers after a failure. */
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
        // When kafkajs retries after a change of leader, it sends nothing to brokers that have already answered. Partitions that moved to
        // such a broker are not sent, and are missing from the answers.
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
        if (cause !== logged) log(`Kafka does not accept messages, retrying: ${cause}`)
        logged = cause
        await delay(RETRY_MS)
      }
    }
  }

  /** Sends a batch, split if it is too large. Returns the messages that are too large on their own. */
  const deliver = async (batch: readonly Outgoing[]): Promise<readonly Outgoing[]> => {
    const [first] = batch
    if (!first) return []
    const alone = batch.length === 1
    if (alone && Buffer.byteLength(first.record.value) > MAX_REQUEST_BYTES) return batch
    if ((await request(batch)) === 'acknowledged') return []
    if (alone) return batch
    // Some partitions may have accepted their part. If it is resent unchanged, the broker discards it as a duplicate. A partition that
    // refused its part has stored none of it, so that it can be split.
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
