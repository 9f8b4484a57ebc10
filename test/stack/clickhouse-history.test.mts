/**
 * Loads history of 2,000 symbols while ingest stores live messages, within the shipped memory limit: no INSERT and no roll-up is refused,
 * and every query succeeds. Loads 3 days at 2,000 live messages/s, or with `HISTORY=full` 30 days of 1,700,000 rows each at 10,000
 * messages/s.
 */
import { Readable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { insertStream } from '../../scripts/lib/clickhouse/client.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { runScript } from '../support/command.mts'
import { IngestStack } from '../support/ingest.mts'

const isFull = process.env.HISTORY === 'full'
const SYMBOLS = 2_000
/** Rows per day: trades, quotes, order book events. */
const [DAYS, TRADES, QUOTES, EVENTS] = isFull ? [30, 300_000, 400_000, 1_000_000] : [3, 60_000, 80_000, 200_000]
const [RATE, COUNT] = isFull ? [10_000, 1_500_000] : [2_000, 30_000]

const dayOf = (day: number) => new Date(Date.UTC(2026, 0, 5 + day)).toISOString().slice(0, 10)

/** Per table, the rows per day and the additional columns, as expressions of `sequence` and `price`. */
const HISTORY: Record<string, { rows: number; columns: Record<string, string> }> = {
  market_ticks: { rows: TRADES, columns: { price: 'price', size: '1 + sequence % 500', tick_id: 'sequence' } },
  market_l1: {
    rows: QUOTES,
    columns: { bid: 'price', ask: 'price + 0.01', bid_size: '1 + sequence % 90', ask_size: '1 + sequence % 70' },
  },
  market_l2: {
    rows: EVENTS,
    columns: {
      price: 'price',
      side: "if(cityHash64(sequence) % 2 = 1, 'bid', 'ask')",
      size: '1 + sequence % 500',
      operation: "['insert', 'update', 'delete'][1 + sequence % 3]",
      order_id: `1 + intDiv(sequence, ${SYMBOLS}) % 50`,
    },
  },
}

let stack: IngestStack
const history = suite('history of 2,000 symbols during ingest')

history.before(async () => {
  stack = await IngestStack.start({ INGEST_FLUSH_MS: '1000' })
  assert.is((await stack.ingest(['on'])).exitCode, 0)
})

history.after(() => stack.stop())

/** Sends one day of a table as a client does, over HTTP in one INSERT: rows of all symbols, spread over 6.5 hours. */
async function send(table: string, day: number): Promise<void> {
  const { rows, columns } = HISTORY[table] as (typeof HISTORY)[string]
  const names = ['symbol', 'timestamp', 'ingestion_time', 'source', 'sequence', ...Object.keys(columns)].join(', ')
  const select = `
    SELECT symbol, timestamp, timestamp, 'history', sequence, ${Object.values(columns).join(', ')}
    FROM
    (
      SELECT
        concat('S', toString(number % ${SYMBOLS})) AS symbol,
        toDateTime64('${dayOf(day)} 14:30:00', 6, 'UTC') + toIntervalMicrosecond(intDiv(number * 23400000000, ${rows})) AS timestamp,
        number + 1 AS sequence,
        100 + cityHash64(number) % 1000 / 100 AS price
      FROM numbers(${rows})
    )
    FORMAT TabSeparated`
  const made = await stack.clickhouse.exec({ query: select })
  const chunks: Buffer[] = []
  for await (const chunk of made.stream) chunks.push(chunk)
  const values = Readable.from([Buffer.concat(chunks)], { objectMode: false })
  await insertStream(stack.clickhouse, `INSERT INTO ${table} (${names}) FORMAT TabSeparated`, values)
}

/** Counts the buckets that are not rolled up yet. */
const stale = () => stack.count('market_rollup_state FINAL', 'computed_at <= inserted_at + INTERVAL 10 SECOND')

history('is stored and rolled up without running out of memory', async () => {
  const live = runScript('replay.mts', ['--generate', '--rate', String(RATE), '--count', String(COUNT), '--json'], {
    env: stack.stack.env,
  })
  for (let day = 0; day < DAYS; day++) {
    for (const table of Object.keys(HISTORY)) await send(table, day)
  }
  const { exitCode, stdout } = await live
  assert.is(exitCode, 0, stdout)
  const total = DAYS * (TRADES + QUOTES + EVENTS) + COUNT
  await waitUntil(async () => (await stack.stored()) === total, { timeoutMs: 60_000, pollMs: 500 })
  assert.is(await stack.stored(), total)
  assert.ok(
    await waitUntil(async () => (await stale()) === 0, { timeoutMs: isFull ? 3_600_000 : 120_000, pollMs: 500 }),
  )
  const refused =
    "SELECT name, toUInt32(value), last_error_message FROM system.errors WHERE name = 'MEMORY_LIMIT_EXCEEDED'"
  assert.equal(await stack.rows(refused), [])
})

history('answers each query', async () => {
  const day = dayOf(1)
  const of = `symbol = 'S7' AND timestamp >= '${day} 00:00:00' AND timestamp < '${dayOf(2)} 00:00:00'`
  const count = async (query: string) => Number((await stack.rows(query))[0]?.[0])
  const each = (rows: number) => rows / SYMBOLS
  assert.is(await count("SELECT toUInt32(count()) FROM market_last_trades(symbol = 'S7', trades = 50)"), 50)
  const bars = `SELECT toUInt32(sum(trades)) FROM market_bars WHERE symbol = 'S7' AND toDate(minute) = '${day}'`
  assert.is(await count(bars), each(TRADES))
  const all = `SELECT toUInt32(sum(trades)) FROM market_bars WHERE toDate(minute) = '${day}'`
  assert.is(await count(all), TRADES)
  const sides = `SELECT toUInt32(uniqExact(side)) FROM market_book(symbol = 'S7', since = '${day} 00:00:00', at = '${day} 20:00:00')`
  assert.is(await count(sides), 2)
  const beside = `SELECT toUInt32(count(quoted_at)) FROM market_tbbo(symbol = 'S7', since = '${day} 00:00:00', until = '${dayOf(2)} 00:00:00')`
  assert.ok((await count(beside)) > 0)
  assert.is(await count(`SELECT toUInt32(count(spread)) FROM market_l1 FINAL WHERE ${of}`), each(QUOTES))
  const bySymbol =
    'SELECT toUInt32(count()) FROM (SELECT symbol, count(), sum(size), max(timestamp) FROM market_l2 GROUP BY symbol)'
  assert.ok((await count(bySymbol)) >= SYMBOLS)
  const byDay = `SELECT toUInt32(count()) FROM market_ticks FINAL WHERE toDate(timestamp) = '${day}'`
  assert.is(await count(byDay), TRADES)
})

history.run()
