/** How fast each schema takes what writers send. */
import { Readable } from 'node:stream'
import type { ClickHouseClient } from '@clickhouse/client'
import { insertStream } from '../../scripts/lib/clickhouse/client.mts'
import { median } from '../measure.mts'
import { type Clients, cpuMs, rows, SCHEMAS, type SchemaName, stopRollUps } from './measure.mts'
import { COLUMNS, columnsOf, TABLES, type TableName } from './sources.mts'

/** An INSERT as writers send it: of many symbols, or of one, as a program sends that has a buffer for each. */
export interface InsertKind {
  format: 'Native' | 'JSONEachRow'
  /** Rows of one INSERT. */
  rows: number
  symbols: number
  /** The shipped schema gets its rows through `input()`, which reads text as plain strings. */
  throughInput?: true
  /** How many times as fast as today's schema it is to be. */
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
/** INSERTs of one round, if the table has so many rows. */
const BATCHES = 4

export interface Batches {
  table: TableName
  kind: InsertKind
  bodies: Buffer[]
  /** In all of them. */
  rows: number
}

/**
 * The first rows of a source table in batches, as a writer's client would send them, each full but for the last. Their symbols are dealt to as many
 * as the kind wants.
 * @param target in whose table's types; as the source has them if undefined
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
  const dealt = `concat(symbol, '.', toString(rowNumberInAllBlocks() % ${Math.ceil(symbols / known)}))`
  const symbol = symbols === 1 ? "'ONE'" : dealt
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

/** The columns of the table `raw`, cast to the types that the table of that name has in `target`. */
async function columnsInTypesOf(target: ClickHouseClient, table: TableName): Promise<string[]> {
  const query = `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '${table}'`
  const types = new Map(await rows<[string, string]>(target, query))
  return columnsOf(table).map((column) => `CAST(raw.${column} AS ${types.get(column)}) AS ${column}`)
}

/** Rows per second, and milliseconds of CPU for a thousand rows. */
export interface InsertSpeed {
  perSecond: number
  cpuMs: number
}

/**
 * Inserts the batches into an emptied table, one after the other.
 * @param token begins the deduplication token of each batch; without it the server compares contents where the table asks for it
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
  // Merges may have made repeated rows one, so "as many" cannot be asked for.
  if (!stored) throw new Error(`Cannot measure inserts: ${table} stayed empty`)
  return { perSecond: count / seconds, cpuMs: (cpu / count) * 1000 }
}

/** A kind of INSERT into a table; `untokened` is the shipped schema for a writer that sends no deduplication token. */
export interface Inserted {
  table: TableName
  kind: InsertKind
  by: Record<SchemaName | 'untokened', InsertSpeed>
}

/**
 * Times each kind of INSERT into each table, in turn; medians.
 * @param show receives the progress, from 0 to 1, and what is going on
 */
export async function measureInserts(
  source: ClickHouseClient,
  clients: Clients,
  rounds: number,
  show: (part: number, text: string) => void,
): Promise<Inserted[]> {
  await stopRollUps(clients.shipped)
  // These rows stand for those of today, which are not compressed again yet.
  for (const table of TABLES) await clients.shipped.command({ query: `ALTER TABLE ${table} REMOVE TTL` })
  const inserts: Inserted[] = []
  const pairs = TABLES.flatMap((table) => INSERT_KINDS.map((kind) => ({ table, kind })))
  for (const [index, { table, kind }] of pairs.entries()) {
    // A client asks for the types of the table before it sends Native; JSON is the same text for all.
    const read = (target?: ClickHouseClient) => readBatches(source, table, kind, target)
    const text = kind.format === 'JSONEachRow' ? await read() : undefined
    const batches = {} as Record<SchemaName, Batches>
    for (const schema of SCHEMAS) batches[schema] = text ?? (await read(clients[schema]))
    const speeds: Record<SchemaName | 'untokened', InsertSpeed[]> = { shipped: [], naive: [], today: [], untokened: [] }
    // The first round, in which files and caches are cold, does not count.
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
    const middle = (who: SchemaName | 'untokened') => ({
      perSecond: median(speeds[who].map(({ perSecond }) => perSecond)),
      cpuMs: median(speeds[who].map(({ cpuMs }) => cpuMs)),
    })
    const by = {
      shipped: middle('shipped'),
      naive: middle('naive'),
      today: middle('today'),
      untokened: middle('untokened'),
    }
    inserts.push({ table, kind, by })
  }
  return inserts
}
