/** The messages that the built-in ingest could not read. */
import type { ClickHouseClient } from '@clickhouse/client'

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
  /** Of these, sent in the last 24 hours. */
  rejectsToday: number
}

/** How many messages of each topic could not be read, and the {@link SAMPLE_COUNT} newest of all. */
export async function readRejects(
  client: ClickHouseClient,
): Promise<{ counts: Map<string, RejectCounts>; newest: Reject[] }> {
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
