import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { Kafka, logLevel } from 'kafkajs'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { containerOf, inspect, output, type Service, up, writeEnv } from './engine.mts'
import { type Note, reportedSuite } from './suite.mts'
import { DEFAULT_ACCESS } from './writer.mts'

const { test, run } = reportedSuite('limits under load')
const MIB = 1024 ** 2
/** A quarter of the default 2 GB and 2880 MB; LOAD=full uses the full sizes. */
const FULL = process.env.LOAD === 'full'
const REDIS: Record<string, string> = FULL ? {} : { REDIS_MAX_MEMORY: '512mb', REDIS_MEMORY_LIMIT: '720m' }
const KEYS = FULL ? 2_800_000 : 700_000

/**
 * Returns the bytes of memory in use by a container's processes, excluding page cache: what the kernel's OOM killer counts. Supports cgroup
 * v1 and v2.
 */
async function usedBytes(service: Service): Promise<number> {
  const file = 'cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat'
  const stat = await output(['docker', 'exec', containerOf(service), 'sh', '-c', file])
  return Number(/^(?:anon|total_rss) (\d+)$/m.exec(stat)?.[1])
}

/** Returns the result of `work`, and notes the service's peak memory in the meantime. Fails if any of its processes was killed. */
async function underWatch<T>(service: Service, note: Note, work: () => Promise<T>): Promise<T> {
  const before = await inspect(service)
  let [peak, watching] = [0, true]
  const watch = (async () => {
    for (; watching; await delay(200)) peak = Math.max(peak, await usedBytes(service))
  })().catch(() => {
    // The container is gone. The checks below report it.
  })
  try {
    return await work()
  } finally {
    watching = false
    await watch
    const { State, RestartCount, HostConfig } = await inspect(service)
    note(`${service}: ${Math.round(peak / MIB)} MB peak, limit ${HostConfig.Memory / MIB} MB`)
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

test('Redis at its memory limit rewrites its append-only file during 1,000 writes per second', async (note) => {
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
    // Filled at full speed, which exceeds the write rate that the limit allows during a rewrite.
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

test('ClickHouse merges, ingests, and runs sorts, groupings and window functions larger than its memory, all at once', async (note) => {
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
    // With inserts and a merge at the same time, queries may be refused for memory, but the server must not be killed. That each query
    // succeeds during merges is tested in test/stack/clickhouse-heavy.test.mts.
    for (const answer of answers) assert.match(answer, /^(Code: 241)?$/)
    note(
      `${answers.filter(Boolean).length} of ${answers.length} queries and ${await ingest} inserts refused for memory`,
    )
    assert.is(await query('SELECT count() > 4000000 FROM market_ticks'), '1')
    note(`merge: ${(await merging) || 'done'}`)
  })
})

test('Kafka accepts 300 MB at full speed and serves all of it to a reader', async (note) => {
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
