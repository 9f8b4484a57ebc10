import { randomBytes } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import type { Redis } from 'ioredis'
import { connectClickHouse, readRows } from '../clickhouse/client.mts'
import { ingestStatements } from '../clickhouse/statements.mts'
import { type DeferredEnd, deferEnd } from '../command/interrupt.mts'
import { error, type Finding, reason } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
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
  try {
    await removeLeftovers(settings, client, kafka, timeoutMs)
    const [cage, topic] = [`${TABLE_PREFIX}${id}`, `${TOPIC_PREFIX}${id}`]
    const ready = await hop('prepare', 'no topic and tables of its own that ClickHouse reads', () =>
      prepare(settings, client, kafka, { topic, cage, timeoutMs, end }),
    )
    const sent = ready && (await hop('to kafka', 'no acknowledged message', () => send(kafka, topic)))
    if (sent)
      await hop('to clickhouse', 'no row in its table', () =>
        arrive(client, cage, { timeoutMs: settings.INGEST_FLUSH_MS + timeoutMs, end }),
      )
    const connected = await hop('connect to redis', 'no answer', () => redis.connect())
    if (connected) await hop('redis', 'no key set and read', () => throughRedis(redis, id))
    await hop(CLEAN_UP, 'something stays behind', () => remove(settings, client, kafka, id, timeoutMs))
  } finally {
    redis.disconnect()
    await Promise.all([client.close(), kafka.close()])
    end.resume()
  }
  const summary = SHOWN.filter((name) => name in hops).map((name) => `${name} ${hops[name]} ms`)
  return { summary: summary.join(', ') || 'lost', details: hops, findings }
}

/** The statements of the trades' way, made for tables and a topic of its own. */
function canaryStatements(settings: Settings, topic: string, cage: string): string[] {
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

async function prepare(
  settings: Settings,
  client: ClickHouseClient,
  kafka: KafkajsClients,
  { topic, cage, timeoutMs, end }: { topic: string; cage: string; timeoutMs: number; end: DeferredEnd },
): Promise<void> {
  const admin = await kafka.admin()
  await admin.createTopics({
    topics: [{ topic, numPartitions: 1, replicationFactor: BROKERS_OWN }],
    waitForLeaders: true,
  })
  for (const query of canaryStatements(settings, topic, cage)) await client.command({ query })
  const query = `SELECT 1 FROM system.kafka_consumers WHERE table = '${cage}_queue' AND length(assignments.topic) > 0`
  if (!(await waitUntil(async () => end.asked() || any(client, query), { timeoutMs: 2 * timeoutMs, pollMs: 50 })))
    throw new Error(
      `ClickHouse does not read the topic after ${(2 * timeoutMs) / 1000} s${await complaint(client, cage)}`,
    )
}

async function send(kafka: KafkajsClients, topic: string): Promise<void> {
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

async function arrive(
  client: ClickHouseClient,
  cage: string,
  { timeoutMs, end }: { timeoutMs: number; end: DeferredEnd },
): Promise<void> {
  const query = `SELECT 1 FROM ${cage}_rows WHERE symbol = '${SYMBOL}' AND price = toDecimal64('1.00000001', 8)`
  if (!(await waitUntil(async () => end.asked() || any(client, query), { timeoutMs, pollMs: 10 })))
    throw new Error(`not there after ${timeoutMs / 1000} s${await complaint(client, cage)}`)
}

async function any(client: ClickHouseClient, query: string): Promise<boolean> {
  return (await readRows(client, query)).length > 0
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
async function remove(
  settings: Settings,
  client: ClickHouseClient,
  kafka: KafkajsClients,
  id: string,
  timeoutMs: number,
): Promise<void> {
  await dropTables(client, `startsWith(name, '${TABLE_PREFIX}${id}')`)
  const [admin, topic] = [await kafka.admin(), `${TOPIC_PREFIX}${id}`]
  // Its group has the topic's name.
  await dismissMembers(settings, [topic], timeoutMs)
  if ((await admin.listTopics()).includes(topic)) await admin.deleteTopics({ topics: [topic] })
  if ((await admin.listGroups()).groups.some(({ groupId }) => groupId === topic)) await admin.deleteGroups([topic])
}

/** Deletes what canaries made that were killed before they could; groups too whose topic an earlier canary has deleted already. */
async function removeLeftovers(
  settings: Settings,
  client: ClickHouseClient,
  kafka: KafkajsClients,
  timeoutMs: number,
): Promise<void> {
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
