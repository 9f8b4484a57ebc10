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
import { BROKER_DEFAULT } from './brokers.mts'
import { isLeftover, LEFTOVER_MS, type Probe, type ProbeOptions } from './probe.mts'
import { redisClient } from './redis.mts'

/** Name prefixes of scratch topics and tables; the creation time in ms follows. */
const TOPIC_PREFIX = 'l2-canary-'
const TABLE_PREFIX = 'canary_'
const SYMBOL = 'CANARY'
const CLEAN_UP = 'clean up'
const SUMMARY_HOPS = ['to kafka', 'to clickhouse', 'redis']

/**
 * Sends one message through the whole path: to a topic, then through the views of clickhouse/ingest into a table. Also sets and reads a
 * Redis key. Uses its own topic and tables, so that no consumer mistakes the message for market data; it works with the ingest on or off.
 */
export async function probeCanary(settings: Settings, { timeoutMs, deep }: ProbeOptions): Promise<Probe> {
  if (!deep) return { state: 'skipped', summary: 'with --deep', details: {}, findings: [] }
  const hops: Record<string, number> = {}
  const findings: Finding[] = []
  const end = deferEnd()
  /** Runs one hop and records its duration, or a finding. */
  const hop = async (name: string, lost: string, work: () => Promise<unknown>): Promise<boolean> => {
    if (end.isInterrupted() && name !== CLEAN_UP) return false
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
    // Each command reports the error as well.
  })
  const id = `${Date.now()}_${randomBytes(4).toString('hex')}`
  const canary: Canary = {
    settings,
    client,
    kafka,
    timeoutMs,
    end,
    tablePrefix: `${TABLE_PREFIX}${id}`,
    topic: `${TOPIC_PREFIX}${id}`,
  }
  try {
    await removeLeftovers(canary)
    const ready = await hop('prepare', 'cannot create a scratch topic and tables that ClickHouse reads', () =>
      prepare(canary),
    )
    const sent = ready && (await hop('to kafka', 'message not acknowledged', () => send(canary)))
    if (sent) await hop('to clickhouse', 'row did not arrive', () => arrive(canary))
    const connected = await hop('connect to redis', 'no answer', () => redis.connect())
    if (connected) await hop('redis', 'cannot set and read a key', () => throughRedis(redis, id))
    await hop(CLEAN_UP, 'cannot delete scratch data', () => remove(canary))
  } finally {
    redis.disconnect()
    await Promise.all([client.close(), kafka.close()])
    end.resume()
  }
  const summary = SUMMARY_HOPS.filter((name) => name in hops).map((name) => `${name} ${hops[name]} ms`)
  return { summary: summary.join(', ') || 'lost', details: hops, findings }
}

interface Canary {
  settings: Settings
  client: ClickHouseClient
  kafka: KafkajsClients
  timeoutMs: number
  end: DeferredEnd
  tablePrefix: string
  topic: string
}

/** Returns the statements of the trades ingest, rewritten for the canary's tables and topic. */
function canaryStatements({ settings, topic, tablePrefix }: Canary): string[] {
  const renamed = (sql: string) =>
    sql
      .replaceAll('ingest_trades', tablePrefix)
      .replaceAll('market_ticks', `${tablePrefix}_rows`)
      .replaceAll('market_rejects', `${tablePrefix}_rejects`)
      .replaceAll('iqfeed.trades.raw', topic)
      .replaceAll('l2_ingest.trades', topic)
  const statements = ingestStatements({ ...settings, INGEST_CONSUMERS: 1 })
  return [
    `CREATE TABLE ${tablePrefix}_rows AS market_ticks`,
    ...statements
      .filter(({ name }) => name === 'market_rejects' || name.startsWith('ingest_trades'))
      .map(({ sql }) => renamed(sql)),
  ]
}

async function prepare(canary: Canary): Promise<void> {
  const { client, kafka, topic, tablePrefix, timeoutMs } = canary
  const admin = await kafka.admin()
  const topics = [{ topic, numPartitions: 1, replicationFactor: BROKER_DEFAULT }]
  await admin.createTopics({ topics, waitForLeaders: true })
  for (const query of canaryStatements(canary)) await client.command({ query })
  const query = `SELECT 1 FROM system.kafka_consumers WHERE table = '${tablePrefix}_queue' AND length(assignments.topic) > 0`
  await waitForRow(canary, query, 'ClickHouse does not read the topic', { timeoutMs: 2 * timeoutMs, pollMs: 50 })
}

async function send({ kafka, topic }: Canary): Promise<void> {
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

async function arrive(canary: Canary): Promise<void> {
  const query = `SELECT 1 FROM ${canary.tablePrefix}_rows WHERE symbol = '${SYMBOL}' AND price = toDecimal64('1.00000001', 8)`
  await waitForRow(canary, query, 'not stored', {
    timeoutMs: canary.settings.INGEST_FLUSH_MS + canary.timeoutMs,
    pollMs: 10,
  })
}

/**
 * Waits until a query returns a row, or a signal arrives.
 * @throws {Error} `missing` and the consumer's last exception, on timeout
 */
async function waitForRow(
  { client, tablePrefix, end }: Canary,
  query: string,
  missing: string,
  wait: WaitOptions,
): Promise<void> {
  if (await waitUntil(async () => end.isInterrupted() || (await readRows(client, query)).length > 0, wait)) return
  throw new Error(`${missing} after ${wait.timeoutMs / 1000} s${await lastException(client, tablePrefix)}`)
}

/** Returns the consumer's last exception as a suffix of a message, or '' if there is none. */
async function lastException(client: ClickHouseClient, tablePrefix: string): Promise<string> {
  const query = `SELECT exceptions.text[-1] AS text FROM system.kafka_consumers WHERE table = '${tablePrefix}_queue'`
  const [row] = await readRows<{ text: string }>(client, query)
  return row?.text ? `: ${row.text.split('\n')[0]}` : ''
}

async function throughRedis(redis: Redis, id: string): Promise<void> {
  // Expires after 10 s in case this process is killed before it deletes the key.
  const key = `l2:canary:${id}`
  await redis.set(key, id, 'EX', 10)
  const read = await redis.get(key)
  await redis.del(key)
  if (read !== id) throw new Error(`read ${read ?? 'nothing'}`)
}

/** Deletes the scratch data of one canary. Drops the Kafka tables first, so that nothing reads the topic while it is deleted. */
async function remove({ settings, client, kafka, timeoutMs, tablePrefix, topic }: Canary): Promise<void> {
  await dropTables(client, `startsWith(name, '${tablePrefix}')`)
  const admin = await kafka.admin()
  // The consumer group is named after the topic.
  await dismissMembers(settings, [topic], timeoutMs)
  if ((await admin.listTopics()).includes(topic)) await admin.deleteTopics({ topics: [topic] })
  if ((await admin.listGroups()).groups.some(({ groupId }) => groupId === topic)) await admin.deleteGroups([topic])
}

/** Deletes the scratch data of canaries that were killed, including groups whose topic is already deleted. */
async function removeLeftovers({ settings, client, kafka, timeoutMs }: Canary): Promise<void> {
  const isOld = `metadata_modification_time < now() - ${LEFTOVER_MS / 1000}`
  await dropTables(client, `match(name, '^${TABLE_PREFIX}\\\\d+_') AND ${isOld}`)
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
