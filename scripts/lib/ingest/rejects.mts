/** The messages that the built-in ingest rejected. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'

const SAMPLE_COUNT = 5
const SAMPLE_CHARACTERS = 100

export interface Reject {
  topic: string
  partition: number
  offset: number
  timestamp: string
  error: string
  /** The first {@link SAMPLE_CHARACTERS} characters of the message. */
  message: string
}

export interface RejectCounts {
  rejects: number
  /** Rejected in the last 24 hours. */
  rejectsToday: number
  /** Rejected in the last {@link RATE_MINUTES} minutes. */
  rejectsLately: number
}

/** Older rejects do not show what producers send now. */
export const RATE_MINUTES = 10

/** The messages of one topic that were rejected for the same reason. */
export interface RejectReason {
  topic: string
  error: string
  count: number
  /** When the newest one was rejected. */
  newest: string
  /** The first {@link SAMPLE_CHARACTERS} characters of one message. */
  sample: string
}

const SAMPLE = `leftUTF8(toValidUTF8(message), ${SAMPLE_CHARACTERS})`

/** Returns the number of rejected messages per topic, and the {@link SAMPLE_COUNT} newest of all topics. */
export async function readRejects(
  client: ClickHouseClient,
): Promise<{ counts: Map<string, RejectCounts>; newest: Reject[] }> {
  const stored = await storedColumn(client)
  if (stored === undefined) return { counts: new Map(), newest: [] }
  const [counts, newest] = await Promise.all([
    readRows<RejectCounts & { topic: string }>(
      client,
      `SELECT topic, toFloat64(count()) AS rejects, toFloat64(countIf(${stored} > now() - INTERVAL 1 DAY)) AS rejectsToday,
         toFloat64(countIf(${stored} > now() - INTERVAL ${RATE_MINUTES} MINUTE)) AS rejectsLately
       FROM market_rejects FINAL GROUP BY topic`,
    ),
    readRows<Reject>(
      client,
      `SELECT topic, partition, toFloat64(offset) AS offset, timestamp, error, ${SAMPLE} AS message
       FROM market_rejects FINAL
       ORDER BY market_rejects.${stored} DESC, topic, market_rejects.offset DESC LIMIT ${SAMPLE_COUNT}`,
    ),
  ])
  return { counts: new Map(counts.map(({ topic, ...rest }) => [topic, rest])), newest }
}

/** Returns the reasons for rejected messages, the most frequent first. */
export async function readReasons(client: ClickHouseClient): Promise<RejectReason[]> {
  const stored = await storedColumn(client)
  if (stored === undefined) return []
  return readRows<RejectReason>(
    client,
    `SELECT topic, error, toFloat64(count()) AS count, max(${stored}) AS newest, any(${SAMPLE}) AS sample
     FROM market_rejects FINAL GROUP BY topic, error ORDER BY count DESC, topic, error`,
  )
}

/**
 * Returns the column with the time of rejection, or undefined if market_rejects does not exist. `stored_at` is preferred to the producer's
 * `timestamp`, which may be wrong.
 */
async function storedColumn(client: ClickHouseClient): Promise<'stored_at' | 'timestamp' | undefined> {
  const columns = await readRows<{ name: string }>(
    client,
    "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'market_rejects'",
  )
  if (columns.length === 0) return undefined
  // Older tables lack stored_at until `ingest on` adds it.
  return columns.some(({ name }) => name === 'stored_at') ? 'stored_at' : 'timestamp'
}
