/** Runs the storage benchmark in temporary databases. */
import type { ClickHouseClient } from '@clickhouse/client'
import { connectClickHouse, withClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import type { Settings } from '../../scripts/lib/settings/settings.mts'
import { type Inserted, measureInserts } from './inserts.mts'
import type { Clients, QueryResult, SchemaName, Size } from './measure.mts'
import { measureQuery, measureSize, merge, rollUp, rows, SCHEMAS, stopMerges, stopRollUps } from './measure.mts'
import { queriesAbout, type Subject } from './queries.mts'
import { NAIVE, TODAY } from './schemas.mts'
import { columnsOf, generateRows, loadParquet, SLICES, sliceOf, TABLES, type TableName } from './sources.mts'

export interface BenchOptions {
  /** Folder with Parquet files; undefined to generate a market. */
  data: string | undefined
  /** Minimum rows per table. */
  rows: number
  /** Rounds of the insert measurement. */
  rounds: number
  /** Called with the progress, from 0 to 1, and the current step. */
  show: (part: number, text: string) => void
}

export interface BenchResult {
  version: string
  threads: number
  subject: Subject
  /** Measured without copies of rows, merged. */
  sizes: { table: TableName; by: Record<SchemaName, Size> }[]
  inserts: Inserted[]
  /** `hot`: as a trading day leaves the tables. */
  states: { state: 'hot' | 'merged'; rows: number; parts: Record<SchemaName, number>; answers: QueryResult[] }[]
  /** Cost of the roll-ups: time, and bytes per source row. */
  rollUps: { name: 'bars' | 'book'; msPerMillionRows: number; bytesPerRow: number }[]
}

const SYMBOLS = 100
/** Number of messages to generate; 10 % are trades. Further rows are copies. */
const messagesFor = (rows: number) => Math.min(2_000_000, Math.max(20_000, rows))
/** Timeout of one statement, in ms: loading a whole table is one statement. */
const STATEMENT_MS = 3_600_000
/** Suffixes of a schema's databases: for queries, for insert measurements, and for rows without copies. */
const SUFFIXES = ['', '_insert', '_size'] as const

/**
 * Loads the same rows into the shipped, the naive and today's schema and measures all three; timed steps alternate
 * between them. Drops the databases afterwards, also on failure.
 * @param prefix name prefix of the databases
 */
export async function benchStorage(settings: Settings, prefix: string, options: BenchOptions): Promise<BenchResult> {
  const connect = (database: string) => connectClickHouse({ ...settings, CLICKHOUSE_DATABASE: database }, STATEMENT_MS)
  const names = ['source', ...SUFFIXES.flatMap((suffix) => SCHEMAS.map((schema) => `${schema}${suffix}`))]
  return withClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'system' }, STATEMENT_MS, async (server) => {
    const clients: Record<string, ClickHouseClient> = {}
    try {
      for (const name of names) {
        const database = `${prefix}_${name}`
        await server.command({ query: `CREATE DATABASE ${database}` })
        clients[name] = await connect(database)
      }
      const within = (name: string) => clients[name] as ClickHouseClient
      const source = within('source')
      options.show(0, 'reading rows')
      if (options.data === undefined) {
        await generateRows(source, messagesFor(options.rows), SYMBOLS, (part) => options.show(part * 0.1, 'generating'))
      } else await loadParquet(source, options.data)
      for (const suffix of SUFFIXES) {
        const shipped = { ...settings, CLICKHOUSE_DATABASE: `${prefix}_shipped${suffix}` }
        const mayDelete = async () => false
        await syncSchema(shipped, { mode: 'apply', timeoutMs: STATEMENT_MS, mayDelete, log: () => {} })
        for (const query of NAIVE) await within(`naive${suffix}`).command({ query })
        for (const query of TODAY) await within(`today${suffix}`).command({ query })
      }
      const schemas = (suffix: string): Clients => {
        return { shipped: within(`shipped${suffix}`), naive: within(`naive${suffix}`), today: within(`today${suffix}`) }
      }
      const inserts = await measureInserts(source, schemas('_insert'), options.rounds, (part, text) =>
        options.show(0.1 + part * 0.3, text),
      )
      const sizes = await measureSizes(`${prefix}_source`, schemas('_size'), options)
      return { inserts, sizes, ...(await measureStored(source, `${prefix}_source`, schemas(''), options)) }
    } finally {
      for (const client of Object.values(clients)) await client.close()
      for (const name of names) await server.command({ query: `DROP DATABASE IF EXISTS ${prefix}_${name} SYNC` })
    }
  })
}

/** Inserts rows of a source table into every schema. */
async function load(clients: Clients, table: TableName, rows: string): Promise<void> {
  const query = `INSERT INTO ${table} (${columnsOf(table)}) ${rows}`
  for (const schema of SCHEMAS) await clients[schema].command({ query })
}

async function measureSizes(source: string, clients: Clients, { show }: BenchOptions): Promise<BenchResult['sizes']> {
  await stopRollUps(clients.shipped)
  const sizes: BenchResult['sizes'] = []
  for (const [index, table] of TABLES.entries()) {
    show(0.4 + 0.03 * index, `loading ${table} without copies`)
    await load(clients, table, sliceOf(source, table, undefined, 1))
    const by = {} as Record<SchemaName, Size>
    for (const schema of SCHEMAS) {
      await merge(clients[schema], table)
      by[schema] = await measureSize(clients[schema], table)
    }
    sizes.push({ table, by })
  }
  return sizes
}

async function measureStored(source: ClickHouseClient, sourceName: string, clients: Clients, options: BenchOptions) {
  const { rows: wanted, show } = options
  const copies = {} as Record<TableName, number>
  await stopRollUps(clients.shipped)
  for (const [index, table] of TABLES.entries()) {
    for (const schema of SCHEMAS) await stopMerges(clients[schema], table)
    const [[count = 0] = []] = await rows<number[]>(source, `SELECT count() FROM ${table}`)
    copies[table] = Math.max(1, Math.ceil(wanted / count))
    for (let slice = 0; slice < SLICES; slice++) {
      show(0.5 + (0.3 * (index + slice / SLICES)) / TABLES.length, `loading ${table}`)
      await load(clients, table, sliceOf(sourceName, table, slice, copies[table]))
    }
  }
  show(0.8, 'rolling up')
  const took = await rollUp(clients.shipped)
  const subject = await chooseSubject(source, Math.min(...Object.values(copies)))
  const states: BenchResult['states'] = [await measureState('hot', clients, subject, options)]
  for (const table of TABLES) {
    show(0.9, `merging ${table}`)
    for (const schema of SCHEMAS) await merge(clients[schema], table)
  }
  states.push(await measureState('merged', clients, subject, options))
  const rollUps: BenchResult['rollUps'] = []
  for (const [name, table] of [
    ['bars', 'market_ticks'],
    ['book', 'market_l2'],
  ] as const) {
    const made = await measureSize(clients.shipped, `market_${name}_1m`)
    const from = await measureSize(clients.shipped, table)
    rollUps.push({ name, msPerMillionRows: (took[name] / from.rows) * 1e6, bytesPerRow: made.bytes / from.rows })
  }
  const [[version = '', threads = 0] = []] = await rows<[string, number]>(
    source,
    "SELECT version(), getSetting('max_threads')",
  )
  return { version, threads, subject, states, rollUps }
}

async function measureState(
  state: 'hot' | 'merged',
  clients: Clients,
  subject: Subject,
  { show }: BenchOptions,
): Promise<BenchResult['states'][number]> {
  const parts: Record<SchemaName, number> = { shipped: 0, naive: 0, today: 0 }
  let count = 0
  for (const table of TABLES) {
    for (const schema of SCHEMAS) {
      const size = await measureSize(clients[schema], table)
      parts[schema] += size.parts
      if (schema === 'naive') count += size.rows
    }
  }
  const answers: QueryResult[] = []
  for (const query of queriesAbout(subject)) {
    show(state === 'hot' ? 0.85 : 0.95, `${query.name}, ${state}`)
    answers.push(await measureQuery(clients, query, state))
  }
  return { state, rows: count, parts, answers }
}

/**
 * Chooses the symbol with the most trades, quotes and book events (by the smallest of the three counts), in the middle
 * copy, so that half of the rows are later than its own. The moment `at` is after 80 % of its book events.
 */
async function chooseSubject(source: ClickHouseClient, copies: number): Promise<Subject> {
  const copy = Math.floor(copies / 2)
  const count = (table: TableName) => `SELECT symbol, count() AS n FROM ${table} GROUP BY symbol`
  const [[symbol = '', from = '', to = '', at = ''] = []] = await rows<string[]>(
    source,
    `SELECT symbol, toString(toDate(min(timestamp) + INTERVAL ${copy * 1237} SECOND)) AS from, toString(toDate(min(timestamp) + INTERVAL ${copy * 1237} SECOND) + 1),
       toString(quantileExact(0.8)(timestamp) + INTERVAL ${copy * 1237} SECOND)
     FROM market_l2 WHERE symbol = (
       SELECT symbol FROM (${count('market_ticks')}) AS t JOIN (${count('market_l1')}) AS q USING symbol JOIN (${count('market_l2')}) AS e USING symbol
       ORDER BY least(t.n, q.n, e.n) DESC, symbol LIMIT 1
     ) GROUP BY symbol`,
  )
  return { symbol: copy === 0 ? symbol : `${symbol}.${copy}`, from, to, at }
}
