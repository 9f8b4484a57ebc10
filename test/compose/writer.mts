/** A light load on the three stores that records what each acknowledged, and reads back what is still stored. */
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { waitUntil } from '../../scripts/lib/common/wait.mts'

const TOPIC = 'compose.test'
const TABLE = 'compose_test'

export interface Access {
  kafka: string
  clickhouse: { url: string; user: string; password: string }
  redis: { port: number; password: string }
}

export const DEFAULT_ACCESS: Access = {
  kafka: '127.0.0.1:9092',
  clickhouse: { url: 'http://127.0.0.1:8123/', user: 'l2_user', password: 'l2_secure_pass' },
  redis: { port: 6380, password: '' },
}

export const STORES = ['kafka', 'clickhouse', 'redis'] as const
export type Store = (typeof STORES)[number]

export interface Writer {
  acknowledged: Record<Store, number[]>
  /** Stops the load. Resolves when the last write is acknowledged or abandoned. */
  stop: () => Promise<void>
}

function kafkaOf(access: Access, retries = 0): Kafka {
  return new Kafka({
    brokers: [access.kafka],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2_000,
    requestTimeout: 4_000,
    retry: { retries },
  })
}

async function query(access: Access, sql: string): Promise<string> {
  const { url, user, password } = access.clickhouse
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password },
    body: sql,
    signal: AbortSignal.timeout(5_000),
  })
  if (!response.ok) throw new Error(await response.text())
  return response.text()
}

/** Creates the test topic and table if they are missing. */
export async function prepare(access = DEFAULT_ACCESS): Promise<void> {
  const admin = kafkaOf(access, 10).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3, replicationFactor: 1 }] })
  await admin.disconnect()
  await query(access, `CREATE TABLE IF NOT EXISTS ${TABLE} (id UInt64) ENGINE = MergeTree ORDER BY id`)
}

/** Writes numbered records, rows and keys, about 50 per second to each store, until stopped. Failed writes are not retried. */
export function startWriter(access = DEFAULT_ACCESS): Writer {
  const acknowledged: Writer['acknowledged'] = { kafka: [], clickhouse: [], redis: [] }
  let stopped = false
  const kafka = kafkaOf(access)
  let producer: Producer | undefined
  const redis = new Redis({
    port: access.redis.port,
    password: access.redis.password,
    maxRetriesPerRequest: 1,
    commandTimeout: 2_000,
    retryStrategy: () => 200,
  })
  // Each command's failure is handled where it is awaited.
  redis.on('error', () => {})
  const write: Record<Store, (id: number) => Promise<unknown>> = {
    kafka: async (id) => {
      try {
        if (!producer) {
          const fresh = kafka.producer()
          await fresh.connect()
          producer = fresh
        }
        await producer.send({
          topic: TOPIC,
          acks: -1,
          timeout: 3_000,
          messages: [{ key: String(id), value: String(id) }],
        })
      } catch (error) {
        // A connection to a broker that is gone must not be reused.
        await producer?.disconnect()
        producer = undefined
        throw error
      }
    },
    clickhouse: (id) => query(access, `INSERT INTO ${TABLE} VALUES (${id})`),
    redis: (id) => redis.set(`compose-test:${id}`, id),
  }
  const loops = STORES.map(async (store) => {
    for (let id = Date.now() * 1000; !stopped; id++) {
      try {
        await write[store](id)
        acknowledged[store].push(id)
      } catch {
        // The store was just killed. This id was not acknowledged.
      }
      await delay(20)
    }
  })
  const stop = async () => {
    stopped = true
    await Promise.all(loops)
    await producer?.disconnect()
    redis.disconnect()
  }
  return { acknowledged, stop }
}

/** Writes `count` numbers to each store and waits for their acknowledgements. */
export async function writeSome(count: number, access = DEFAULT_ACCESS): Promise<Writer['acknowledged']> {
  const writer = startWriter(access)
  const enough = async () => STORES.every((store) => writer.acknowledged[store].length >= count)
  const written = await waitUntil(enough, { timeoutMs: 30_000, pollMs: 100 })
  await writer.stop()
  if (!written) throw new Error(`Fewer than ${count} acknowledged writes to a store within 30 s`)
  return writer.acknowledged
}

/** Returns all test numbers in each store. */
export async function readAll(access = DEFAULT_ACCESS): Promise<Record<Store, Set<number>>> {
  const rows = await query(access, `SELECT id FROM ${TABLE}`)
  const redis = new Redis({ port: access.redis.port, password: access.redis.password })
  const keys = await redis.keys('compose-test:*')
  redis.disconnect()
  return {
    kafka: await consumeAll(access),
    clickhouse: new Set(rows.split('\n').filter(Boolean).map(Number)),
    redis: new Set(keys.map((key) => Number(key.split(':')[1]))),
  }
}

async function consumeAll(access: Access): Promise<Set<number>> {
  // The first consumer ever waits until the broker has created the topic for committed offsets.
  const kafka = kafkaOf(access, 10)
  const admin = kafka.admin()
  await admin.connect()
  const ends = new Map((await admin.fetchTopicOffsets(TOPIC)).map(({ partition, high }) => [partition, Number(high)]))
  const numbers = new Set<number>()
  const groupId = `compose-test-${Date.now()}`
  const consumer = kafka.consumer({ groupId })
  await consumer.connect()
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true })
  const open = new Set([...ends].filter(([, high]) => high > 0).map(([partition]) => partition))
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`Partitions not read to their end within 60 s: ${[...open]}`)),
      60_000,
    )
    const finish = () => {
      clearTimeout(timer)
      resolve()
    }
    if (open.size === 0) finish()
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          numbers.add(Number(message.value))
          if (Number(message.offset) + 1 >= (ends.get(partition) ?? 0)) open.delete(partition)
          if (open.size === 0) finish()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  await admin.deleteGroups([groupId])
  await admin.disconnect()
  return numbers
}
