/** Measures insert speed. */
import { Readable } from 'node:stream'
import type { ClickHouseClient } from '@clickhouse/client'
import { insertStream } from '../../scripts/lib/clickhouse/client.mts'
import { median } from '../measure.mts'
import { type Clients, cpuMs, rows, SCHEMAS, type SchemaName, stopRollUps } from './measure.mts'
import { COLUMNS, columnsOf, TABLES, type TableName } from './sources.mts'

/** A kind of INSERT: of many symbols, or of one, as sent by a program with a buffer per symbol. */
export interface InsertKind {
  format: 'Native' | 'JSONEachRow'
  /** Rows per INSERT. */
  rows: number
  symbols: number
  /** Inserts into the shipped schema through `input()`, which parses symbols as plain strings. */
  throughInput?: true
  /** Target ratio of the shipped schema's speed to today's. */
  atLeast?: number
}

const SYMBOLS = 2_000
export const INSERT_KINDS: readonly InsertKind[] = [
  { format: 'Native', rows: 100_000, symbols: SYMBOLS, atLeast: 1.5 },
  { format: 'Native', rows: 10_000, symbols: SYMBOLS },
  { format: 'Native', rows: 1_000, symbols: SYMBOLS },
  { format: 'Native', rows: 100, symbols: SYMBOLS },
  { format: 'JSONEachRow', rows: 100_000, symbols: SYMBOLS },
  { format: 'JSONEachRow', rows: 10_000, symbols: 1, throughInput: true, atLeast: 1 },
]
/** Maximum INSERTs per round; fewer if the table has too few rows. */
const BATCHES = 4

export interface Batches {
  table: TableName
  kind: InsertKind
  bodies: Buffer[]
  /** Total rows of all batches. */
  rows: number
}

/**
 * Reads the first rows of a source table in batches, encoded as a client sends them. Only the last batch may be
 * smaller. Distributes the rows over `kind.symbols` symbols.
 * @param target encodes with the column types of this database; undefined for the types of the source
 */
export async function readBatches(
  source: ClickHouseClient,
  table: TableName,
  kind: InsertKind,
  target?: ClickHouseClient,
): Promise<Batches> {
  const { format, rows: batchRows, symbols } = kind
  const [[count = 0, known = 1] = []] = await rows<number[]>(source, `SELECT count(), uniqExact(symbol) FROM ${table}`)
  const batches: Batches = { table, kind, bodies: [], rows: Math.min(count, BATCHES * batchRows) }
  const distributed = `concat(symbol, '.', toString(rowNumberInAllBlocks() % ${Math.ceil(symbols / known)}))`
  const symbol = symbols === 1 ? "'ONE'" : distributed
  const raw = `(SELECT * EXCEPT symbol, ${symbol} AS symbol FROM ${table} SETTINGS max_threads = 1) AS raw`
  const columns = target ? await columnsInTypesOf(target, table) : columnsOf(table)
  for (let from = 0; from < batches.rows; from += batchRows) {
    const query = `SELECT ${columns.join(', ')} FROM ${raw} LIMIT ${from}, ${batchRows} FORMAT ${format} SETTINGS max_threads = 1`
    const { stream } = await source.exec({ query })
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    batches.bodies.push(Buffer.concat(chunks))
  }
  return batches
}

/** Returns SELECT expressions that cast the columns of `raw` to the column types in `target`. */
async function columnsInTypesOf(target: ClickHouseClient, table: TableName): Promise<string[]> {
  const query = `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '${table}'`
  const types = new Map(await rows<[string, string]>(target, query))
  return columnsOf(table).map((column) => `CAST(raw.${column} AS ${types.get(column)}) AS ${column}`)
}

/** Rows per second, and CPU milliseconds per 1,000 rows. */
export interface InsertSpeed {
  perSecond: number
  cpuMs: number
}

/**
 * Truncates the table and inserts the batches sequentially.
 * @param token prefix of the deduplication tokens; without it the server hashes the data if the table deduplicates
 */
export async function insertOnce(
  client: ClickHouseClient,
  { table, kind, bodies, rows: count }: Batches,
  { token, throughInput }: { token?: string | undefined; throughInput?: boolean | undefined },
): Promise<InsertSpeed> {
  await client.command({ query: `TRUNCATE TABLE ${table}` })
  const columns = columnsOf(table).join(', ')
  const through = throughInput ? ` SELECT ${columns} FROM input('${COLUMNS[table].replaceAll("'", "\\'")}')` : ''
  const query = `INSERT INTO ${table} (${columns})${through} FORMAT ${kind.format}`
  const [usedMs, startMs] = [await cpuMs(client), performance.now()]
  for (const [index, body] of bodies.entries()) {
    const settings = token === undefined ? {} : { insert_deduplication_token: `${token}-${index}` }
    const values = Readable.from([body], { objectMode: false, highWaterMark: body.length })
    await insertStream(client, query, values, { clickhouse_settings: settings })
  }
  const seconds = (performance.now() - startMs) / 1000
  const cpu = (await cpuMs(client)) - usedMs
  const [[stored] = []] = await rows<number[]>(client, `SELECT count() FROM ${table}`)
  // Merges may have removed duplicates, so the exact number of rows is unknown.
  if (!stored) throw new Error(`Cannot measure inserts: ${table} is empty afterwards`)
  return { perSecond: count / seconds, cpuMs: (cpu / count) * 1000 }
}

/** The result for one kind of INSERT; `untokened` is the shipped schema without deduplication tokens. */
export interface Inserted {
  table: TableName
  kind: InsertKind
  by: Record<SchemaName | 'untokened', InsertSpeed>
}

/**
 * Measures each kind of INSERT into each table; returns medians. Rounds alternate between the schemas.
 * @param show called with the progress, from 0 to 1, and the current step
 */
export async function measureInserts(
  source: ClickHouseClient,
  clients: Clients,
  rounds: number,
  show: (part: number, text: string) => void,
): Promise<Inserted[]> {
  await stopRollUps(clients.shipped)
  // The rows stand for rows of the current day, which the TTL does not recompress yet.
  for (const table of TABLES) await clients.shipped.command({ query: `ALTER TABLE ${table} REMOVE TTL` })
  const inserts: Inserted[] = []
  const pairs = TABLES.flatMap((table) => INSERT_KINDS.map((kind) => ({ table, kind })))
  for (const [index, { table, kind }] of pairs.entries()) {
    // Native data is encoded with the column types of the target table; JSON is the same for all schemas.
    const read = (target?: ClickHouseClient) => readBatches(source, table, kind, target)
    const text = kind.format === 'JSONEachRow' ? await read() : undefined
    const batches = {} as Record<SchemaName, Batches>
    for (const schema of SCHEMAS) batches[schema] = text ?? (await read(clients[schema]))
    const speeds: Record<SchemaName | 'untokened', InsertSpeed[]> = { shipped: [], naive: [], today: [], untokened: [] }
    // The first round is a warm-up.
    for (let round = 0; round <= rounds; round++) {
      show((index + round / rounds) / pairs.length, `inserting into ${table}: ${kind.format}`)
      for (const who of [...SCHEMAS, 'untokened'] as const) {
        const schema = who === 'untokened' ? 'shipped' : who
        const token = who === 'shipped' ? `${index}-${round}` : undefined
        const throughInput = schema === 'shipped' && kind.throughInput
        const speed = await insertOnce(clients[schema], batches[schema], { token, throughInput })
        if (round > 0) speeds[who].push(speed)
      }
    }
    const medians = (who: SchemaName | 'untokened') => ({
      perSecond: median(speeds[who].map(({ perSecond }) => perSecond)),
      cpuMs: median(speeds[who].map(({ cpuMs }) => cpuMs)),
    })
    const by = {
      shipped: medians('shipped'),
      naive: medians('naive'),
      today: medians('today'),
      untokened: medians('untokened'),
    }
    inserts.push({ table, kind, by })
  }
  return inserts
}
