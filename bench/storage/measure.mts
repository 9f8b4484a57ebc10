/** What the storage benchmark measures: bytes, parts, inserts, the roll-up and the questions. */

import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { insertStream } from '../../scripts/lib/clickhouse/client.mts'
import { difference, type Question } from './questions.mts'
import { columnsOf, type TableName } from './sources.mts'

export const SCHEMAS = ['shipped', 'naive', 'today'] as const
export type SchemaName = (typeof SCHEMAS)[number]
/** A connection to the database of each schema. */
export type Clients = Record<SchemaName, ClickHouseClient>

/** Rows of one INSERT. */
export const BATCH_ROWS = 100_000
export const FORMATS = ['Native', 'JSONEachRow'] as const

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

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2
}

export interface Size {
  rows: number
  /** On disk, with indexes and projections. */
  bytes: number
  /** Right after loading, and when everything is merged. */
  parts: number
  mergedParts: number
}

const PARTS = (table: string) => `
  SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE active AND database = currentDatabase() AND table = '${table}'`

/** The size of a table, which this merges as far as it goes. */
export async function measureSize(client: ClickHouseClient, table: string): Promise<Size> {
  const [[, , parts = 0] = []] = await rows<number[]>(client, PARTS(table))
  await client.command({ query: `OPTIMIZE TABLE ${table} FINAL` })
  const [[count = 0, bytes = 0, mergedParts = 0] = []] = await rows<number[]>(client, PARTS(table))
  return { rows: count, bytes, parts, mergedParts }
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
    await client.command({ query: `OPTIMIZE TABLE market_${rollup}_1m FINAL` })
  }
  return took
}

export interface Batches {
  table: TableName
  format: (typeof FORMATS)[number]
  bodies: Buffer[]
  /** In all of them. */
  rows: number
}

/**
 * The first rows of a source table in batches, as a writer's client would send them: at most `most`, each full but for the last.
 * @param target in whose table's types; as the source has them if undefined
 */
export async function readBatches(
  source: ClickHouseClient,
  table: TableName,
  format: Batches['format'],
  most: number,
  target?: ClickHouseClient,
): Promise<Batches> {
  const [[count = 0] = []] = await rows<number[]>(source, `SELECT count() FROM ${table}`)
  const batches: Batches = { table, format, bodies: [], rows: Math.min(count, most * BATCH_ROWS) }
  const columns = target ? await columnsInTypesOf(target, table) : columnsOf(table)
  for (let from = 0; from < batches.rows; from += BATCH_ROWS) {
    const query = `SELECT ${columns.join(', ')} FROM ${table} AS raw LIMIT ${from}, ${BATCH_ROWS} FORMAT ${format} SETTINGS max_threads = 1`
    const { stream } = await source.exec({ query })
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    batches.bodies.push(Buffer.concat(chunks))
  }
  return batches
}

/** The columns of the table `raw`, cast to the types that the table of that name has in `target`. */
async function columnsInTypesOf(target: ClickHouseClient, table: TableName): Promise<string[]> {
  const query = `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '${table}'`
  const types = new Map(await rows<[string, string]>(target, query))
  return columnsOf(table).map((column) => `CAST(raw.${column} AS ${types.get(column)}) AS ${column}`)
}

/**
 * Inserts the batches into an emptied table, one after the other.
 * @param token begins the deduplication token of each batch; without it the server compares contents where the table asks for it
 * @returns rows per second
 */
export async function insertOnce(client: ClickHouseClient, batches: Batches, token?: string): Promise<number> {
  const { table, format, bodies } = batches
  await client.command({ query: `TRUNCATE TABLE ${table}` })
  const query = `INSERT INTO ${table} (${columnsOf(table).join(', ')}) FORMAT ${format}`
  const startMs = performance.now()
  for (const [index, body] of bodies.entries()) {
    const settings = token === undefined ? {} : { insert_deduplication_token: `${token}-${index}` }
    const values = Readable.from([body], { objectMode: false, highWaterMark: body.length })
    await insertStream(client, query, values, { clickhouse_settings: settings })
  }
  const seconds = (performance.now() - startMs) / 1000
  const [[stored] = []] = await rows<number[]>(client, `SELECT count() FROM ${table}`)
  // Merges may have made repeated rows one, so "as many" cannot be asked for.
  if (!stored) throw new Error(`Cannot measure inserts: ${table} stayed empty`)
  return batches.rows / seconds
}

export interface Answered {
  name: string
  target: number | undefined
  /** Median of 5, in ms. */
  ms: Record<SchemaName, number>
  /** Where a schema's answer differs from the naive one's; nothing else of the benchmark means anything then. */
  differs: string[]
}

/** Asks every schema the same in turn, once unmeasured and five times measured. */
export async function ask(clients: Clients, question: Question): Promise<Answered> {
  const times: Record<SchemaName, number[]> = { shipped: [], naive: [], today: [] }
  const answers = {} as Record<SchemaName, unknown[][]>
  for (let run = 0; run <= 5; run++) {
    for (const schema of SCHEMAS) {
      const { answer, ms } = await timed<unknown[]>(
        clients[schema],
        schema === 'shipped' ? question.shipped : question.plain,
      )
      answers[schema] = answer
      if (run > 0) times[schema].push(ms)
    }
  }
  const differs = (['shipped', 'today'] as const).flatMap((schema) => {
    const where = difference(answers[schema], answers.naive)
    return where === undefined ? [] : [`${schema}: ${where}`]
  })
  if (answers.naive.length === 0) differs.push('naive: no answer at all')
  const ms = { shipped: median(times.shipped), naive: median(times.naive), today: median(times.today) }
  return { name: question.name, target: question.target, ms, differs }
}
