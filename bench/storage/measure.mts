/** What the storage benchmark measures: bytes, parts, CPU, the roll-up and the questions. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { median } from '../measure.mts'
import { difference, type Question } from './questions.mts'

export const SCHEMAS = ['shipped', 'naive', 'today'] as const
export type SchemaName = (typeof SCHEMAS)[number]
/** A connection to the database of each schema. */
export type Clients = Record<SchemaName, ClickHouseClient>

export async function rows<T>(client: ClickHouseClient, query: string): Promise<T[]> {
  return (await timed<T>(client, query)).answer
}

/** An answer, and the milliseconds that the server took for it: what a client adds is its own. */
async function timed<T>(client: ClickHouseClient, query: string): Promise<{ answer: T[]; ms: number }> {
  const clickhouse_settings = {
    output_format_json_quote_64bit_integers: 0 as const,
    // One schema says UTC in its types, another means it.
    session_timezone: 'UTC',
    // The time that it took is in the head of the answer.
    wait_end_of_query: 1 as const,
  }
  const result = await client.query({ query, format: 'JSONCompactEachRow', clickhouse_settings })
  const { elapsed_ns } = JSON.parse(String(result.response_headers['x-clickhouse-summary']))
  return { answer: await result.json<T>(), ms: Number(elapsed_ns) / 1e6 }
}

/** Milliseconds of CPU that the server has used so far, with its merges. */
export async function cpuMs(client: ClickHouseClient): Promise<number> {
  const query = "SELECT value / 1000 FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds'"
  return (await rows<number[]>(client, query))[0]?.[0] ?? 0
}

export interface Size {
  rows: number
  /** On disk, with indexes and projections. */
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

/** Leaves the parts of a table as they are inserted. */
export async function stopMerges(client: ClickHouseClient, table: string): Promise<void> {
  const settings = MERGE_LIMITS.map((name) => `${name} = 1`).join(', ')
  await client.command({ query: `ALTER TABLE ${table} MODIFY SETTING ${settings}` })
}

/** Merges a table as far as it goes. */
export async function merge(client: ClickHouseClient, table: string): Promise<void> {
  await client.command({ query: `OPTIMIZE TABLE ${table} FINAL` })
}

/** Keeps the shipped views from rolling up by themselves: they would slow what is measured meanwhile. */
export async function stopRollUps(client: ClickHouseClient): Promise<void> {
  for (const rollup of ['bars', 'book']) await client.command({ query: `SYSTEM STOP VIEW market_${rollup}_refresh` })
}

/** Rolls everything up that the shipped views would roll up in time; milliseconds of work that it took. */
export async function rollUp(client: ClickHouseClient): Promise<Record<'bars' | 'book', number>> {
  const took = { bars: 0, book: 0 }
  // A bucket is rolled up once it was left alone for 10 s.
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

/** Measured runs of a question, after one that is not. */
export const RUNS = 9

export interface Answered {
  name: string
  /** How long it may take, as a part of what today's schema takes. */
  atMost: number
  /** Median. */
  ms: Record<SchemaName, number>
  /** Mean. */
  cpuMs: Record<SchemaName, number>
  /** Where a schema's answer differs from the naive one's; nothing else of the benchmark means anything then. */
  differs: string[]
}

/** Asks every schema the same in turn for the time, then each by itself for its CPU. */
export async function ask(clients: Clients, question: Question, state: 'hot' | 'merged'): Promise<Answered> {
  const times: Record<SchemaName, number[]> = { shipped: [], naive: [], today: [] }
  const answers = {} as Record<SchemaName, unknown[][]>
  const queryOf = (schema: SchemaName) => (schema === 'shipped' ? question.shipped : question.plain)
  for (let run = 0; run <= RUNS; run++) {
    for (const schema of SCHEMAS) {
      const { answer, ms } = await timed<unknown[]>(clients[schema], queryOf(schema))
      answers[schema] = answer
      if (run > 0) times[schema].push(ms)
    }
  }
  const cpu: Record<SchemaName, number> = { shipped: 0, naive: 0, today: 0 }
  for (const schema of SCHEMAS) {
    const usedMs = await cpuMs(clients[schema])
    for (let run = 0; run < RUNS; run++) await timed(clients[schema], queryOf(schema))
    cpu[schema] = ((await cpuMs(clients[schema])) - usedMs) / RUNS
  }
  const differs = (['shipped', 'today'] as const).flatMap((schema) => {
    const where = difference(answers[schema], answers.naive)
    return where === undefined ? [] : [`${schema}: ${where}`]
  })
  if (answers.naive.length === 0) differs.push('naive: no answer at all')
  const ms = { shipped: median(times.shipped), naive: median(times.naive), today: median(times.today) }
  return { name: question.name, atMost: question.atMost[state], ms, cpuMs: cpu, differs }
}
