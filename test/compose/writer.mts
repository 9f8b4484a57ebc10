/** A light load on the three stores that remembers what each acknowledged, and what is still there of it. */
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { waitUntil } from '../../scripts/lib/common/wait.mts'

const TOPIC = 'compose.proof'
const TABLE = 'compose_proof'

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
  /** Ends the load; resolves when the last write is answered or given up. */
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

/** Makes the proof's topic and table, where they are missing. */
export async function prepare(access = DEFAULT_ACCESS): Promise<void> {
  const admin = kafkaOf(access, 10).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3, replicationFactor: 1 }] })
  await admin.disconnect()
  await query(access, `CREATE TABLE IF NOT EXISTS ${TABLE} (id UInt64) ENGINE = MergeTree ORDER BY id`)
}

/** Writes numbered records, rows and keys, about 50 a second to each store, until stopped. Failed writes are not repeated. */
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
  // Every command's own failure is seen where it is awaited.
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
        // A connection of a broker that is gone is not used again.
        await producer?.disconnect()
        producer = undefined
        throw error
      }
    },
    clickhouse: (id) => query(access, `INSERT INTO ${TABLE} VALUES (${id})`),
    redis: (id) => redis.set(`compose-proof:${id}`, id),
  }
  const loops = STORES.map(async (store) => {
    for (let id = Date.now() * 1000; !stopped; id++) {
      try {
        await write[store](id)
        acknowledged[store].push(id)
      } catch {
        // A store that was just killed: this id was not acknowledged.
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

/** Writes `count` numbers to each store, all acknowledged. */
export async function writeSome(count: number, access = DEFAULT_ACCESS): Promise<Writer['acknowledged']> {
  const writer = startWriter(access)
  const enough = async () => STORES.every((store) => writer.acknowledged[store].length >= count)
  const written = await waitUntil(enough, { timeoutMs: 30_000, pollMs: 100 })
  await writer.stop()
  if (!written) throw new Error(`Not ${count} acknowledged writes to each store in 30 s`)
  return writer.acknowledged
}

/** Everything that the stores hold of the proof's numbers. */
export async function readAll(access = DEFAULT_ACCESS): Promise<Record<Store, Set<number>>> {
  const rows = await query(access, `SELECT id FROM ${TABLE}`)
  const redis = new Redis({ port: access.redis.port, password: access.redis.password })
  const keys = await redis.keys('compose-proof:*')
  redis.disconnect()
  return {
    kafka: await consumeAll(access),
    clickhouse: new Set(rows.split('\n').filter(Boolean).map(Number)),
    redis: new Set(keys.map((key) => Number(key.split(':')[1]))),
  }
}

async function consumeAll(access: Access): Promise<Set<number>> {
  // The first consumer of all waits until the broker has made its topic of offsets.
  const kafka = kafkaOf(access, 10)
  const admin = kafka.admin()
  await admin.connect()
  const ends = new Map((await admin.fetchTopicOffsets(TOPIC)).map(({ partition, high }) => [partition, Number(high)]))
  const numbers = new Set<number>()
  const groupId = `compose-proof-${Date.now()}`
  const consumer = kafka.consumer({ groupId })
  await consumer.connect()
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true })
  const open = new Set([...ends].filter(([, high]) => high > 0).map(([partition]) => partition))
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Not read to the end in 60 s: partitions ${[...open]}`)), 60_000)
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
