import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { Kafka, logLevel } from 'kafkajs'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { containerOf, inspect, output, type Service, up, writeEnv } from './engine.mts'
import { type Note, proof } from './proof.mts'
import { DEFAULT_ACCESS } from './writer.mts'

const { test, run } = proof('limits under load')
const MIB = 1024 ** 2
/** The default of 2 GB and 2880 MB at a quarter of the size, or with LOAD=full as it is. */
const FULL = process.env.LOAD === 'full'
const REDIS: Record<string, string> = FULL ? {} : { REDIS_MAX_MEMORY: '512mb', REDIS_MEMORY_LIMIT: '720m' }
const KEYS = FULL ? 2_800_000 : 700_000

/** Bytes that a container's processes hold, its page cache aside: what the kernel kills for. Both versions of cgroups. */
async function heldBytes(service: Service): Promise<number> {
  const file = 'cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat'
  const stat = await output(['docker', 'exec', containerOf(service), 'sh', '-c', file])
  return Number(/^(?:anon|total_rss) (\d+)$/m.exec(stat)?.[1])
}

/** What `work` resolves to; notes the most memory that the service held meanwhile. Nothing of it may have been killed. */
async function underWatch<T>(service: Service, note: Note, work: () => Promise<T>): Promise<T> {
  const before = await inspect(service)
  let [peak, watching] = [0, true]
  const watch = (async () => {
    for (; watching; await delay(200)) peak = Math.max(peak, await heldBytes(service))
  })().catch(() => {
    // The container is gone; what follows says so.
  })
  try {
    return await work()
  } finally {
    watching = false
    await watch
    const { State, RestartCount, HostConfig } = await inspect(service)
    note(`${service}: ${Math.round(peak / MIB)} MB at most, of ${HostConfig.Memory / MIB} MB`)
    assert.equal([State.OOMKilled, RestartCount, State.StartedAt], [false, 0, before.State.StartedAt], service)
  }
}

async function query(sql: string): Promise<string> {
  const { url, user, password } = DEFAULT_ACCESS.clickhouse
  const headers = { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password }
  const response = await fetch(url, { method: 'POST', headers, body: sql })
  const text = await response.text()
  return response.ok ? text.trim() : (/Code: \d+/.exec(text)?.[0] ?? text)
}

test('Redis, full, rewrites its append-only file under 1,000 writes a second', async (note) => {
  writeEnv(REDIS)
  await up()
  const redis = new Redis({ port: DEFAULT_ACCESS.redis.port })
  const info = async (field: string) => new RegExp(`^${field}:(.*)\r$`, 'm').exec(await redis.info())?.[1] ?? ''
  const write = async (count: number) => {
    const pipeline = redis.pipeline()
    for (let number = 0; number < count; number++) {
      pipeline.set(`load:${Math.floor(Math.random() * KEYS)}`, randomBytes(300 + Math.floor(Math.random() * 1200)))
    }
    await pipeline.exec()
  }
  await underWatch('redis', note, async () => {
    // Filled as fast as it goes, which is more than the limit promises to take while it rewrites.
    await redis.config('SET', 'auto-aof-rewrite-percentage', '0')
    while (Number(await info('evicted_keys')) === 0) await write(2_000)
    await redis.bgrewriteaof()
    let written = 0
    const startMs = performance.now()
    do {
      await write(100)
      written += 100
      await delay(Math.max(0, written - (performance.now() - startMs)))
    } while ((await info('aof_rewrite_in_progress')) === '1' || (await info('aof_rewrite_scheduled')) === '1')
    const seconds = (performance.now() - startMs) / 1000
    note(
      `${(written / seconds).toFixed(0)} writes/s for ${seconds.toFixed(0)} s, copied ${await info('aof_last_cow_size')} B`,
    )
    assert.is(await info('aof_last_bgrewrite_status'), 'ok')
  })
  redis.disconnect()
})

test('ClickHouse merges, ingests and sorts, groups and windows more than its memory at once', async (note) => {
  const rows = (table: string, count: number) =>
    `INSERT INTO ${table} (symbol, timestamp, price, size, tick_id, source) SELECT concat('S', toString(number % 2000)), ` +
    "toDateTime64('2026-11-23 14:30:00', 6, 'UTC') + toIntervalMicrosecond(number * 2000), 100 + number % 1000 / 100, " +
    `1 + number % 500, number, generateUUIDv4() FROM numbers(${count})`
  await underWatch('clickhouse', note, async () => {
    assert.is(await query(rows('market_ticks', 4_000_000)), '')
    const heavy = [
      'SELECT * FROM market_ticks ORDER BY price, size FORMAT Null',
      'SELECT tick_id, symbol, count(), max(price) FROM market_ticks GROUP BY tick_id, symbol FORMAT Null',
      'SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY timestamp) FROM market_ticks FORMAT Null',
    ]
    let sorting = true
    const ingest = (async () => {
      let refused = 0
      for (; sorting; await delay(200)) if ((await query(rows('market_ticks', 20_000))) !== '') refused++
      return refused
    })()
    const merging = query('OPTIMIZE TABLE market_ticks FINAL')
    const answers: string[] = []
    for (const sql of heavy) answers.push(await query(sql))
    sorting = false
    // Refused when all at once is too much, never killed. That each ends alone, while parts merge: test/stack/clickhouse-heavy.test.mts
    for (const answer of answers) assert.match(answer, /^(Code: 241)?$/)
    note(
      `${answers.filter(Boolean).length} of ${answers.length} queries and ${await ingest} inserts refused for memory`,
    )
    assert.is(await query('SELECT count() > 4000000 FROM market_ticks'), '1')
    note(`merge: ${(await merging) || 'done'}`)
  })
})

test('Kafka takes 300 MB as fast as it comes and gives it to a reader of all of it', async (note) => {
  const kafka = new Kafka({ brokers: [DEFAULT_ACCESS.kafka], logLevel: logLevel.NOTHING })
  const [admin, producer] = [kafka.admin(), kafka.producer()]
  await Promise.all([admin.connect(), producer.connect()])
  const topic = 'compose.load'
  await admin.createTopics({ topics: [{ topic, numPartitions: 10 }] })
  await underWatch('kafka', note, async () => {
    const consumer = kafka.consumer({ groupId: `load-${Date.now()}` })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    let read = 0
    await consumer.run({
      eachBatch: async ({ batch }) => {
        read += batch.messages.length
      },
    })
    const [batches, size] = [300, 1_000]
    const send = async () => {
      const messages = Array.from({ length: size }, () => ({ value: randomBytes(1_000) }))
      await producer.send({ topic, messages })
    }
    for (let batch = 0; batch < batches; batch += 10) await Promise.all(Array.from({ length: 10 }, send))
    assert.ok(await waitUntil(async () => read >= batches * size, { timeoutMs: 60_000, pollMs: 200 }), `${read} read`)
    await consumer.disconnect()
  })
  await admin.deleteTopics({ topics: [topic] })
  await Promise.all([admin.disconnect(), producer.disconnect()])
})

run()
