/** The storage benchmark from rows to figures, in databases of its own. */
import type { ClickHouseClient } from '@clickhouse/client'
import { connectClickHouse, withClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import type { Settings } from '../../scripts/lib/settings/settings.mts'
import type { Answered, Batches, Clients, SchemaName, Size } from './measure.mts'
import {
  ask,
  FORMATS,
  insertOnce,
  measureSize,
  median,
  readBatches,
  rollUp,
  rows,
  SCHEMAS,
  stopRollUps,
} from './measure.mts'
import { questionsAbout, type Subject } from './questions.mts'
import { NAIVE, TODAY } from './schemas.mts'
import { copyOf, generateRows, loadParquet, TABLES, type TableName } from './sources.mts'

export interface BenchOptions {
  /** Folder with Parquet files; undefined to generate a market. */
  data: string | undefined
  /** Rows that each table is filled up to. */
  rows: number
  /** Rounds of the insert measurement. */
  rounds: number
  /** Receives the progress, from 0 to 1, and what is going on. */
  show: (part: number, text: string) => void
}

export interface BenchResult {
  version: string
  threads: number
  subject: Subject
  sizes: { table: TableName; by: Record<SchemaName, Size> }[]
  /** Rows per second; `untokened` is the shipped schema for a writer that sends no deduplication token. */
  inserts: { table: TableName; format: string; by: Record<SchemaName | 'untokened', number> }[]
  answers: Answered[]
  /** What keeping the roll-ups costs, in milliseconds of work and bytes for each row that they are made from. */
  rollUps: { name: 'bars' | 'book'; msPerMillionRows: number; bytesPerRow: number }[]
}

const SYMBOLS = 100
/** Messages to generate; a tenth are trades. More rows than these are copies. */
const messagesFor = (rows: number) => Math.min(2_000_000, Math.max(20_000, rows))
/** Batches of one round, if the table has that many rows. */
const BATCHES = 4
/** For one statement: loading the largest table is one. */
const PATIENCE_MS = 3_600_000

/**
 * Loads the same rows into the shipped, the naive and today's schema and measures all three, in turn wherever time counts. Drops its
 * databases afterwards, also when it fails.
 * @param prefix what the names of its databases begin with
 */
export async function benchStorage(settings: Settings, prefix: string, options: BenchOptions): Promise<BenchResult> {
  const connect = (database: string) => connectClickHouse({ ...settings, CLICKHOUSE_DATABASE: database }, PATIENCE_MS)
  const names = ['source', ...SCHEMAS, ...SCHEMAS.map((schema) => `${schema}_insert`)]
  return withClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'system' }, PATIENCE_MS, async (server) => {
    const clients: Record<string, ClickHouseClient> = {}
    try {
      for (const name of names) {
        const database = `${prefix}_${name}`
        await server.command({ query: `CREATE DATABASE ${database}` })
        clients[name] = await connect(database)
      }
      const within = (name: string) => clients[name] as ClickHouseClient
      const source = within('source')
      options.show(0, 'reading the rows')
      if (options.data === undefined) {
        await generateRows(source, messagesFor(options.rows), SYMBOLS, (part) => options.show(part * 0.1, 'generating'))
      } else await loadParquet(source, options.data)
      for (const suffix of ['', '_insert']) {
        const shipped = { ...settings, CLICKHOUSE_DATABASE: `${prefix}_shipped${suffix}` }
        const mayDelete = async () => false
        await syncSchema(shipped, { mode: 'apply', timeoutMs: PATIENCE_MS, mayDelete, log: () => {} })
        for (const query of NAIVE) await within(`naive${suffix}`).command({ query })
        for (const query of TODAY) await within(`today${suffix}`).command({ query })
      }
      const schemas = (suffix: string): Clients => {
        return { shipped: within(`shipped${suffix}`), naive: within(`naive${suffix}`), today: within(`today${suffix}`) }
      }
      const inserts = await measureInserts(source, schemas('_insert'), options)
      return { inserts, ...(await measureStored(source, `${prefix}_source`, schemas(''), options)) }
    } finally {
      for (const client of Object.values(clients)) await client.close()
      for (const name of names) await server.command({ query: `DROP DATABASE IF EXISTS ${prefix}_${name} SYNC` })
    }
  })
}

async function measureInserts(source: ClickHouseClient, clients: Clients, { rounds, show }: BenchOptions) {
  await stopRollUps(clients.shipped)
  // These rows stand for those of today, which are not compressed again yet.
  for (const table of TABLES) await clients.shipped.command({ query: `ALTER TABLE ${table} REMOVE TTL` })
  const inserts: BenchResult['inserts'] = []
  const pairs = TABLES.flatMap((table) => FORMATS.map((format) => ({ table, format })))
  for (const [index, { table, format }] of pairs.entries()) {
    // A client asks for the types of the table before it sends Native; JSON is the same text for all.
    const read = (target?: ClickHouseClient) => readBatches(source, table, format, BATCHES, target)
    const text = format === 'JSONEachRow' ? await read() : undefined
    const batches = {} as Record<SchemaName, Batches>
    for (const schema of SCHEMAS) batches[schema] = text ?? (await read(clients[schema]))
    const speeds: Record<SchemaName | 'untokened', number[]> = { shipped: [], naive: [], today: [], untokened: [] }
    // The first round, in which files and caches are cold, does not count.
    for (let round = 0; round <= rounds; round++) {
      show(0.1 + (0.3 * (index + round / rounds)) / pairs.length, `inserting into ${table}: ${format}`)
      for (const who of [...SCHEMAS, 'untokened'] as const) {
        const schema = who === 'untokened' ? 'shipped' : who
        const token = who === 'shipped' ? `${format}-${round}` : undefined
        const speed = await insertOnce(clients[schema], batches[schema], token)
        if (round > 0) speeds[who].push(speed)
      }
    }
    const { shipped, naive, today, untokened } = speeds
    const by = { shipped: median(shipped), naive: median(naive), today: median(today), untokened: median(untokened) }
    inserts.push({ table, format, by })
  }
  return inserts
}

async function measureStored(source: ClickHouseClient, sourceName: string, clients: Clients, options: BenchOptions) {
  const { rows: wanted, show } = options
  const copies = {} as Record<TableName, number>
  await stopRollUps(clients.shipped)
  for (const [index, table] of TABLES.entries()) {
    const [[count = 0] = []] = await rows<number[]>(source, `SELECT count() FROM ${table}`)
    copies[table] = Math.max(1, Math.ceil(wanted / count))
    for (let copy = 0; copy < copies[table]; copy++) {
      show(0.4 + (0.4 * (index + copy / copies[table])) / TABLES.length, `loading ${table}`)
      for (const schema of SCHEMAS) {
        const { query, columns } = copyOf(sourceName, table, copy)
        await clients[schema].command({ query: `INSERT INTO ${table} (${columns}) ${query}` })
      }
    }
  }
  show(0.8, 'rolling up')
  const took = await rollUp(clients.shipped)
  const sizes: BenchResult['sizes'] = []
  for (const table of TABLES) {
    show(0.85, `merging ${table}`)
    const by = {} as Record<SchemaName, Size>
    for (const schema of SCHEMAS) by[schema] = await measureSize(clients[schema], table)
    sizes.push({ table, by })
  }
  const rollUps: BenchResult['rollUps'] = []
  for (const [name, table] of [
    ['bars', 'market_ticks'],
    ['book', 'market_l2'],
  ] as const) {
    const made = await measureSize(clients.shipped, `market_${name}_1m`)
    const from = sizes.find((size) => size.table === table)?.by.shipped.rows ?? 0
    rollUps.push({ name, msPerMillionRows: (took[name] / from) * 1e6, bytesPerRow: made.bytes / from })
  }
  const subject = await chooseSubject(source, Math.min(...Object.values(copies)))
  const answers: Answered[] = []
  for (const question of questionsAbout(subject)) {
    show(0.9, question.name)
    answers.push(await ask(clients, question))
  }
  const [[version = '', threads = 0] = []] = await rows<[string, number]>(
    source,
    "SELECT version(), getSetting('max_threads')",
  )
  return { version, threads, subject, sizes, rollUps, answers }
}

/**
 * The symbol with most trades among those with the most of everything, in the copy in the middle: half of the rows are of others that traded later,
 * as for any symbol that is not the busiest. The moment is when four fifths of its book events were over.
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
