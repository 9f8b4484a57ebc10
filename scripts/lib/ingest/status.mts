/** What the built-in ingest does: per topic how far behind and how fast it is, and what it could not read. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { readGroups } from '../consumer-groups.mts'
import { type Cluster, openCluster, openKafkajs } from '../kafka.mts'
import type { Settings } from '../settings.mts'
import { readOffsets } from '../topic-offsets.mts'
import { type IngestState, judgeObjects, readObjects } from './state.mts'
import { ingestStatements, type Queue, queuesOf } from './statements.mts'

export interface TopicStatus {
  topic: string
  table: string
  /** False: Kafka has no such topic. */
  exists: boolean
  /** Messages between what is stored and the end of the topic; what is still kept of them, while nothing was read yet. */
  lag: number
  /** Messages read per second, over {@link SAMPLE_MS}; of all topics of its queue together. */
  messagesPerSecond: number
  /** Consumer groups of others with members that read it now. */
  otherReaders: string[]
  /** Milliseconds since 1970 of the newest message in the topic, by its producer's clock; undefined for an empty topic. */
  newestMs?: number
  rejects: number
  /** Of these, sent in the last 24 hours. */
  rejectsToday: number
}

export interface Reject {
  topic: string
  partition: number
  offset: number
  timestamp: string
  error: string
  /** The first {@link SAMPLE_CHARACTERS} characters of the message. */
  message: string
}

export interface ConsumerFailure {
  table: string
  ageSeconds: number
  text: string
}

export interface IngestStatus {
  state: IngestState
  /** Objects that are missing or not as clickhouse/ingest declares them. */
  differing: string[]
  topics: TopicStatus[]
  /** The newest ones. */
  rejects: Reject[]
  /** What consumers complained of last, if it was within {@link FAILURE_S}. */
  failures: ConsumerFailure[]
}

/** Milliseconds between the two looks at the consumers' counters that give the rates. */
export const SAMPLE_MS = 1_000
const SAMPLE_COUNT = 5
const SAMPLE_CHARACTERS = 100
/** Seconds that a consumer's complaint counts as one about the present. */
const FAILURE_S = 60

/**
 * The status now; takes {@link SAMPLE_MS} while it is on.
 * @param options.rates false: do not wait for the rates, which are then 0
 * @throws {OpsError} exit code 3, when Kafka does not answer
 */
export async function readStatus(
  client: ClickHouseClient,
  settings: Settings,
  { timeoutMs, rates = true }: { timeoutMs: number; rates?: boolean },
): Promise<IngestStatus> {
  const statements = ingestStatements(settings)
  const queues = queuesOf(statements)
  const { state, differing } = judgeObjects(statements, await readObjects(client))
  const before = rates && state !== 'off' ? await readCounters(client) : undefined
  const startMs = performance.now()
  const [positions, rejected] = await Promise.all([
    readPositions(settings, queues, timeoutMs),
    readRejects(client),
    before ? delay(SAMPLE_MS) : undefined,
  ])
  const after = await readCounters(client)
  const seconds = (performance.now() - startMs) / 1000
  const rate = (name: string) =>
    before ? Math.max(0, Math.round(((after.read.get(name) ?? 0) - (before.read.get(name) ?? 0)) / seconds)) : 0
  return {
    state,
    differing,
    failures: after.failures,
    rejects: rejected.newest,
    topics: queues.flatMap(({ name, topics, table }) =>
      topics.map((topic) => ({
        topic,
        table,
        ...(positions.get(topic) ?? { exists: false, lag: 0, otherReaders: [] }),
        messagesPerSecond: rate(name),
        ...(rejected.counts.get(topic) ?? { rejects: 0, rejectsToday: 0 }),
      })),
    ),
  }
}

type Position = Pick<TopicStatus, 'exists' | 'lag' | 'otherReaders' | 'newestMs'>

async function readPositions(
  settings: Settings,
  queues: readonly Queue[],
  timeoutMs: number,
): Promise<Map<string, Position>> {
  const names = queues.flatMap(({ topics }) => topics)
  const [cluster, kafkajs] = await Promise.all([
    openCluster(settings, { timeoutMs }),
    openKafkajs(settings, { timeoutMs }),
  ])
  try {
    const topics = cluster.metadata.topics.filter(({ name }) => names.includes(name))
    const [ends, groups] = await Promise.all([readEnds(cluster, topics), readGroups(kafkajs, settings, timeoutMs)])
    const own = queues.map(({ group }) => group)
    const committed = groups.filter(({ id }) => own.includes(id)).flatMap((group) => group.committed)
    const offsets = new Map(committed.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]))
    return new Map(
      topics.map(({ name, partitions }) => {
        const keys = partitions.map(({ index }) => `${name}/${index}`)
        const lag = keys.reduce((sum, key) => {
          const [low, high] = [ends.low.get(key)?.offset ?? 0, ends.high.get(key)?.offset ?? 0]
          // Nothing committed (-1), or what was committed has expired: it will begin with the first that is kept.
          return sum + Math.max(0, high - Math.max(low, offsets.get(key) ?? 0))
        }, 0)
        const newestMs = Math.max(...keys.map((key) => ends.newest.get(key)?.timestampMs ?? -1))
        const otherReaders = groups
          .filter(({ id, subscribed }) => !own.includes(id) && subscribed?.includes(name))
          .map(({ id }) => id)
        return [name, { exists: true, lag, otherReaders, ...(newestMs >= 0 ? { newestMs } : {}) }]
      }),
    )
  } finally {
    cluster.close()
    await kafkajs.close()
  }
}

async function readEnds(cluster: Cluster, topics: Cluster['metadata']['topics']) {
  const [low, high, newest] = await Promise.all(
    (['low', 'high', 'newest'] as const).map((which) => readOffsets(cluster, which, topics)),
  )
  return { low: low ?? new Map(), high: high ?? new Map(), newest: newest ?? new Map() }
}

/** Messages read by each queue since it began, and the newest complaint of its consumers. */
async function readCounters(
  client: ClickHouseClient,
): Promise<{ read: Map<string, number>; failures: ConsumerFailure[] }> {
  const answer = await client.query({
    query: `
      SELECT table, toFloat64(sum(num_messages_read)) AS read,
          toFloat64(dateDiff('second', max(exceptions.time[-1]), now())) AS ageSeconds,
          argMax(exceptions.text[-1], exceptions.time[-1]) AS text
      FROM system.kafka_consumers
      WHERE database = currentDatabase() AND startsWith(table, 'ingest_')
      GROUP BY table`,
    format: 'JSONEachRow',
  })
  const rows = await answer.json<ConsumerFailure & { read: number }>()
  return {
    read: new Map(rows.map(({ table, read }) => [table, read])),
    failures: rows
      .filter(({ text, ageSeconds }) => text !== '' && ageSeconds <= FAILURE_S)
      .map(({ table, text, ageSeconds }) => ({ table, text, ageSeconds })),
  }
}

type RejectCounts = Pick<TopicStatus, 'rejects' | 'rejectsToday'>

async function readRejects(client: ClickHouseClient): Promise<{ counts: Map<string, RejectCounts>; newest: Reject[] }> {
  const exists = await client.query({ query: 'EXISTS TABLE market_rejects', format: 'JSONEachRow' })
  const [{ result } = { result: 0 }] = await exists.json<{ result: number }>()
  if (result === 0) return { counts: new Map(), newest: [] }
  const [counts, newest] = await Promise.all([
    client.query({
      query: `
        SELECT topic, toFloat64(count()) AS rejects, toFloat64(countIf(timestamp > now() - INTERVAL 1 DAY)) AS rejectsToday
        FROM market_rejects FINAL GROUP BY topic`,
      format: 'JSONEachRow',
    }),
    client.query({
      query: `
        SELECT topic, partition, toFloat64(offset) AS offset, timestamp, error,
            leftUTF8(toValidUTF8(message), ${SAMPLE_CHARACTERS}) AS message
        FROM market_rejects FINAL
        ORDER BY market_rejects.timestamp DESC, topic, market_rejects.offset DESC LIMIT ${SAMPLE_COUNT}`,
      format: 'JSONEachRow',
    }),
  ])
  const rows = await counts.json<RejectCounts & { topic: string }>()
  return {
    counts: new Map(rows.map(({ topic, rejects, rejectsToday }) => [topic, { rejects, rejectsToday }])),
    newest: await newest.json<Reject>(),
  }
}
