/** The rows that the storage benchmark loads, in order of arrival: a generated market, or Parquet files. */
import { createReadStream, existsSync } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import type { ClickHouseClient } from '@clickhouse/client'
import { insertStream } from '../../scripts/lib/clickhouse/client.mts'
import { usage } from '../../scripts/lib/command/flags.mts'
import { configError } from '../../scripts/lib/common/findings.mts'
import { generateMarket } from '../../scripts/lib/replay/synthetic.mts'

export const TABLES = ['market_ticks', 'market_l1', 'market_l2'] as const
export type TableName = (typeof TABLES)[number]

const TIMES = "timestamp DateTime64(6, 'UTC'), ingestion_time DateTime64(6, 'UTC')"

/** The columns that all three schemas have, with types wide enough for each of them. */
export const COLUMNS: Record<TableName, string> = {
  market_ticks: `symbol String, ${TIMES}, price Decimal(18, 8), size UInt32, conditions String, source String, tick_id UInt64, market_center UInt16, total_volume UInt64, basis String`,
  market_l1: `symbol String, ${TIMES}, bid Decimal(18, 8), ask Decimal(18, 8), bid_size UInt32, ask_size UInt32, source String, sequence UInt64, bid_market_center UInt16, ask_market_center UInt16`,
  market_l2: `symbol String, ${TIMES}, side String, price Decimal(18, 8), size UInt32, operation String, source String, market_maker String, order_id UInt64, order_count UInt32, sequence UInt64`,
}

/** Returns the column names of a table, in order. */
export function columnsOf(table: TableName): string[] {
  return COLUMNS[table]
    .replace(/\([^)]*\)/g, '')
    .split(', ')
    .map((column) => column.split(' ')[0] as string)
}

/** By table: the columns of the Parquet file, and the SELECT list that converts them. */
const PARQUET: Record<TableName, { structure: string; select: string }> = {
  market_ticks: { structure: COLUMNS.market_ticks.replace(', source String', ''), select: "*, 'iqfeed' AS source" },
  market_l1: { structure: COLUMNS.market_l1.replace(', source String', ''), select: "*, 'iqfeed' AS source" },
  market_l2: {
    structure: `symbol String, ${TIMES}, sequence UInt64, message_type UInt8, side_code UInt8, price Decimal(18, 8), size UInt32, order_id UInt64, market_maker String, order_count UInt32`,
    select: `*, 'iqfeed' AS source, if(side_code = 1, 'ask', 'bid') AS side,
      transform(message_type, [3, 6, 7, 4, 8, 5, 9], ['insert', 'insert', 'insert', 'update', 'update', 'delete', 'delete'], '') AS operation`,
  },
}

/** By table: the topic of the generated messages, their fields, and the SELECT list that converts them. */
const GENERATED: Record<TableName, { topic: string; structure: string; select: string }> = {
  market_ticks: {
    topic: 'iqfeed.trades.raw',
    structure:
      'symbol String, timestamp String, trade_price Decimal(18, 8), trade_size UInt32, trade_conditions String, source String, tick_id UInt64, trade_market_center UInt16, total_volume UInt64',
    select:
      "trade_price AS price, trade_size AS size, trade_conditions AS conditions, trade_market_center AS market_center, 'C' AS basis",
  },
  market_l1: {
    topic: 'iqfeed.quotes.raw',
    structure:
      'symbol String, timestamp String, bid_price Decimal(18, 8), bid_size UInt32, ask_price Decimal(18, 8), ask_size UInt32, bid_market_center UInt16, ask_market_center UInt16, source String, tick_id UInt64',
    select: 'bid_price AS bid, ask_price AS ask, tick_id AS sequence',
  },
  market_l2: {
    topic: 'iqfeed.l2.raw',
    structure:
      'symbol String, timestamp String, operation UInt8, side UInt8, price Decimal(18, 8), size UInt32, source String, market_maker String, tick_id UInt64',
    select:
      "['insert', 'update', 'delete'][operation + 1] AS operation, ['ask', 'bid'][side + 1] AS side, toUInt64(0) AS order_id, toUInt32(0) AS order_count, tick_id AS sequence",
  },
}

/** A trading day of 6.5 hours that starts at 2026-01-05 14:30 UTC. */
const START_MS = 1_767_623_400_000
const DAY_S = 23_400

/**
 * Creates and fills the three tables of `client`'s database with a generated market.
 * @param messages number of messages to generate; 10 % are trades, the rest quotes and book events
 * @param show called with the progress, from 0 to 1
 */
export async function generateRows(
  client: ClickHouseClient,
  messages: number,
  symbols: number,
  show: (part: number) => void,
): Promise<void> {
  await createTables(client)
  const market = generateMarket({ symbols, rate: messages / DAY_S, startMs: START_MS, seed: 1 })
  const chunk = 50_000
  for (let sent = 0; sent < messages; sent += chunk) {
    const lines: Record<string, string[]> = {}
    for (let index = 0; index < Math.min(chunk, messages - sent); index++) {
      const message = market.next().value
      if (!message) break
      lines[message.topic] ??= []
      lines[message.topic]?.push(message.value)
    }
    for (const table of TABLES) {
      const { topic, structure, select } = GENERATED[table]
      // Ingestion is 0.3 to 40 ms after the exchange's timestamp.
      const times =
        "symbol, parseDateTime64BestEffort(raw.timestamp, 6, 'UTC') AS timestamp, timestamp + toIntervalMicrosecond(300 + cityHash64(tick_id) % 39700) AS ingestion_time"
      const from = `SELECT ${columnsOf(table).join(', ')} FROM (SELECT * EXCEPT (symbol, timestamp), ${times}, ${select} FROM input('${structure}') AS raw)`
      await insertStream(
        client,
        `INSERT INTO ${table} ${from} FORMAT JSONEachRow`,
        Readable.from([Buffer.from((lines[topic] ?? []).join('\n'))], { objectMode: false }),
      )
    }
    show((sent + chunk) / messages)
  }
}

/**
 * Creates and fills the three tables of `client`'s database from `folder`'s market_ticks.parquet, market_l1.parquet and
 * market_l2.parquet.
 * @throws {OpsError} exit code 2 if files are missing, with one finding per file
 */
export async function loadParquet(client: ClickHouseClient, folder: string): Promise<void> {
  const files = TABLES.map((table) => ({ table, file: path.join(folder, `${table}.parquet`) }))
  const missing = files.filter(({ file }) => !existsSync(file))
  if (missing.length > 0) {
    const expected = 'market_ticks.parquet, market_l1.parquet and market_l2.parquet'
    throw configError(
      missing.map(({ file }) => usage('./bench/storage.mts', `--data ${folder}`, `no ${file}`, expected)),
    )
  }
  await createTables(client)
  for (const { table, file } of files) {
    const { structure, select } = PARQUET[table]
    const from = `SELECT ${columnsOf(table).join(', ')} FROM (SELECT ${select} FROM input('${structure.replaceAll("'", "\\'")}'))`
    const settings = 'SETTINGS max_threads = 1, max_insert_threads = 1, input_format_parquet_preserve_order = 1'
    await insertStream(client, `INSERT INTO ${table} ${from} ${settings} FORMAT Parquet`, createReadStream(file))
  }
}

async function createTables(client: ClickHouseClient): Promise<void> {
  for (const table of TABLES) {
    await client.command({ query: `CREATE TABLE ${table} (${COLUMNS[table]}) ENGINE = MergeTree ORDER BY tuple()` })
  }
}

/**
 * End of each slice as a fraction of a symbol's day: large and small slices, like the parts that a trading day leaves.
 */
const SLICE_ENDS = [0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 1]
export const SLICES = SLICE_ENDS.length

/**
 * Returns a SELECT of one slice of a source table (undefined: all rows), multiplied. The first copy is unchanged; each
 * further copy has other symbols and is 1,237 s later than the one before, so that copies of a row are not adjacent in
 * any sort order.
 */
export function sliceOf(source: string, table: TableName, slice: number | undefined, copies: number): string {
  const columns = columnsOf(table).map((column) => {
    if (column === 'symbol') return "if(copy = 0, raw.symbol, concat(raw.symbol, '.', toString(copy))) AS symbol"
    const isTime = column === 'timestamp' || column === 'ingestion_time'
    return isTime ? `raw.${column} + toIntervalSecond(copy * 1237) AS ${column}` : `raw.${column} AS ${column}`
  })
  const from = `${source}.${table}`
  const ends = `SELECT symbol, quantilesExact(${SLICE_ENDS.slice(0, -1)})(timestamp) AS ends FROM ${from} GROUP BY symbol`
  const isWhole = slice === undefined
  return `
    SELECT ${columns} FROM ${from} AS raw
    ${isWhole ? '' : `JOIN (${ends}) AS slices ON raw.symbol = slices.symbol`}
    CROSS JOIN (SELECT number AS copy FROM numbers(${copies})) AS copies
    ${isWhole ? '' : `WHERE arrayCount(end -> raw.timestamp > end, slices.ends) = ${slice}`}`
}
