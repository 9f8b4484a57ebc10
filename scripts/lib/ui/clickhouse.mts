/** ClickHouse data for the page: tables, latest quotes, symbols, order book and the built-in ingest. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import type { Finding } from '../common/findings.mts'
import type { Reject } from '../ingest/rejects.mts'
import { statusFindings } from '../ingest/report.mts'
import { type IngestStatus, readStatus } from '../ingest/status.mts'
import type { Settings } from '../settings/settings.mts'
import type { Part, Traces } from './sampler.mts'

export interface TableView {
  table: string
  rows: number
  bytes: number
  /** null at the first sample. Merges that remove duplicate rows lower it. */
  rowsPerSecond: number | null
}

export interface Quote {
  symbol: string
  time: string
  bid: string
  ask: string
  spread: string | null
  bidSize: number
  askSize: number
}

export interface TablesView {
  tables: TableView[]
  quotes: Quote[]
  /** Symbols with quotes, most recent quote first. */
  symbols: string[]
}

export interface IngestView extends Pick<IngestStatus, 'state'> {
  topics: Omit<IngestStatus['topics'][number], 'otherReaders' | 'newestMs' | 'unread'>[]
  rejects: Reject[]
  findings: Finding[]
}

const TIMEOUT_MS = 5_000
const SHOWN_QUOTES = 20
const SHOWN_SYMBOLS = 500
const SHOWN_LEVELS = 10

// Whole-table totals from the metadata that ClickHouse keeps in memory: reads no rows.
const TABLES = `
SELECT name AS table, toFloat64(total_rows) AS rows, toFloat64(total_bytes) AS bytes
FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name NOT LIKE '.%'
ORDER BY name`

const QUOTES = `
SELECT
    symbol, toString(market_l1_latest.timestamp) AS time, toString(bid) AS bid, toString(ask) AS ask, toString(spread) AS spread,
    bid_size AS bidSize, ask_size AS askSize
FROM market_l1_latest FINAL
ORDER BY market_l1_latest.timestamp DESC, symbol
LIMIT ${SHOWN_SYMBOLS}`

export function tablesPart(settings: Settings): Part {
  let previous: { atMs: number; rows: Map<string, number> } | undefined
  const read = (): Promise<TablesView> =>
    withClickHouse(settings, TIMEOUT_MS, async (client) => {
      const found = await readRows<{ table: string; rows: number; bytes: number }>(client, TABLES)
      const atMs = performance.now()
      const before = previous
      previous = { atMs, rows: new Map(found.map(({ table, rows }) => [table, rows])) }
      const tables = found.map(({ table, rows, bytes }): TableView => {
        const rowsBefore = before?.rows.get(table)
        const rowsPerSecond =
          before && rowsBefore !== undefined ? (Math.max(0, rows - rowsBefore) / (atMs - before.atMs)) * 1000 : null
        return { table, rows, bytes, rowsPerSecond }
      })
      const hasQuotes = found.some(({ table }) => table === 'market_l1_latest')
      const quotes = hasQuotes ? await readRows<Quote>(client, QUOTES) : []
      return { tables, quotes: quotes.slice(0, SHOWN_QUOTES), symbols: quotes.map(({ symbol }) => symbol) }
    })
  const close = () => {
    previous = undefined
  }
  return { name: 'tables', pauseMs: 2_000, timeoutMs: 2 * TIMEOUT_MS, read, traces: tableTraces, close }
}

function tableTraces({ tables }: TablesView): Traces {
  // The other tables are derived from these.
  const market = tables.filter(({ table }) => MARKET.includes(table))
  const rates = market.flatMap(({ table, rowsPerSecond }) => (rowsPerSecond === null ? [] : [[table, rowsPerSecond]]))
  return { rows: Object.fromEntries(rates) }
}

const MARKET = ['market_ticks', 'market_l1', 'market_l2', 'market_metrics', 'market_messages', 'market_rejects']

export function ingestPart(settings: Settings): Part {
  const read = (): Promise<IngestView> =>
    withClickHouse(settings, TIMEOUT_MS, async (client) => {
      const status = await readStatus(client, settings, { timeoutMs: TIMEOUT_MS })
      return {
        state: status.state,
        topics: status.topics.map(({ otherReaders, newestMs, unread, ...topic }) => topic),
        rejects: status.rejects,
        findings: statusFindings(status),
      }
    })
  return { name: 'ingest', pauseMs: 2_000, timeoutMs: 12_000, read }
}

export interface Book {
  symbol: string
  /** Time of the last event; null for a symbol without events. */
  time: string | null
  bids: Level[]
  asks: Level[]
}

interface Level {
  price: string
  size: number
  orders: number
}

/**
 * Returns the best levels of a symbol's book after its last event, built from the events of that day (UTC).
 * @throws {OpsError} as {@link withClickHouse} does
 */
export function readBook(settings: Settings, symbol: string): Promise<Book> {
  return withClickHouse(settings, TIMEOUT_MS, async (client) => {
    const time = await lastEvent(client, symbol)
    if (time === null) return { symbol, time, bids: [], asks: [] }
    const levels = await readRows<Level & { side: string }>(
      client,
      `SELECT toString(side) AS side, toString(price) AS price, size, toFloat64(orders) AS orders
       FROM market_book(symbol = {symbol:String}, since = {since:String}, at = {at:String})
       WHERE level < ${SHOWN_LEVELS} ORDER BY side, level`,
      { symbol, since: `${time.slice(0, 10)} 00:00:00`, at: time },
    )
    const of = (wanted: string) =>
      levels.filter(({ side }) => side === wanted).map(({ price, size, orders }) => ({ price, size, orders }))
    return { symbol, time, bids: of('bid'), asks: of('ask') }
  })
}

async function lastEvent(client: ClickHouseClient, symbol: string): Promise<string | null> {
  const query = `SELECT toString(timestamp) AS time FROM market_l2 WHERE symbol = {symbol:String} ORDER BY timestamp DESC LIMIT 1`
  const [last] = await readRows<{ time: string }>(client, query, { symbol })
  return last?.time ?? null
}
