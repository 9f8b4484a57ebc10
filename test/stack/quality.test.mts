/** The command quality on tables with known faults, and on the same tables without them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import { runScript } from '../support/command.mts'
import { sharedStack } from '../support/stack.mts'

const stack = await sharedStack()
const database = `${stack.settings.CLICKHOUSE_DB}_quality_${process.pid}`
const settings = { ...stack.settings, CLICKHOUSE_DATABASE: database }
await syncSchema(settings, { mode: 'apply', timeoutMs: 60_000, mayDelete: async () => false, log: () => {} })
const client = await connectClickHouse(settings, 60_000)

interface Doubt {
  code: string
  severity: string
  count: number
  sample: string
  query: string
}

async function quality(
  ...args: string[]
): Promise<{ exitCode: number; doubts: Doubt[]; findings: { hint: string }[] }> {
  const env = { ...stack.env, CLICKHOUSE_DB: database, CLICKHOUSE_DATABASE: database }
  const { stdout, exitCode } = await runScript('quality.mts', [...args, '--json'], { env })
  return { ...JSON.parse(stdout), exitCode }
}

const insert = (table: string, values: object[]) => client.insert({ table, values, format: 'JSONEachRow' })
const at = (second: number) => `2026-01-05 14:30:${String(second).padStart(2, '0')}`
/** Row `index` of a symbol, received when it happened, at the next feed position. */
const row = (symbol: string, index: number, more: object) => ({
  symbol,
  timestamp: at(index),
  ingestion_time: at(index),
  sequence: index + 1,
  ...more,
})

const finding = suite('quality')

finding('finds nothing in tables without faults', async () => {
  const seconds = [0, 1, 2, 3, 4]
  await insert(
    'market_ticks',
    seconds.map((second) => row('GOOD', second, { price: 1.2345 + second / 100, size: 0.5, tick_id: second + 1 })),
  )
  // At and below 0, as spreads are quoted, and with an empty side.
  await insert('market_l1', [
    ...seconds.map((second) => row('GOOD', second, { bid: -0.05, ask: 0.05, bid_size: 1, ask_size: 2 })),
    row('GOOD', 5, { bid: 0, ask: 0.05, ask_size: 2 }),
  ])
  await insert('market_l2', [
    row('GOOD', 0, { side: 'bid', price: 10, size: 1, operation: 'insert' }),
    row('GOOD', 1, { side: 'ask', price: 10.1, size: 1, operation: 'insert' }),
    row('GOOD', 2, { side: 'ask', price: 10.1, size: 0, operation: 'delete' }),
    row('GOOD', 3, { side: 'ask', price: 10.05, size: 1, operation: 'insert' }),
    row('GOOD', 4, { side: 'bid', price: 0, size: 0, operation: 'delete', market_maker: 'NSDQ' }),
  ])
  const { exitCode, doubts } = await quality()
  assert.equal([exitCode, doubts], [0, []])
})

/** Number and first sample of each finding code. */
const FAULTS: Record<string, [count: number, sample: RegExp]> = {
  TRADE_GAP: [3, /^TRD 2026-01-05 14:30:02\.000000 price 10, size 1$/],
  TRADE_LATE: [1, /^TRD 2026-01-05 14:30:04/],
  TRADE_TRUNCATED: [2, /^TRUN 2026-01-05 14:30:00\.000000 price 1\.19999999/],
  TRADE_SIZE: [2, /^SIZE 2026-01-05 14:30:00\.000000 price 1, size -5$/],
  TRADE_TWICE: [1, /^TWICE 2026-01-05 14:30:01/],
  TRADE_ZERO: [1, /^ZERO 2026-01-05 14:30:01\.000000 price 0/],
  TRADE_OUTLIER: [1, /^OUT 2026-01-05 14:30:01\.000000 price 20/],
  QUOTE_CROSSED: [1, /^QUO 2026-01-05 14:30:01\.000000 bid 10\.2 × 1, ask 10\.1 × 1$/],
  QUOTE_LOCKED: [1, /^QUO 2026-01-05 14:30:02/],
  QUOTE_ZERO: [1, /^QUO 2026-01-05 14:30:03\.000000 bid 0 × 1/],
  QUOTE_STALE: [1, /^EARLY 2026-01-05 13:00:00/],
  BOOK_DELETES_NOTHING: [1, /^BOOK 2026-01-05 14:30:03\.000000 bid delete 0 × 0$/],
  BOOK_STUCK: [1, /^BOOK 2026-01-05 14:30:00\.000000 bid 10$/],
}

finding('finds each fault, counts it and shows it', async () => {
  const trade = (symbol: string, second: number, price: unknown, more: object = {}) =>
    row(symbol, second, { price, size: 1, tick_id: second + 1, ...more })
  await insert('market_ticks', [
    // Mostly a counter: 3 positions are missing before the third row. The fifth row was received before the fourth.
    ...[0, 1, 2, 3, 4, 5].map((second) => trade('TRD', second, 10, { sequence: second < 2 ? second + 1 : second + 4 })),
    ...['1.19999999', '1.20999999', '1.21349998'].map((price, second) => trade('TRUN', second, price)),
    trade('SIZE', 0, 1, { size: -5 }),
    trade('SIZE', 1, 1, { size: 'nan' }),
    trade('TWICE', 1, 1),
    ...[1, 0, 1].map((price, second) => trade('ZERO', second, price)),
    ...[10, 20, 10, 10.5].map((price, second) => trade('OUT', second, price)),
    // Far apart, as an exchange's ids are: no gap.
    ...[100, 205, 309].map((sequence, second) => trade('IDS', second, 1, { sequence })),
  ])
  await client.command({
    query: "ALTER TABLE market_ticks DELETE WHERE symbol = 'TRD' AND sequence = 8 SETTINGS mutations_sync = 1",
  })
  await insert('market_ticks', [trade('TRD', 4, 10, { sequence: 8, ingestion_time: at(2) })])
  await insert('market_ticks', [trade('TWICE', 1, 1)])
  const quote = (second: number, bid: number, ask: number) => row('QUO', second, { bid, ask, bid_size: 1, ask_size: 1 })
  await insert('market_l1', [
    quote(0, 10, 10.1),
    quote(1, 10.2, 10.1),
    quote(2, 10.1, 10.1),
    quote(3, 0, 10.1),
    { symbol: 'EARLY', timestamp: '2026-01-05 13:00:00', bid: 1, ask: 2, bid_size: 1, ask_size: 1 },
  ])
  await insert('market_l2', [
    row('BOOK', 0, { side: 'bid', price: 10, size: 1, operation: 'insert' }),
    row('BOOK', 1, { side: 'bid', price: 9.8, size: 1, operation: 'insert' }),
    row('BOOK', 2, { side: 'ask', price: 9.9, size: 1, operation: 'insert' }),
    row('BOOK', 3, { side: 'bid', price: 0, size: 0, operation: 'delete' }),
  ])
  const { exitCode, doubts, findings } = await quality('--day', '2026-01-05')
  assert.is(exitCode, 1)
  const counts = (found: Record<string, number>) => Object.entries(found).sort(([a], [b]) => a.localeCompare(b))
  assert.equal(
    counts(Object.fromEntries(doubts.map(({ code, count }) => [code, count]))),
    counts(Object.fromEntries(Object.entries(FAULTS).map(([code, [count]]) => [code, count]))),
  )
  for (const { code, sample, query } of doubts) {
    assert.match(sample, FAULTS[code]?.[1] as RegExp)
    const rows = await (await client.query({ query, format: 'JSONEachRow' })).json()
    assert.ok(rows.length > 0, `${code}: the query shows nothing`)
  }
  assert.equal(
    findings.map(({ hint }) => hint),
    doubts.map(({ query }) => query),
  )
})

finding('checks one symbol and one day', async () => {
  assert.equal((await quality('--symbol', 'GOOD')).doubts, [])
  assert.equal((await quality('--day', '2026-01-06')).doubts, [])
  const { exitCode, doubts } = await quality('--symbol', 'QUO', '--day', '2026-01-05')
  assert.is(exitCode, 0)
  assert.equal(
    doubts.map(({ code }) => code),
    ['QUOTE_CROSSED', 'QUOTE_LOCKED', 'QUOTE_ZERO'],
  )
  assert.equal((await quality('--symbol', "it's")).doubts, [])
})

finding('does not report gaps for Kafka offsets, which symbols share, including partition 0', async () => {
  const trade = (symbol: string, index: number, sequence: number) => ({
    symbol,
    timestamp: `2026-01-08 14:30:0${index}`,
    ingestion_time: `2026-01-08 14:30:0${index}`,
    ...{ price: 1, size: 1, tick_id: index + 1, sequence },
  })
  const places = [1, 2, 3, 9, 10, 11]
  await insert('market_ticks', [
    ...places.map((place, index) => trade('P0', index, place)),
    ...places.map((place, index) => trade('P3', index, 3e14 + place)),
  ])
  for (const scope of [[], ['--symbol', 'P0'], ['--symbol', 'P3']])
    assert.equal((await quality('--day', '2026-01-08', ...scope)).doubts, [])
})

finding('refuses an invalid day', async () => {
  for (const day of ['yesterday', '2026-02-30', '20260105']) assert.is((await quality('--day', day)).exitCode, 2)
})

finding.after(async () => {
  await client.command({ query: `DROP DATABASE ${database}` })
  await client.close()
  await stack.stop()
})
finding.run()
