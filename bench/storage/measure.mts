/** Measurements of the storage benchmark: size, parts, CPU time, roll-ups and queries. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { median } from '../measure.mts'
import { difference, type Query } from './queries.mts'

export const SCHEMAS = ['shipped', 'naive', 'today'] as const
export type SchemaName = (typeof SCHEMAS)[number]
/** A connection to the database of each schema. */
export type Clients = Record<SchemaName, ClickHouseClient>

export async function rows<T>(client: ClickHouseClient, query: string): Promise<T[]> {
  return (await timed<T>(client, query)).result
}

/** Returns the rows of a query and its duration on the server in ms, which excludes the client. */
async function timed<T>(client: ClickHouseClient, query: string): Promise<{ result: T[]; ms: number }> {
  const clickhouse_settings = {
    output_format_json_quote_64bit_integers: 0 as const,
    // Only some of the schemas declare UTC in their types.
    session_timezone: 'UTC',
    // The duration is in the response headers.
    wait_end_of_query: 1 as const,
  }
  const response = await client.query({ query, format: 'JSONCompactEachRow', clickhouse_settings })
  const { elapsed_ns } = JSON.parse(String(response.response_headers['x-clickhouse-summary']))
  return { result: await response.json<T>(), ms: Number(elapsed_ns) / 1e6 }
}

/** Returns the CPU milliseconds that the server has used so far, including merges. */
export async function cpuMs(client: ClickHouseClient): Promise<number> {
  const query = "SELECT value / 1000 FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds'"
  return (await rows<number[]>(client, query))[0]?.[0] ?? 0
}

export interface Size {
  rows: number
  /** Bytes on disk, including indexes and projections. */
  bytes: number
  parts: number
}

export async function measureSize(client: ClickHouseClient, table: string): Promise<Size> {
  const [[count = 0, bytes = 0, parts = 0] = []] = await rows<number[]>(
    client,
    `SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE active AND database = currentDatabase() AND table = '${table}'`,
  )
  return { rows: count, bytes, parts }
}

const MERGE_LIMITS = ['max_bytes_to_merge_at_max_space_in_pool', 'max_bytes_to_merge_at_min_space_in_pool']

/** Prevents merges of a table, so that its parts stay as inserted. */
export async function stopMerges(client: ClickHouseClient, table: string): Promise<void> {
  const settings = MERGE_LIMITS.map((name) => `${name} = 1`).join(', ')
  await client.command({ query: `ALTER TABLE ${table} MODIFY SETTING ${settings}` })
}

/** Merges all parts of each partition. */
export async function merge(client: ClickHouseClient, table: string): Promise<void> {
  await client.command({ query: `OPTIMIZE TABLE ${table} FINAL` })
}

/** Stops the scheduled refreshes of the roll-up views, which would distort the measurements. */
export async function stopRollUps(client: ClickHouseClient): Promise<void> {
  for (const rollup of ['bars', 'book']) await client.command({ query: `SYSTEM STOP VIEW market_${rollup}_refresh` })
}

/** Refreshes the roll-up views until nothing is stale. Returns the milliseconds that it took. */
export async function rollUp(client: ClickHouseClient): Promise<Record<'bars' | 'book', number>> {
  const took = { bars: 0, book: 0 }
  // A bucket is rolled up once it has had no inserts for 10 s.
  await delay(10_100)
  for (const rollup of ['bars', 'book'] as const) {
    const view = `market_${rollup}_refresh`
    await client.command({ query: `SYSTEM START VIEW ${view}` })
    const stale = `SELECT count() FROM market_rollup_state FINAL WHERE rollup = '${rollup}' AND computed_at <= inserted_at + INTERVAL 10 SECOND`
    const left = async () => (await rows<number[]>(client, stale))[0]?.[0]
    while ((await left()) !== 0) {
      const startMs = performance.now()
      await client.command({ query: `SYSTEM REFRESH VIEW ${view}` })
      await client.command({ query: `SYSTEM WAIT VIEW ${view}` })
      took[rollup] += performance.now() - startMs
    }
    await merge(client, `market_${rollup}_1m`)
  }
  return took
}

/** Timed runs of a query, after one warm-up run. */
export const RUNS = 9

export interface QueryResult {
  name: string
  /** Target ratio of the shipped schema's time to today's. */
  atMost: number
  /** Median. */
  ms: Record<SchemaName, number>
  /** Mean. */
  cpuMs: Record<SchemaName, number>
  /** Differences from the result of the naive schema; must be empty for the measurements to be meaningful. */
  differs: string[]
}

/** Runs a query on all schemas alternately to measure its time, then on each schema alone to measure its CPU time. */
export async function measureQuery(clients: Clients, query: Query, state: 'hot' | 'merged'): Promise<QueryResult> {
  const times: Record<SchemaName, number[]> = { shipped: [], naive: [], today: [] }
  const results = {} as Record<SchemaName, unknown[][]>
  const sqlOf = (schema: SchemaName) => (schema === 'shipped' ? query.shipped : query.plain)
  for (let run = 0; run <= RUNS; run++) {
    for (const schema of SCHEMAS) {
      const { result, ms } = await timed<unknown[]>(clients[schema], sqlOf(schema))
      results[schema] = result
      if (run > 0) times[schema].push(ms)
    }
  }
  const cpu: Record<SchemaName, number> = { shipped: 0, naive: 0, today: 0 }
  for (const schema of SCHEMAS) {
    const usedMs = await cpuMs(clients[schema])
    for (let run = 0; run < RUNS; run++) await timed(clients[schema], sqlOf(schema))
    cpu[schema] = ((await cpuMs(clients[schema])) - usedMs) / RUNS
  }
  const differs = (['shipped', 'today'] as const).flatMap((schema) => {
    const where = difference(results[schema], results.naive)
    return where === undefined ? [] : [`${schema}: ${where}`]
  })
  if (results.naive.length === 0) differs.push('naive: empty result')
  const ms = { shipped: median(times.shipped), naive: median(times.naive), today: median(times.today) }
  return { name: query.name, atMost: query.atMost[state], ms, cpuMs: cpu, differs }
}
