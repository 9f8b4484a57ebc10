import { randomBytes } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import type { Redis } from 'ioredis'
import { connectClickHouse, readRows } from '../clickhouse/client.mts'
import { ingestStatements } from '../clickhouse/statements.mts'
import { type DeferredEnd, deferEnd } from '../command/interrupt.mts'
import { error, type Finding, reason } from '../common/findings.mts'
import { type WaitOptions, waitUntil } from '../common/wait.mts'
import { dismissMembers } from '../ingest/groups.mts'
import { type KafkajsClients, openKafkajs } from '../kafka/clients.mts'
import type { Settings } from '../settings/settings.mts'
import { BROKERS_OWN } from './brokers.mts'
import { isLeftover, LEFTOVER_MS, type Probe, type ProbeOptions } from './probe.mts'
import { redisClient } from './redis.mts'

/** What the names of all its topics and tables begin with; the time follows, in ms. */
const TOPIC_PREFIX = 'l2-canary-'
const TABLE_PREFIX = 'canary_'
const SYMBOL = 'CANARY'
const CLEAN_UP = 'clean up'
/** The hops of the path itself. */
const SHOWN = ['to kafka', 'to clickhouse', 'redis']

/**
 * Sends one message through the whole path: into a topic, from there by the views of clickhouse/ingest into a table, and a key into Redis
 * and out again. Topic and tables are its own, made and deleted here, so no consumer can take it for market data; that also makes the way
 * independent of whether the ingest is on.
 */
export async function probeCanary(settings: Settings, { timeoutMs, deep }: ProbeOptions): Promise<Probe> {
  if (!deep) return { state: 'skipped', summary: 'with --deep', details: {}, findings: [] }
  const hops: Record<string, number> = {}
  const findings: Finding[] = []
  const end = deferEnd()
  /** One hop: how long it took, or a finding. */
  const hop = async (name: string, lost: string, work: () => Promise<unknown>): Promise<boolean> => {
    if (end.asked() && name !== CLEAN_UP) return false
    const startMs = performance.now()
    try {
      await work()
      hops[name] = Math.round(performance.now() - startMs)
      return true
    } catch (failure) {
      const found = `${lost}: ${reason(failure).split('\n')[0]?.slice(0, 300)}`
      findings.push(error('CANARY_LOST', `canary ${name}`, { found, hint: './scripts/health-check.mts' }))
      return false
    }
  }
  const [client, kafka, redis] = await Promise.all([
    connectClickHouse(settings, timeoutMs),
    openKafkajs(settings, { timeoutMs }),
    redisClient(settings, timeoutMs),
  ])
  redis.on('error', () => {
    // Every command fails with it too.
  })
  const id = `${Date.now()}_${randomBytes(4).toString('hex')}`
  const way: Way = {
    settings,
    client,
    kafka,
    timeoutMs,
    end,
    cage: `${TABLE_PREFIX}${id}`,
    topic: `${TOPIC_PREFIX}${id}`,
  }
  try {
    await removeLeftovers(way)
    const ready = await hop('prepare', 'no topic and tables of its own that ClickHouse reads', () => prepare(way))
    const sent = ready && (await hop('to kafka', 'no acknowledged message', () => send(way)))
    if (sent) await hop('to clickhouse', 'no row in its table', () => arrive(way))
    const connected = await hop('connect to redis', 'no answer', () => redis.connect())
    if (connected) await hop('redis', 'no key set and read', () => throughRedis(redis, id))
    await hop(CLEAN_UP, 'something stays behind', () => remove(way))
  } finally {
    redis.disconnect()
    await Promise.all([client.close(), kafka.close()])
    end.resume()
  }
  const summary = SHOWN.filter((name) => name in hops).map((name) => `${name} ${hops[name]} ms`)
  return { summary: summary.join(', ') || 'lost', details: hops, findings }
}

/** What one canary works with: clients, and what the names of its tables begin with, and its topic. */
interface Way {
  settings: Settings
  client: ClickHouseClient
  kafka: KafkajsClients
  timeoutMs: number
  end: DeferredEnd
  cage: string
  topic: string
}

/** The statements of the trades' way, made for tables and a topic of its own. */
function canaryStatements({ settings, topic, cage }: Way): string[] {
  const own = (sql: string) =>
    sql
      .replaceAll('ingest_trades', cage)
      .replaceAll('market_ticks', `${cage}_rows`)
      .replaceAll('market_rejects', `${cage}_rejects`)
      .replaceAll('iqfeed.trades.raw', topic)
      .replaceAll('l2_ingest.trades', topic)
  const statements = ingestStatements({ ...settings, INGEST_CONSUMERS: 1 })
  return [
    `CREATE TABLE ${cage}_rows AS market_ticks`,
    ...statements
      .filter(({ name }) => name === 'market_rejects' || name.startsWith('ingest_trades'))
      .map(({ sql }) => own(sql)),
  ]
}

async function prepare(way: Way): Promise<void> {
  const { client, kafka, topic, cage, timeoutMs } = way
  const admin = await kafka.admin()
  await admin.createTopics({
    topics: [{ topic, numPartitions: 1, replicationFactor: BROKERS_OWN }],
    waitForLeaders: true,
  })
  for (const query of canaryStatements(way)) await client.command({ query })
  const query = `SELECT 1 FROM system.kafka_consumers WHERE table = '${cage}_queue' AND length(assignments.topic) > 0`
  await hasRow(way, query, 'ClickHouse does not read the topic', { timeoutMs: 2 * timeoutMs, pollMs: 50 })
}

async function send({ kafka, topic }: Way): Promise<void> {
  const producer = await kafka.producer()
  const value = JSON.stringify({
    symbol: SYMBOL,
    timestamp: new Date().toISOString(),
    trade_price: 1.00000001,
    trade_size: 1,
    tick_id: 1,
  })
  await producer.send({ topic, acks: -1, messages: [{ key: SYMBOL, value }] })
}

async function arrive(way: Way): Promise<void> {
  const query = `SELECT 1 FROM ${way.cage}_rows WHERE symbol = '${SYMBOL}' AND price = toDecimal64('1.00000001', 8)`
  await hasRow(way, query, 'not there', { timeoutMs: way.settings.INGEST_FLUSH_MS + way.timeoutMs, pollMs: 10 })
}

/** Waits until a query has a row, or a signal came. @throws {Error} with `missing` and what the consumer said, when it has none in time */
async function hasRow({ client, cage, end }: Way, query: string, missing: string, wait: WaitOptions): Promise<void> {
  if (await waitUntil(async () => end.asked() || (await readRows(client, query)).length > 0, wait)) return
  throw new Error(`${missing} after ${wait.timeoutMs / 1000} s${await complaint(client, cage)}`)
}

/** What the consumer said last, for a finding; '' when it said nothing. */
async function complaint(client: ClickHouseClient, cage: string): Promise<string> {
  const query = `SELECT exceptions.text[-1] AS text FROM system.kafka_consumers WHERE table = '${cage}_queue'`
  const [row] = await readRows<{ text: string }>(client, query)
  return row?.text ? `: ${row.text.split('\n')[0]}` : ''
}

async function throughRedis(redis: Redis, id: string): Promise<void> {
  // Gone after 10 s even if this process is killed before it deletes it.
  const key = `l2:canary:${id}`
  await redis.set(key, id, 'EX', 10)
  const read = await redis.get(key)
  await redis.del(key)
  if (read !== id) throw new Error(`read ${read ?? 'nothing'}`)
}

/** Deletes what one canary made; Kafka tables first, so that nothing reads what is going. */
async function remove({ settings, client, kafka, timeoutMs, cage, topic }: Way): Promise<void> {
  await dropTables(client, `startsWith(name, '${cage}')`)
  const admin = await kafka.admin()
  // Its group has the topic's name.
  await dismissMembers(settings, [topic], timeoutMs)
  if ((await admin.listTopics()).includes(topic)) await admin.deleteTopics({ topics: [topic] })
  if ((await admin.listGroups()).groups.some(({ groupId }) => groupId === topic)) await admin.deleteGroups([topic])
}

/** Deletes what canaries made that were killed before they could; groups too whose topic an earlier canary has deleted already. */
async function removeLeftovers({ settings, client, kafka, timeoutMs }: Way): Promise<void> {
  await dropTables(
    client,
    `match(name, '^${TABLE_PREFIX}\\\\d+_') AND metadata_modification_time < now() - ${LEFTOVER_MS / 1000}`,
  )
  const admin = await kafka.admin()
  const topics = (await admin.listTopics()).filter((topic) => isLeftover(topic, TOPIC_PREFIX))
  if (topics.length > 0) await admin.deleteTopics({ topics })
  const groups = (await admin.listGroups()).groups.map(({ groupId }) => groupId)
  const left = groups.filter((group) => isLeftover(group, TOPIC_PREFIX))
  if (left.length === 0) return
  await dismissMembers(settings, left, timeoutMs)
  await admin.deleteGroups(left)
}

async function dropTables(client: ClickHouseClient, which: string): Promise<void> {
  const query = `SELECT name FROM system.tables WHERE database = currentDatabase() AND ${which} ORDER BY engine = 'Kafka' DESC`
  for (const { name } of await readRows<{ name: string }>(client, query))
    await client.command({ query: `DROP TABLE ${name} SYNC` })
}
