/** The tables and views of clickhouse/init: inserted rows are returned once, and every view returns the expected rows. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { InsertResult } from '@clickhouse/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { rollUp } from '../support/rollup.mts'
import { sharedStack } from '../support/stack.mts'

const stack = await sharedStack()
const database = `l2_market_data_storage_${process.pid}`
const settings = { ...stack.settings, CLICKHOUSE_DATABASE: database }
await syncSchema(settings, { mode: 'apply', timeoutMs: 60_000, mayDelete: async () => false, log: () => {} })
const client = await connectClickHouse(settings, 60_000)

async function rows(query: string): Promise<unknown[][]> {
  const clickhouse_settings = { output_format_json_quote_64bit_integers: 0 as const }
  const answer = await client.query({ query, format: 'JSONCompactEachRow', clickhouse_settings })
  return answer.json<unknown[]>()
}

/** Inserts rows, with a deduplication token if given. */
function insert(table: string, values: object[], token?: string): Promise<InsertResult> {
  const clickhouse_settings = token === undefined ? {} : { insert_deduplication_token: token }
  return client.insert({ table, values, format: 'JSONEachRow', clickhouse_settings })
}

const trade = (symbol: string, time: string, price: number, size: number, tick_id: number, rest: object = {}) => ({
  symbol,
  timestamp: `2026-01-05T14:${time}Z`,
  price,
  size,
  tick_id,
  ...rest,
})

const writers = suite('inserts')

writers('of trades by column name, in JSONEachRow and Native, return the same rows', async () => {
  const row = {
    symbol: 'AAPL',
    timestamp: '2026-01-05 14:30:00.123456',
    price: '189.12345678',
    size: 3_166_418,
    conditions: '0117',
    ingestion_time: '2026-01-05 14:30:00.125999',
    source: 'iqfeed',
  }
  await insert('market_ticks', [row])
  await native('market_ticks', Object.entries({ ...row, symbol: 'NATV' }))
  const columns = Object.keys(row).join(', ')
  const found = await rows(`SELECT ${columns} FROM market_ticks WHERE symbol IN ('AAPL', 'NATV') ORDER BY symbol`)
  // The receive time is stored in milliseconds.
  const values = [row.timestamp, 189.12345678, row.size, row.conditions, '2026-01-05 14:30:00.125', row.source]
  assert.equal(found, [
    ['AAPL', ...values],
    ['NATV', ...values],
  ])
})

/** Inserts one row of strings in the server's binary Native format. */
async function native(table: string, columns: [string, unknown][]): Promise<void> {
  const select = columns.map(([name, value]) => `${typeof value === 'number' ? value : `'${value}'`} AS ${name}`)
  const bytes = await client.exec({ query: `SELECT ${select.join(', ')} FORMAT Native` })
  const chunks: Buffer[] = []
  for await (const chunk of bytes.stream) chunks.push(chunk)
  const names = columns.map(([name]) => name).join(', ')
  const done = await client.exec({
    query: `INSERT INTO ${table} (${names}) FORMAT Native`,
    values: Readable.from([Buffer.concat(chunks)], { objectMode: false }),
  })
  done.stream.resume()
}

writers('of order book events accept words or numbers for side and operation', async () => {
  const event = { timestamp: '2026-01-05T14:30:00.5', symbol: 'SIDE', price: 10, size: 1 }
  await insert('market_l2', [
    { ...event, side: 'bid', operation: 'update' },
    { ...event, side: 0, operation: 2, level: 3, market_maker: 'NSDQ', tick_id: 7, source: 'iqfeed' },
    { ...event, side: '1', operation: '0' },
  ])
  await native(
    'market_l2',
    Object.entries({ ...event, timestamp: '2026-01-05 14:30:01', side: 1, operation: 'delete' }),
  )
  const found = await rows(
    "SELECT side, operation, level, market_maker, tick_id, source FROM market_l2 WHERE symbol = 'SIDE' ORDER BY timestamp, side, operation",
  )
  assert.equal(found, [
    ['ask', 'delete', 3, 'NSDQ', 7, 'iqfeed'],
    ['bid', 'insert', 0, '', 0, ''],
    ['bid', 'update', 0, '', 0, ''],
    ['bid', 'delete', 0, '', 0, ''],
  ])
})

writers('of quotes: spread and mid are exact, and NULL while a side is missing', async () => {
  const quote = { timestamp: '2026-01-05T14:30:00Z', bid_size: 100, ask_size: 200, source: 'iqfeed' }
  await insert('market_l1', [
    { ...quote, symbol: 'MID', bid: '10.00000001', ask: '10.00000002' },
    { ...quote, symbol: 'ONE', bid: '10', ask: 0, ask_size: 0 },
  ])
  const query =
    "SELECT symbol, toString(spread), toString(mid) FROM market_l1 WHERE symbol IN ('MID', 'ONE') ORDER BY symbol"
  assert.equal(await rows(query), [
    ['MID', '0.00000001', '10.000000015'],
    ['ONE', null, null],
  ])
})

writers(
  'of quotes at and below 0: a side with a size exists; without sizes, a side with a price above 0 does',
  async () => {
    const quote = { timestamp: '2026-01-05T14:30:00Z', source: 'iqfeed' }
    const quotes: [symbol: string, values: object, spread: string | null, mid: string | null][] = [
      ['NEG1', { bid: -37.63, ask: -37, bid_size: 10, ask_size: 10 }, '0.63', '-37.315'],
      ['NEG2', { bid: -0.05, ask: 0.05, bid_size: 10, ask_size: 10 }, '0.1', '0'],
      ['NEG3', { bid: 0, ask: 0.05, bid_size: 10, ask_size: 0.5 }, '0.05', '0.025'],
      ['NEG4', { bid: 10, ask: 11 }, '1', '10.5'],
      ['NEG5', { bid: 10, ask: 11, bid_size: 5 }, null, null],
      ['NEG6', { bid: -1, ask: 1 }, null, null],
    ]
    await insert(
      'market_l1',
      quotes.map(([symbol, values]) => ({ ...quote, symbol, ...values })),
    )
    const expected = quotes.map(([symbol, , spread, mid]) => [symbol, spread, mid])
    for (const table of ['market_l1', 'market_l1_latest FINAL'])
      assert.equal(
        await rows(
          `SELECT symbol, toString(spread), toString(mid) FROM ${table} WHERE symbol LIKE 'NEG_' ORDER BY symbol`,
        ),
        expected,
        table,
      )
  },
)

writers('of fractional sizes, in JSON and Native; whole ones stay numbers', async () => {
  const row = { symbol: 'FRAC', timestamp: '2026-01-05 14:30:00', price: '91234.5' }
  await insert('market_ticks', [
    { ...row, size: 0.001, tick_id: 1 },
    { ...row, size: 100, tick_id: 2 },
  ])
  await native('market_ticks', Object.entries({ ...row, size: 1703.1, tick_id: 3 }))
  await native('market_ticks', Object.entries({ ...row, size: 7, tick_id: 4 }))
  const sizes = "SELECT size FROM market_ticks WHERE symbol = 'FRAC' ORDER BY tick_id"
  assert.equal((await rows(sizes)).flat(), [0.001, 100, 1703.1, 7])
})

writers('partitions stay few: monthly, daily for order book events', async () => {
  const days = 'SELECT number AS day FROM numbers(40)'
  await client.command({
    query: `INSERT INTO market_ticks (symbol, timestamp, price, size) SELECT concat('S', toString(day % 7)), toDateTime64('2025-01-01 12:00:00', 6, 'UTC') + INTERVAL day DAY, 1, 1 FROM (${days})`,
  })
  await client.command({
    query: `INSERT INTO market_l2 (symbol, timestamp, price, size) SELECT concat('S', toString(day % 7)), toDateTime64('2025-01-01 12:00:00', 6, 'UTC') + INTERVAL day DAY, 1, 1 FROM (${days})`,
  })
  const count = (table: string) =>
    `(SELECT uniqExact(partition) FROM system.parts WHERE active AND database = '${database}' AND table = '${table}' AND min_time < '2026-01-01' AND partition LIKE '2025%')`
  assert.equal(await rows(`SELECT ${count('market_ticks')}, ${count('market_l2')}`), [[2, 40]])
})

writers('rows are compressed with LZ4 first, better after 12 hours, and none is lost', async () => {
  for (const [table, values, cold] of [
    ['market_ticks', 'price, size', 'ZSTD(15)'],
    ['market_l1', 'bid, bid_size', 'ZSTD(7)'],
    ['market_l2', 'price, size', 'ZSTD(3)'],
  ]) {
    for (const hours of [11, 13, 12 * 24 * 365]) {
      const select = `SELECT 'COLD', now64(6, 'UTC') - INTERVAL ${hours} HOUR, number, number FROM numbers(100)`
      await client.command({ query: `INSERT INTO ${table} (symbol, timestamp, ${values}) ${select}` })
    }
    const parts = `FROM system.parts WHERE active AND database = '${database}' AND table = '${table}'`
    await client.command({ query: `OPTIMIZE TABLE ${table} FINAL` })
    const merged = await rows(
      `SELECT DISTINCT max_time > now() - INTERVAL 12 HOUR, default_compression_codec ${parts} ORDER BY 1`,
    )
    assert.equal(
      merged,
      [
        [0, cold],
        [1, 'LZ4'],
      ],
      table,
    )
    assert.equal(await rows(`SELECT count() FROM ${table} WHERE symbol = 'COLD'`), [[300]], table)
  }
})

const once = suite('counted once')

once('a batch with the same token, in every table and in the views computed from it', async () => {
  const trades = [trade('TOKN', '30:01', 10, 100, 0), trade('TOKN', '30:01', 10, 100, 0, { conditions: '01' })]
  const event = {
    symbol: 'TOKN',
    timestamp: '2026-01-05T14:30:00Z',
    side: 'bid',
    price: 1,
    size: 1,
    operation: 'insert',
  }
  for (const batch of ['a', 'a', 'b']) {
    await insert(
      'market_ticks',
      trades.map((row) => ({ ...row, timestamp: batch === 'a' ? row.timestamp : '2026-01-05T14:32:00Z' })),
      `t-${batch}`,
    )
    await insert('market_l2', [event], `l-${batch}`)
  }
  assert.equal(await rows("SELECT count() FROM market_ticks WHERE symbol = 'TOKN'"), [[4]])
  assert.equal(await rows("SELECT count() FROM market_l2 WHERE symbol = 'TOKN'"), [[2]])
  assert.equal(await rows("SELECT sum(trades) FROM market_bars WHERE symbol = 'TOKN'"), [[4]])
})

once('a trade or quote that is repeated in another batch', async () => {
  const quote = {
    symbol: 'AGIN',
    timestamp: '2026-01-05T14:30:00Z',
    bid: 1,
    ask: 2,
    bid_size: 3,
    ask_size: 4,
    tick_id: 5,
  }
  for (const extra of [6, 7]) {
    const received = { ingestion_time: `2026-01-05T14:30:0${extra}Z` }
    await insert('market_ticks', [trade('AGIN', '30:00', 10, 100, 1, received), trade('AGIN', '30:00', 10, 100, extra)])
    await insert('market_l1', [
      { ...quote, ...received },
      { ...quote, tick_id: extra },
    ])
  }
  assert.equal(await rows("SELECT count() FROM market_ticks FINAL WHERE symbol = 'AGIN'"), [[3]])
  assert.equal(await rows("SELECT count() FROM market_trades WHERE symbol = 'AGIN'"), [[3]])
  assert.equal(await rows("SELECT count() FROM market_last_trades(symbol = 'AGIN', trades = 9)"), [[3]])
  assert.equal(await rows("SELECT sum(trades), sum(volume) FROM market_bars WHERE symbol = 'AGIN'"), [[3, 300]])
  assert.equal(await rows("SELECT count() FROM market_l1 FINAL WHERE symbol = 'AGIN'"), [[3]])
})

once('but similar trades are kept: another tick id, sequence or receive time', async () => {
  const alike = (rest: object) =>
    trade('LIKE', '30:00', 10, 100, 0, { ingestion_time: '2026-01-05T14:30:00.001Z', ...rest })
  await insert('market_ticks', [
    alike({}),
    alike({ tick_id: 1 }),
    alike({ sequence: 1 }),
    alike({ ingestion_time: '2026-01-05T14:30:00.002Z' }),
    alike({ price: 11 }),
    // Without a tick id, it cannot identify the deleted trade.
    alike({ correction: 'delete' }),
  ])
  assert.equal(await rows("SELECT count() FROM market_ticks FINAL WHERE symbol = 'LIKE'"), [[6]])
  assert.equal(await rows("SELECT count() FROM market_trades WHERE symbol = 'LIKE'"), [[5]])
  assert.equal(await rows("SELECT count() FROM market_last_trades(symbol = 'LIKE', trades = 9)"), [[5]])
})

const bars = suite('market_bars')
const BARS = (symbol: string) =>
  `SELECT formatDateTime(minute, '%H:%i'), open, high, low, close, volume, toString(vwap), trades FROM market_bars WHERE symbol = '${symbol}' ORDER BY minute`

bars('are right immediately, after corrections, and after the roll-up', async () => {
  await insert('market_ticks', [
    // Out of order: the first and last trade are determined by exchange time.
    trade('BARS', '30:03', 9, 50, 3),
    trade('BARS', '30:01', 10, 100, 1),
    trade('BARS', '30:59.999999', 11, 50, 4),
    trade('BARS', '30:02', 12, 100, 2),
    trade('BARS', '31:00', 11.5, 10, 5),
  ])
  const first = [
    ['14:30', 10, 12, 9, 11, 300, '10.66666666', 4],
    ['14:31', 11.5, 11.5, 11.5, 11.5, 10, '11.5', 1],
  ]
  assert.equal(await rows(BARS('BARS')), first)
  await rollUp(client, 'bars')
  assert.equal(await rows("SELECT sum(trades) FROM market_bars_1m FINAL WHERE symbol = 'BARS'"), [[5]])
  assert.equal(await rows(BARS('BARS')), first)

  // Deletes the low, corrects the high to another price, and deletes the only trade of a minute.
  await insert('market_ticks', [
    trade('BARS', '30:03', 9, 50, 3, { correction: 'delete' }),
    trade('BARS', '30:02', 12, 100, 2, { correction: 'delete' }),
    trade('BARS', '30:02', 11.8, 100, 2, { correction: 'insert' }),
    // Inserted later by the exchange and equal to an existing trade, but still a separate trade.
    trade('BARS', '30:59.999999', 11, 50, 4, { correction: 'insert' }),
    trade('BARS', '31:00', 11.5, 10, 5, { correction: 'delete' }),
    // Without an id, so it deletes nothing, and is not a trade.
    trade('BARS', '30:01', 10, 100, 0, { correction: 'delete' }),
  ])
  const corrected = [['14:30', 10, 11.8, 10, 11, 250, '10.92', 3]]
  assert.equal(await rows(BARS('BARS')), corrected)
  assert.equal(
    await rows("SELECT toString(price), correction FROM market_trades WHERE symbol = 'BARS' ORDER BY timestamp"),
    [
      ['10', 'none'],
      ['11.8', 'insert'],
      ['11', 'insert'],
    ],
  )
  const last = (trades: number) =>
    rows(`SELECT toString(price), correction FROM market_last_trades(symbol = 'BARS', trades = ${trades})`)
  const latestFirst = [
    ['11', 'insert'],
    ['11.8', 'insert'],
    ['10', 'none'],
  ]
  assert.equal([await last(2), await last(9)], [latestFirst.slice(0, 2), latestFirst])
  await rollUp(client, 'bars')
  assert.equal(await rows(BARS('BARS')), corrected)
  // No row was deleted: the audit trail is complete.
  assert.equal(await rows("SELECT count() FROM market_ticks WHERE symbol = 'BARS'"), [[11]])
})

bars('and the last trades order trades of one microsecond as in the feed', async () => {
  const inOrder = (symbol: string, prices: number[], tickIds: number[]) =>
    prices.map((price, index) => trade(symbol, '30:00', price, 1, tickIds[index] ?? 0, { sequence: index + 1 }))
  await insert('market_ticks', inOrder('FEED', [11, 10, 12, 11.5], []))
  // Tick ids are not monotonic. Without a feed position, they are the only order available.
  await insert('market_ticks', inOrder('IDS', [11, 10, 12, 11.5], [9, 5, 7, 6]))
  await insert('market_ticks', [trade('ONLY', '30:00', 11.5, 1, 4), trade('ONLY', '30:00', 11, 1, 3)])
  const lastOf = async (symbol: string, trades: number) =>
    (await rows(`SELECT toFloat64(price) FROM market_last_trades(symbol = '${symbol}', trades = ${trades})`)).flat()
  const check = async () => {
    for (const symbol of ['FEED', 'IDS'])
      assert.equal(await rows(BARS(symbol)), [['14:30', 11, 12, 10, 11.5, 4, '11.125', 4]])
    assert.equal(await rows(BARS('ONLY')), [['14:30', 11, 11.5, 11, 11.5, 2, '11.25', 2]])
  }
  await check()
  for (const symbol of ['FEED', 'IDS']) {
    assert.equal(await lastOf(symbol, 9), [11.5, 12, 10, 11])
    assert.equal(await lastOf(symbol, 1), [11.5])
  }
  assert.equal(await lastOf('ONLY', 1), [11.5])
  await rollUp(client, 'bars')
  await check()
})

bars('and the last trades are found without reading all rows of a symbol', async () => {
  for (const hour of [10, 11, 12, 13]) {
    const times = `toDateTime64('2026-01-05 ${hour}:00:00', 6, 'UTC') + toIntervalMillisecond(number * 20)`
    const select = `SELECT 'LONG', ${times}, 10 + number % 7, 1, number + 1 FROM numbers(150000)`
    await client.command({ query: `INSERT INTO market_ticks (symbol, timestamp, price, size, tick_id) ${select}` })
  }
  const query = "SELECT toUInt32(tick_id) FROM market_last_trades(symbol = 'LONG', trades = 10)"
  const clickhouse_settings = { wait_end_of_query: 1 as const }
  const answer = await client.query({ query, format: 'JSONCompactEachRow', clickhouse_settings })
  const latest = Array.from({ length: 10 }, (_, index) => [150_000 - index])
  assert.equal(await answer.json<unknown[]>(), latest)
  const { read_rows } = JSON.parse(String(answer.response_headers['x-clickhouse-summary']))
  // A few thousand rows of each part.
  assert.ok(Number(read_rows) < 300_000, read_rows)
})

bars('sum sizes exactly: fractions as decimals, whole ones to the last digit', async () => {
  await insert('market_ticks', [
    trade('SUMS', '30:01', 1.5, 0.1, 1),
    trade('SUMS', '30:02', 1.5, 0.2, 2),
    trade('SUMS', '31:01', 2, 1703.1, 3),
    trade('SUMS', '31:02', 2, 0.00000001, 4),
    trade('SUMS', '32:01', 1, 4_503_599_627_370_497, 5),
    trade('SUMS', '32:02', 1, 4_503_599_627_370_494, 6),
  ])
  const expected = [
    ['14:30', '0.3', '0.45', '1.5'],
    ['14:31', '1703.10000001', '3406.20000002', '2'],
    ['14:32', '9007199254740991', '9007199254740991', '1'],
  ]
  const query =
    "SELECT formatDateTime(minute, '%H:%i'), toString(volume), toString(notional), toString(vwap) FROM market_bars WHERE symbol = 'SUMS' ORDER BY minute"
  assert.equal(await rows(query), expected)
  await rollUp(client, 'bars')
  assert.equal(await rows(query), expected)
})

bars('include rows of a failed INSERT, and have no VWAP where nothing was traded', async () => {
  const select =
    "SELECT 'BRKN', toDateTime64('2026-01-05 16:00:00', 6, 'UTC') + number / 100, 1, throwIf(number >= 9000), number FROM numbers(10000)"
  const settings = 'max_block_size = 1000, min_insert_block_size_rows = 1000, max_threads = 1'
  const query = `INSERT INTO market_ticks (symbol, timestamp, price, size, tick_id) SETTINGS ${settings} ${select}`
  assert.match((await client.command({ query }).catch((error: Error) => error)).toString(), 'throwIf')
  const [[stored] = []] = await rows("SELECT count() FROM market_trades WHERE symbol = 'BRKN'")
  assert.ok(Number(stored) > 0)
  const total = "SELECT sum(trades), countIf(vwap IS NULL) = count() FROM market_bars WHERE symbol = 'BRKN'"
  assert.equal(await rows(total), [[stored, 1]])
  // Buckets without rows do not prevent the others from being rolled up.
  for (const rollup of ['bars', 'book'])
    await client.command({
      query: `INSERT INTO market_rollup_state (rollup, bucket, inserted_at) SELECT '${rollup}', toDateTime('2020-01-01 00:00:00', 'UTC') + 300 * number, now64(6, 'UTC') FROM numbers(400)`,
    })
  await rollUp(client, 'bars')
  await rollUp(client, 'book')
  assert.equal(await rows(total), [[stored, 1]])
})

bars('agree with the trades while writers and the roll-up race', async () => {
  const end = Date.now() + 12_000
  let tick = 0
  let compared = 0
  const write = async (writer: number) => {
    while (Date.now() < end) {
      const at = () => `3${tick % 9}:${String((tick * 7) % 60).padStart(2, '0')}`
      // Every other batch repeats a trade of the previous one.
      const batch = [tick, ++tick, ++tick].map((id) => trade('RACE', at(), 10 + (id % 5), id + 1, id + 1))
      await insert('market_ticks', batch)
      await delay(300 * writer)
    }
  }
  const compare = async () => {
    const raw = `SELECT toStartOfMinute(timestamp) AS minute, sum(size) AS volume, count() AS trades FROM market_trades WHERE symbol = 'RACE' GROUP BY minute`
    const cached = `SELECT minute, volume, trades FROM market_bars WHERE symbol = 'RACE'`
    while (Date.now() < end) {
      // Trades only grow, so the bars queried between two counts of the trades must lie between these counts, in every minute.
      const total = async (query: string) => Number((await rows(`SELECT sum(trades) FROM (${query})`))[0]?.[0])
      const [before, between, after] = [await total(raw), await total(cached), await total(raw)]
      assert.ok(before <= between && between <= after, `${before} <= ${between} <= ${after}`)
      compared++
    }
    await Promise.all(writing)
    assert.equal(
      await rows(`${cached} ORDER BY minute`),
      await rows(`SELECT minute, volume, toUInt32(trades) FROM (${raw}) ORDER BY minute`),
    )
  }
  const writing = [write(1), write(2)]
  await compare()
  assert.ok(compared > 10, `${compared}`)
  await rollUp(client, 'bars')
  assert.equal(
    await rows("SELECT minute, volume, trades FROM market_bars WHERE symbol = 'RACE' ORDER BY minute"),
    await rows(
      "SELECT toStartOfMinute(timestamp) AS minute, sum(size), toUInt32(count()) FROM market_trades WHERE symbol = 'RACE' GROUP BY minute ORDER BY minute",
    ),
  )
})

const latest = suite('market_l1_latest')

latest('is the quote with the latest time, whatever arrives late or twice', async () => {
  const quote = (time: string, bid: number, sequence = 0) => ({
    symbol: 'LAST',
    timestamp: `2026-01-05T14:30:0${time}Z`,
    bid,
    ask: bid + 1,
    bid_size: 1,
    ask_size: 2,
    sequence,
  })
  await insert('market_l1', [quote('1', 10), quote('2', 12, 2), quote('2', 11, 1)])
  await insert('market_l1', [quote('0', 9)])
  await insert('market_l1', [quote('1', 10)])
  await insert('market_l1', [quote('2', 11, 1)])
  const found = await rows(
    "SELECT toString(timestamp), bid, ask, spread, mid FROM market_l1_latest FINAL WHERE symbol = 'LAST'",
  )
  assert.equal(found, [['2026-01-05 14:30:02.000000', 12, 13, 1, 12.5]])
})

latest('is that of each symbol, even if another symbol has an older quote at the same time', async () => {
  const quote = (symbol: string, second: number, bid: number) => ({
    symbol,
    timestamp: `2026-01-05T14:31:0${second}Z`,
    bid,
  })
  await insert('market_l1', [
    quote('PAIR_A', 1, 10),
    quote('PAIR_A', 2, 11),
    quote('PAIR_B', 1, 20),
    quote('PAIR_B', 0, 21),
  ])
  const { summary } = await insert('market_l1', [quote('PAIR_A', 1, 12), quote('PAIR_B', 3, 22)])
  const found = await rows(
    "SELECT symbol, bid FROM market_l1_latest FINAL WHERE symbol IN ('PAIR_A', 'PAIR_B') ORDER BY symbol",
  )
  assert.equal(found, [
    ['PAIR_A', 11],
    ['PAIR_B', 22],
  ])
  // Reads each row once as inserted and twice for the view: an INSERT never reads the table's existing rows.
  assert.is(summary?.read_rows, '6')
})

const book = suite('market_book')
/** 2026-01-05 14:30 UTC in seconds. */
const START = 1_767_623_400
const at = (second: number) => new Date((START + second) * 1000).toISOString().slice(0, 23).replace('T', ' ')
const event = (second: number, side: string, price: number, size: number, operation: string, rest: object = {}) => ({
  timestamp: at(second),
  side,
  price,
  size,
  operation,
  sequence: second + 1,
  ...rest,
})
const levels = (symbol: string, second: number, since = 0) =>
  rows(
    `SELECT side, level, price, toUInt32(size), toUInt32(orders) FROM market_book(symbol = '${symbol}', since = '${at(since)}', at = '${at(second)}') ORDER BY side DESC, level`,
  )

type Known = Record<number, unknown[][]>
const known: [symbol: string, moments: Known][] = []

async function ask(symbol: string, moments: Known): Promise<void> {
  for (const [second, expected] of Object.entries(moments)) {
    assert.equal(await levels(symbol, Number(second)), expected, `${symbol} at ${second} s`)
  }
}

/** Inserts the events and queries the book at every moment. The last test queries again, after the roll-up. */
async function moments(symbol: string, events: ReturnType<typeof event>[], expected: Known): Promise<void> {
  await insert(
    'market_l2',
    events.map((each) => ({ symbol, ...each })),
  )
  await ask(symbol, expected)
  known.push([symbol, expected])
}

book('by price: updates, deletes, a late event in the past', async () => {
  await moments(
    'PRCE',
    [
      event(0, 'bid', 10, 100, 'insert'),
      event(1, 'bid', 9, 50, 'insert'),
      event(2, 'ask', 11, 70, 'insert', { order_count: 3 }),
      event(70, 'bid', 10, 80, 'update'),
      event(700, 'bid', 10, 0, 'delete'),
      event(710, 'ask', 10.5, 5, 'insert'),
    ],
    {
      1: [
        ['bid', 0, 10, 100, 1],
        ['bid', 1, 9, 50, 1],
      ],
      69: [
        ['bid', 0, 10, 100, 1],
        ['bid', 1, 9, 50, 1],
        ['ask', 0, 11, 70, 3],
      ],
      130: [
        ['bid', 0, 10, 80, 1],
        ['bid', 1, 9, 50, 1],
        ['ask', 0, 11, 70, 3],
      ],
      705: [
        ['bid', 0, 9, 50, 1],
        ['ask', 0, 11, 70, 3],
      ],
      3600: [
        ['bid', 0, 9, 50, 1],
        ['ask', 0, 10.5, 5, 1],
        ['ask', 1, 11, 70, 3],
      ],
    },
  )
})

book('by market maker: one quote a side, replaced by the next; makers at one price add up', async () => {
  const by = (market_maker: string) => ({ market_maker })
  await moments(
    'MAKR',
    [
      event(0, 'bid', 10, 100, 'update', by('NSDQ')),
      event(1, 'bid', 10, 200, 'update', by('ARCX')),
      event(2, 'ask', 11, 300, 'update', by('NSDQ')),
      event(400, 'bid', 9, 100, 'update', by('NSDQ')),
      event(401, 'ask', 0, 0, 'delete', by('NSDQ')),
    ],
    {
      60: [
        ['bid', 0, 10, 300, 2],
        ['ask', 0, 11, 300, 1],
      ],
      500: [
        ['bid', 0, 10, 200, 1],
        ['bid', 1, 9, 100, 1],
      ],
    },
  )
})

book('a clear that names a market maker empties the whole book', async () => {
  const by = (market_maker: string) => ({ market_maker })
  await moments(
    'CLER',
    [
      event(0, 'bid', 10, 100, 'update', by('ARCX')),
      event(70, 'ask', 0, 0, 'clear', by('NSDQ')),
      event(80, 'ask', 11, 5, 'update', by('NSDQ')),
    ],
    { 60: [['bid', 0, 10, 100, 1]], 75: [], 130: [['ask', 0, 11, 5, 1]], 3600: [['ask', 0, 11, 5, 1]] },
  )
})

book('by order: an update moves it, a delete needs no price, a clear empties the book', async () => {
  const order = (order_id: number) => ({ order_id })
  await moments(
    'ORDR',
    [
      event(0, 'bid', 10, 100, 'insert', order(1)),
      event(1, 'bid', 10, 200, 'insert', order(2)),
      event(2, 'ask', 12, 10, 'insert', order(3)),
      event(60, 'bid', 11, 100, 'update', order(1)),
      event(61, 'bid', 0, 0, 'delete', order(2)),
      event(400, 'ask', 0, 0, 'clear'),
      event(401, 'ask', 13, 7, 'insert', order(4)),
    ],
    {
      30: [
        ['bid', 0, 10, 300, 2],
        ['ask', 0, 12, 10, 1],
      ],
      300: [
        ['bid', 0, 11, 100, 1],
        ['ask', 0, 12, 10, 1],
      ],
      400: [],
      460: [['ask', 0, 13, 7, 1]],
    },
  )
})

book('by level: a delete removes what the last event of that side and level added', async () => {
  const gone = (second: number, side: string, level: number) => event(second, side, 0, 0, 'delete_level', { level })
  await moments(
    'LEVL',
    [
      event(0, 'bid', 15.3, 100, 'insert', { level: 0 }),
      event(1, 'bid', 15.2, 0.5, 'insert', { level: 1 }),
      event(2, 'ask', 15.4, 100, 'insert', { level: 0 }),
      gone(70, 'bid', 0),
      // Inserted in front of another. The last one inserted there is removed, the earlier one stays.
      event(400, 'bid', 15.25, 10, 'insert', { level: 1 }),
      gone(401, 'bid', 1),
      // Moved since then: identified by its price, not by its former level.
      event(402, 'ask', 15.4, 60, 'update', { level: 1 }),
      event(403, 'ask', 15.35, 20, 'insert', { level: 0 }),
      gone(700, 'ask', 1),
      // Nothing is there, and it is inserted again.
      gone(701, 'ask', 7),
      event(702, 'ask', 15.4, 5, 'insert', { level: 1 }),
    ],
    {
      60: [
        ['bid', 0, 15.3, 100, 1],
        ['bid', 1, 15.2, 0, 1],
        ['ask', 0, 15.4, 100, 1],
      ],
      75: [
        ['bid', 0, 15.2, 0, 1],
        ['ask', 0, 15.4, 100, 1],
      ],
      500: [
        ['bid', 0, 15.2, 0, 1],
        ['ask', 0, 15.35, 20, 1],
        ['ask', 1, 15.4, 60, 1],
      ],
      701: [
        ['bid', 0, 15.2, 0, 1],
        ['ask', 0, 15.35, 20, 1],
      ],
      3600: [
        ['bid', 0, 15.2, 0, 1],
        ['ask', 0, 15.35, 20, 1],
        ['ask', 1, 15.4, 5, 1],
      ],
    },
  )
  assert.equal(
    await rows(
      "SELECT size FROM market_book(symbol = 'LEVL', since = '2026-01-05 00:00:00', at = '2026-01-05 16:00:00')  WHERE price = 15.2",
    ),
    [[0.5]],
  )
})

book('the same after the roll-up, and exact again after a late event', async () => {
  await rollUp(client, 'book')
  for (const [symbol, expected] of known) {
    const [minutes] = await rows(`SELECT uniqExact(minute) FROM market_book_1m WHERE symbol = '${symbol}'`)
    assert.ok(Number(minutes?.[0]) > 1, `${symbol}: ${minutes} minutes rolled up`)
    await ask(symbol, expected)
  }
  await insert('market_l2', [{ symbol: 'PRCE', ...event(71, 'bid', 9.5, 20, 'insert') }])
  assert.equal((await levels('PRCE', 130))[1], ['bid', 1, 9.5, 20, 1])
  // From the start of the session, not earlier.
  assert.equal(await levels('PRCE', 3600, 70), [
    ['bid', 0, 9.5, 20, 1],
    ['ask', 0, 10.5, 5, 1],
  ])
})

const documented = suite('docs/storage.md')

documented('has examples that run', async () => {
  const text = readFileSync(path.join(ROOT, 'docs', 'storage.md'), 'utf8')
  const examples = [...text.matchAll(/^```sql\n(.*?)^```/gms)].map(([, sql = '']) => sql)
  assert.ok(examples.length > 5)
  for (const sql of examples) await (sql.startsWith('INSERT') ? client.command({ query: sql }) : rows(sql))
})

documented('deletes synthetic data as docs/ingest.md describes', async () => {
  const text = readFileSync(path.join(ROOT, 'docs', 'ingest.md'), 'utf8')
  const [, bySource = '', sources = '', bySymbol = '', symbols = ''] =
    /`(DELETE FROM … WHERE source = [^`]+)` for (.+?), and `(DELETE FROM … WHERE symbol [^`]+)` for\n?(.+?)\.\n/s.exec(
      text,
    ) ?? []
  const names = (list: string) => [...list.matchAll(/`(\w+)`/g)].map(([, name = '']) => name)
  assert.equal(names(sources), ['market_ticks', 'market_l1', 'market_l2'])
  await insert('market_ticks', [trade('SIM0001', '30:00', 1, 1, 1, { source: 'generated' })])
  const event = {
    symbol: 'SIM0001',
    timestamp: '2026-01-05T14:30:00Z',
    side: 'bid',
    price: 1,
    size: 1,
    operation: 'insert',
  }
  await insert('market_l2', [
    { ...event, source: 'generated' },
    { ...event, symbol: 'KEPT' },
  ])
  for (const [query, list] of [
    [bySource, sources],
    [bySymbol, symbols],
  ] as const)
    for (const table of names(list)) await client.command({ query: query.replace('…', table) })
  for (const table of names(sources + symbols))
    assert.equal(await rows(`SELECT count() FROM ${table} WHERE symbol LIKE 'SIM%'`), [[0]], table)
  assert.equal(
    await rows("SELECT symbol, count() FROM market_l2 WHERE symbol IN ('KEPT', 'SIM0001') GROUP BY symbol"),
    [['KEPT', 1]],
  )
})

const suites = [writers, once, bars, latest, documented, book]
book.after(async () => {
  await client.command({ query: `DROP DATABASE ${database}` })
  await client.close()
  await stack.stop()
})
for (const each of suites) each.run()
