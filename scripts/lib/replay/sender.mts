/** An idempotent producer that says of each message whether the broker has it. */
import { setTimeout as delay } from 'node:timers/promises'
import { configError, OpsError } from '../findings.mts'
import { openCluster, openKafkajs, unreachable } from '../kafka.mts'
import { compress, decompress } from '../lz4.mts'
import type { Settings } from '../settings.mts'
import { networkCause } from '../tcp.mts'
import { describeTopicConfigs } from '../topic-requests.mts'
import type { Message } from './message.mts'

export interface Sender {
  /** The most bytes that a batch should have: what every topic takes at once. */
  batchBytes: number
  /**
   * Sends a batch, and again until every message is acknowledged by all copies; the broker knows one that it has already.
   * @returns the indexes of messages that are too large for their topic
   * @throws {OpsError} exit code 3, when the broker does not come back in time. Whether it has messages of this batch is then unknown, and
   *   the sender must not be used again: it would number other messages as it numbered these.
   */
  send: (messages: readonly Message[]) => Promise<number[]>
  close: () => Promise<void>
}

/** Bytes of a request that brokers still read (socket.request.max.bytes, 100 MiB by default); beyond it they only close the connection. */
const MAX_REQUEST_BYTES = 90 * 1024 * 1024
/** Part of max.message.bytes that is filled: the rest is for keys, lengths and times. */
const FILL = 0.8
/** Milliseconds between two attempts while the broker is away. */
const RETRY_MS = 250

/**
 * A sender to the named topics: lz4, acknowledged by all, keyed.
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
    const finding = {
      code: 'REPLAY_TOPIC',
      subject: missing.join(', '),
      found: 'no such topic',
      expected: 'topics to send to',
    }
    throw configError([{ ...finding, hint: './scripts/create-topics.mts' }])
  }
  const limits = topics.map((topic) => Number(configs.get(topic)?.get('max.message.bytes')?.value))
  const batchBytes = Math.floor(Math.min(...limits) * FILL)
  const { default: kafkajs } = await import('kafkajs')
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => compress(buffer),
    decompress: async (buffer: Buffer) => decompress(buffer),
  })
  const kafka = await openKafkajs(settings, { timeoutMs: Math.min(timeoutMs, 30_000) })
  const producer = await kafka.producer({ idempotent: true, maxInFlightRequests: 1 })

  /** One request; the same request again after a failure is no second one to the broker, since kafkajs takes back its numbers. */
  const request = async (messages: readonly Message[]): Promise<'acknowledged' | 'too large'> => {
    const byTopic = new Map<string, { key: string; value: string }[]>()
    for (const { topic, key, value } of messages) {
      const list = byTopic.get(topic)
      if (list) list.push({ key, value })
      else byTopic.set(topic, [{ key, value }])
    }
    const topicMessages = [...byTopic].map(([topic, list]) => ({ topic, messages: list }))
    const deadline = performance.now() + timeoutMs
    let told = ''
    for (;;) {
      try {
        await producer.sendBatch({ acks: -1, compression: kafkajs.CompressionTypes.LZ4, topicMessages })
        return 'acknowledged'
      } catch (error) {
        if (isTooLarge(error) && messages.length === 1) return 'too large'
        if (error instanceof OpsError || isTooLarge(error)) throw error
        if (performance.now() > deadline)
          throw unreachable(settings.KAFKA_BOOTSTRAP_SERVERS.join(','), error, timeoutMs)
        const cause = networkCause(error)
        if (cause !== told) log(`Kafka does not take the messages, trying again: ${cause}`)
        told = cause
        await delay(RETRY_MS)
      }
    }
  }

  return {
    batchBytes,
    send: async (messages) => {
      const refused: number[] = []
      let from = 0
      const upTo = async (end: number) => {
        if (end > from) await request(messages.slice(from, end))
        from = end
      }
      for (const [index, message] of messages.entries()) {
        const bytes = Buffer.byteLength(message.value)
        if (bytes <= batchBytes) continue
        // Alone, in its place: refused together with others, it could not be told which of them the broker has.
        await upTo(index)
        if (bytes > MAX_REQUEST_BYTES || (await request([message])) === 'too large') refused.push(index)
        from = index + 1
      }
      await upTo(messages.length)
      return refused
    },
    close: kafka.close,
  }
}

function isTooLarge(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if ((at as { type?: unknown }).type === 'MESSAGE_TOO_LARGE') return true
  return false
}
