/** Reads the status of the built-in ingest: lag, rate and rejects per topic, and consumer errors. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { ingestStatements } from '../clickhouse/statements.mts'
import { waitUntil } from '../common/wait.mts'
import { openCluster } from '../kafka/cluster.mts'
import { readSettledGroups } from '../kafka/groups.mts'
import { partitionLag } from '../kafka/lag.mts'
import { readEnds, readOffsets } from '../kafka/offsets.mts'
import type { Settings } from '../settings/settings.mts'
import { type Consumer, countRead, positionsOf, readConsumers, SETTLE_MS } from './consumers.mts'
import { type Queue, queuesOf } from './queues.mts'
import { type Reject, type RejectCounts, readRejects } from './rejects.mts'
import { type IngestState, judgeObjects, readObjects } from './state.mts'

export interface TopicStatus extends RejectCounts {
  topic: string
  table: string
  /** Whether Kafka has the topic. */
  exists: boolean
  partitions: number
  /** Partitions assigned to a consumer. */
  partitionsRead: number
  /**
   * Messages between the committed offsets and the end of the topic; all retained messages while nothing is committed; null if Kafka does
   * not report the offsets.
   */
  lag: number | null
  /** Kafka's error code, if it does not report the offsets. */
  unread?: string
  /** Messages by which committed offsets exceed the end, as after the topic was deleted and recreated. */
  ahead: number
  /** Messages read per second, measured over {@link SAMPLE_MS}. */
  messagesPerSecond: number
  /** Other consumer groups with active members that read the topic. */
  otherReaders: string[]
  /** Producer timestamp of the newest message, in milliseconds since 1970; undefined for an empty topic. */
  newestMs?: number
}

export interface ConsumerFailure {
  table: string
  ageSeconds: number
  text: string
}

export interface IngestStatus {
  state: IngestState
  /** Objects that are missing or differ from clickhouse/ingest. */
  differing: string[]
  topics: TopicStatus[]
  /** The newest rejects. */
  rejects: Reject[]
  /** The last error of consumers whose error is recent. */
  failures: ConsumerFailure[]
}

/** Milliseconds between the two polls of the consumers' positions that give the rates. */
export const SAMPLE_MS = 1_000
/** Seconds, in addition to the flush interval, for which an error is current: a failing consumer retries, and fails again, at each flush. */
const FAILURE_S = 10

/**
 * Reads the status. Takes {@link SAMPLE_MS} while the ingest is on, and up to {@link SETTLE_MS} more while partitions have no consumer.
 * @param options.rates false: do not measure the rates, and return 0 for them
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
  const tables = queues.map(({ name }) => name)
  const before = rates && state !== 'off' ? positionsOf(await readConsumers(client, tables)) : undefined
  const startMs = performance.now()
  const [positions, rejected] = await Promise.all([
    readPositions(settings, queues, timeoutMs),
    readRejects(client),
    before ? delay(SAMPLE_MS) : undefined,
  ])
  let consumers = await readConsumers(client, tables)
  const after = positionsOf(consumers)
  const seconds = (performance.now() - startMs) / 1000
  const partitions = sum([...positions.values()].map((position) => position.partitions))
  if (state === 'on' || state === 'outdated') {
    const settled = async () => {
      consumers = await readConsumers(client, tables)
      return countRead(consumers) >= partitions
    }
    if (countRead(consumers) < partitions)
      await waitUntil(settled, { timeoutMs: Math.min(SETTLE_MS, timeoutMs), pollMs: 500 })
  }
  const read = positionsOf(consumers)
  return {
    state,
    differing,
    failures: failuresOf(consumers, FAILURE_S + settings.INGEST_FLUSH_MS / 1000),
    rejects: rejected.newest,
    topics: queues.flatMap(({ topics, table }) =>
      topics.map((topic) => ({
        topic,
        table,
        ...(positions.get(topic) ?? { exists: false, partitions: 0, lag: 0, ahead: 0, otherReaders: [] }),
        partitionsRead: read.get(topic)?.size ?? 0,
        messagesPerSecond: Math.round(advance(before?.get(topic), after.get(topic)) / seconds),
        ...(rejected.counts.get(topic) ?? { rejects: 0, rejectsToday: 0, rejectsLately: 0 }),
      })),
    ),
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0)

/** Returns the number of messages between two positions of a topic, over the partitions for which both are known. */
function advance(from: ReadonlyMap<number, number> = new Map(), to: ReadonlyMap<number, number> = new Map()): number {
  const steps = [...to].map(([partition, position]) => {
    const start = from.get(partition) ?? -1
    return start < 0 ? 0 : Math.max(0, position - start)
  })
  return sum(steps)
}

/** Returns the newest error of each table's consumers that is at most this old. */
function failuresOf(consumers: readonly Consumer[], maxAgeSeconds: number): ConsumerFailure[] {
  const recent = consumers
    .filter(({ lastError, lastErrorAgeSeconds }) => lastError !== '' && lastErrorAgeSeconds <= maxAgeSeconds)
    .sort((a, b) => a.lastErrorAgeSeconds - b.lastErrorAgeSeconds)
    .map(({ table, lastError, lastErrorAgeSeconds }) => ({ table, ageSeconds: lastErrorAgeSeconds, text: lastError }))
  return recent.filter(({ table }, index) => recent.findIndex((other) => other.table === table) === index)
}

type Position = Pick<TopicStatus, 'exists' | 'partitions' | 'lag' | 'unread' | 'ahead' | 'otherReaders' | 'newestMs'>

async function readPositions(
  settings: Settings,
  queues: readonly Queue[],
  timeoutMs: number,
): Promise<Map<string, Position>> {
  const cluster = await openCluster(settings, { timeoutMs })
  try {
    const groups = await readSettledGroups(cluster, settings, timeoutMs)
    // After the committed offsets, which could otherwise exceed the ends.
    const names = queues.flatMap(({ topics }) => topics)
    const { topics, high, errors } = await readEnds(cluster, names, timeoutMs / 2)
    const [low, newest] = await Promise.all([
      readOffsets(cluster, 'low', topics),
      readOffsets(cluster, 'newest', topics),
    ])
    const own = queues.map(({ group }) => group)
    const committed = groups.filter(({ id }) => own.includes(id)).flatMap((group) => group.committed)
    const offsets = new Map(committed.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]))
    return new Map(
      topics.map(({ name, partitions }) => {
        const keys = partitions.map(({ index }) => `${name}/${index}`)
        const lags = keys.map((key) => partitionLag(offsets.get(key), low.get(key)?.offset, high.get(key)?.offset))
        const newestMs = Math.max(...keys.map((key) => newest.get(key)?.timestampMs ?? -1))
        const otherReaders = groups
          .filter(({ id, subscribed }) => !own.includes(id) && subscribed?.includes(name))
          .map(({ id }) => id)
        const position: Position = {
          exists: true,
          partitions: partitions.length,
          lag: lags.includes(undefined) ? null : sum(lags.map((each) => each?.lag ?? 0)),
          ahead: sum(lags.map((each) => each?.ahead ?? 0)),
          otherReaders,
          ...(newestMs >= 0 ? { newestMs } : {}),
          ...(errors.has(name) ? { unread: errors.get(name) as string } : {}),
        }
        return [name, position]
      }),
    )
  } finally {
    cluster.close()
  }
}
