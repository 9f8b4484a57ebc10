/**
 * The views of clickhouse/init that take an interval, a quote or an order: known answers, and comparison with a simple computation over
 * random rows.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import { samplesOf } from '../support/property.mts'
import { rollUp } from '../support/rollup.mts'
import { sharedStack } from '../support/stack.mts'

const stack = await sharedStack()
const database = `l2_market_data_views_${process.pid}`
const settings = { ...stack.settings, CLICKHOUSE_DATABASE: database }
await syncSchema(settings, { mode: 'apply', timeoutMs: 60_000, mayDelete: async () => false, log: () => {} })
const client: ClickHouseClient = await connectClickHouse(settings, 60_000)

async function rows(query: string): Promise<unknown[][]> {
  const clickhouse_settings = { output_format_json_quote_64bit_integers: 0 as const }
  const answer = await client.query({ query, format: 'JSONCompactEachRow', clickhouse_settings })
  return answer.json<unknown[]>()
}
const insert = (table: string, values: object[]) => client.insert({ table, values, format: 'JSONEachRow' })

/** Formats microseconds since 1970 as ClickHouse does. */
function shown(micros: number, decimals: 0 | 6): string {
  const second = Math.floor(micros / 1e6)
  const text = new Date(second * 1000).toISOString().slice(0, 19).replace('T', ' ')
  return decimals === 0 ? text : `${text}.${String(micros - second * 1e6).padStart(6, '0')}`
}
const micros = (text: string) => Date.parse(`${text.replace(' ', 'T')}Z`) * 1000

const known = suite('known answers')
const quote = (symbol: string, time: string, bid: number, ask: number, sizes: [number, number], sequence: number) => ({
  symbol,
  timestamp: `2026-01-05 14:${time}`,
  bid,
  ask,
  bid_size: sizes[0],
  ask_size: sizes[1],
  sequence,
})
const trade = (symbol: string, timestamp: string, price: number, size: number, tick_id: number, rest: object = {}) => ({
  symbol,
  timestamp,
  price,
  size,
  tick_id,
  ...rest,
})
const DAY = "since = '2026-01-05 00:00:00', until = '2026-01-06 00:00:00'"

known.before(async () => {
  await insert('market_l1', [
    // In the same microsecond: the last one in the feed.
    quote('TBBO', '30:00', 10.01, 10.02, [100, 300], 2),
    quote('TBBO', '30:00', 10, 10.02, [100, 300], 1),
    quote('TBBO', '30:05', -1, -0.5, [0.1, 0.2], 3),
    quote('TBBO', '30:06', -1, -0.5, [0.1, 0], 4),
    quote('TBBO', '30:08', -0.5, 0.5, [1, 1], 5),
  ])
  await insert('market_ticks', [
    trade('TBBO', '2026-01-05 14:29:59', 10, 100, 1),
    trade('TBBO', '2026-01-05 14:30:00', 10.02, 100, 2),
    trade('TBBO', '2026-01-05 14:30:02', 10.015, 100, 3),
    trade('TBBO', '2026-01-05 14:30:05.5', -0.9, 100, 4),
    trade('TBBO', '2026-01-05 14:30:07', -0.9, 100, 5),
    trade('TBBO', '2026-01-05 14:30:08', 0.25, 100, 6),
    trade('TBBO', '2026-01-05 14:30:03', 99, 100, 7),
    trade('TBBO', '2026-01-05 14:30:03', 99, 100, 7, { correction: 'delete' }),
  ])
})

known('of market_quotes: imbalance and weighted mid, and neither while a side has no size', async () => {
  const query =
    "SELECT toString(bid), toString(spread), toString(mid), imbalance, toString(weighted_mid) FROM market_quotes WHERE symbol = 'TBBO' ORDER BY timestamp, sequence"
  assert.equal(await rows(query), [
    ['10', '0.02', '10.01', -0.5, '10.005'],
    ['10.01', '0.01', '10.015', -0.5, '10.0125'],
    ['-1', '0.5', '-0.75', (0.1 - 0.2) / (0.1 + 0.2), '-0.833333333'],
    ['-1', null, null, null, null],
    ['-0.5', '1', '0', 0, '0'],
  ])
})

known('of market_tbbo: the quote of each trade, its spread in basis points, and the aggressor', async () => {
  const of = (range: string) =>
    rows(
      `SELECT toString(timestamp), toString(price), toString(quoted_at), toString(bid), toString(spread_bps), aggressor FROM market_tbbo(symbol = 'TBBO', ${range}) ORDER BY timestamp`,
    )
  const at = (time: string) => `2026-01-05 14:${time.padEnd(12, time.includes('.') ? '0' : '.000000')}`
  const expected = [
    // Before the first quote.
    [at('29:59'), '10', null, null, null, 'unknown'],
    [at('30:00'), '10.02', at('30:00'), '10.01', '9.985022466', 'buy'],
    [at('30:02'), '10.015', at('30:00'), '10.01', '9.985022466', 'unknown'],
    [at('30:05.5'), '-0.9', at('30:05'), '-1', '6666.666666666', 'sell'],
    // One side only, and a mid of 0.
    [at('30:07'), '-0.9', at('30:06'), '-1', null, 'unknown'],
    [at('30:08'), '0.25', at('30:08'), '-0.5', null, 'buy'],
  ]
  assert.equal(await of(DAY), expected)
  // The quote in effect at the start came earlier. The end is excluded.
  assert.equal(await of("since = '2026-01-05 14:30:02', until = '2026-01-05 14:30:08'"), expected.slice(2, 5))
  assert.equal(await of("since = '2026-01-06 00:00:00', until = '2026-01-05 00:00:00'"), [])
  assert.equal(await rows(`SELECT price FROM market_tbbo(symbol = 'NONE', ${DAY})`), [])
})

known('of market_bbo: the last quote before the end of each interval, carried forward', async () => {
  const of = (since: string, until: string, seconds: number) =>
    rows(
      `SELECT formatDateTime(time, '%H:%i:%S'), formatDateTime(quoted_at, '%H:%i:%S'), toString(bid), toString(mid) FROM market_bbo(symbol = 'TBBO', since = '2026-01-05 14:${since}', until = '2026-01-05 14:${until}', seconds = ${seconds})`,
    )
  const first = ['14:30:00', '10.01', '10.015']
  assert.equal(await of('29:58', '30:09', 1), [
    // A quote at 14:30:00 is not before 14:30:00.
    ['14:30:01', ...first],
    ['14:30:02', ...first],
    ['14:30:03', ...first],
    ['14:30:04', ...first],
    ['14:30:05', ...first],
    ['14:30:06', '14:30:05', '-1', '-0.75'],
    ['14:30:07', '14:30:06', '-1', null],
    ['14:30:08', '14:30:06', '-1', null],
    ['14:30:09', '14:30:08', '-0.5', '0'],
  ])
  // Intervals that start in the range: those of 02 and 03 s.
  assert.equal(await of('30:01.5', '30:03.5', 1), [
    ['14:30:03', ...first],
    ['14:30:04', ...first],
  ])
  assert.equal(await of('30:00', '33:00', 60), [
    ['14:31:00', '14:30:08', '-0.5', '0'],
    ['14:32:00', '14:30:08', '-0.5', '0'],
    ['14:33:00', '14:30:08', '-0.5', '0'],
  ])
  assert.equal(await of('29:00', '30:00', 60), [])
  assert.equal(await of('31:00', '31:00', 60), [])
})

const BARS =
  'toString(time), toString(open), toString(high), toString(low), toString(close), toString(volume), toString(vwap), trades'

known('of market_interval_bars: complete bars that begin in the range', async () => {
  const of = (since: string, until: string, seconds: number) =>
    rows(
      `SELECT ${BARS} FROM market_interval_bars(symbol = 'TBBO', since = '2026-01-05 ${since}', until = '2026-01-05 ${until}', seconds = ${seconds}) ORDER BY time`,
    )
  const minute = ['2026-01-05 14:30:00', '10.02', '10.02', '-0.9', '0.25', '500', '3.697', 5]
  assert.equal(await of('00:00:00', '23:59:59', 60), [
    ['2026-01-05 14:29:00', '10', '10', '10', '10', '100', '10', 1],
    minute,
  ])
  assert.equal(await of('14:29:01', '14:30:00.000001', 60), [minute])
  assert.equal(await of('14:30:05', '14:30:06', 2), [])
  assert.equal(await of('14:30:04', '14:30:06', 2), [
    ['2026-01-05 14:30:04', '-0.9', '-0.9', '-0.9', '-0.9', '100', '-0.9', 1],
  ])
  assert.equal(
    (await of('00:00:00', '00:00:01', 86_400)).map(([time, , , , , , , trades]) => [time, trades]),
    [['2026-01-05 00:00:00', 6]],
  )
  assert.equal(await of('15:00:00', '16:00:00', 60), [])
})

known('of market_session_bars: New York days of 23 and 25 hours, and bars from 09:30', async () => {
  // A trade every ten minutes, on a Sunday with a clock change and on the days before and after.
  for (const [symbol, first] of [
    ['MAR', '2026-03-07 05:00:00'],
    ['NOV', '2026-10-31 04:00:00'],
  ] as const)
    await insert(
      'market_ticks',
      Array.from({ length: 3 * 144 }, (_, index) =>
        trade(symbol, shown(micros(first) + index * 600e6, 6), index, 1, index + 1),
      ),
    )
  const of = (symbol: string, range: string, seconds: number, hours: string) =>
    rows(
      `SELECT toString(day), toString(time), toString(open), trades FROM market_session_bars(symbol = '${symbol}', ${range}, seconds = ${seconds}, hours = '${hours}') ORDER BY time`,
    )
  const march = "since = '2026-03-07 00:00:00', until = '2026-03-10 00:00:00'"
  const november = "since = '2026-10-31 00:00:00', until = '2026-11-03 00:00:00'"
  assert.equal(await of('MAR', march, 86_400, 'all'), [
    ['2026-03-07', '2026-03-07 05:00:00', '0', 144],
    ['2026-03-08', '2026-03-08 05:00:00', '144', 138],
    ['2026-03-09', '2026-03-09 04:00:00', '282', 144],
  ])
  assert.equal(await of('NOV', november, 86_400, 'all'), [
    ['2026-10-31', '2026-10-31 04:00:00', '0', 144],
    ['2026-11-01', '2026-11-01 04:00:00', '144', 150],
    ['2026-11-02', '2026-11-02 05:00:00', '294', 138],
  ])
  // 09:30 is 14:30 UTC in winter and 13:30 in summer: 39 trades in six and a half hours.
  assert.equal(await of('MAR', march, 86_400, 'regular'), [
    ['2026-03-07', '2026-03-07 05:00:00', '57', 39],
    ['2026-03-08', '2026-03-08 05:00:00', '195', 39],
    ['2026-03-09', '2026-03-09 04:00:00', '339', 39],
  ])
  const hours = async (symbol: string, range: string) =>
    (await of(symbol, range, 3_600, 'all')).map(([, time, , trades]) => `${String(time).slice(11, 16)} ${trades}`)
  // Midnight, 00:30, 01:30, and 03:30 after the missing hour.
  assert.equal(await hours('MAR', "since = '2026-03-08 05:00:00', until = '2026-03-08 08:00:00'"), [
    '05:00 3',
    '05:30 6',
    '06:30 6',
    '07:30 6',
  ])
  // Midnight, 00:30, 01:30, 01:30 again, 02:30.
  assert.equal(await hours('NOV', "since = '2026-11-01 04:00:00', until = '2026-11-01 08:00:00'"), [
    '04:00 3',
    '04:30 6',
    '05:30 6',
    '06:30 6',
    '07:30 6',
  ])
  // The last trading hour is half an hour.
  assert.equal(await of('MAR', "since = '2026-03-08 19:00:00', until = '2026-03-08 21:00:00'", 3_600, 'regular'), [
    ['2026-03-08', '2026-03-08 19:30:00', '231', 3],
  ])
  assert.match(String(await of('MAR', march, 60, 'extended').catch(String)), "Unknown element 'extended'")
})

known('of market_order_cost: the cost on each side of the book, and on a thin one', async () => {
  const event = (side: string, price: number, size: number, sequence: number) => ({
    symbol: 'COST',
    timestamp: '2026-01-05 14:30:00',
    side,
    price,
    size,
    operation: 'insert',
    sequence,
  })
  await insert('market_l2', [
    event('ask', 10.02, 100, 1),
    event('ask', 10.03, 200.5, 2),
    event('bid', 10, 50, 3),
    { ...event('bid', -1, 10, 4), symbol: 'THIN' },
  ])
  const of = (symbol: string, side: string, size: number, at = '14:30:00') =>
    rows(
      `SELECT filled, levels, toString(average_price), toString(worst_price), toString(mid), toString(slippage_bps) FROM market_order_cost(symbol = '${symbol}', since = '2026-01-05 00:00:00', at = '2026-01-05 ${at}', side = '${side}', size = ${size})`,
    )
  assert.equal(await of('COST', 'buy', 100), [[100, 1, '10.02', '10.02', '10.01', '9.99000999']])
  assert.equal(await of('COST', 'buy', 150), [[150, 2, '10.02333333', '10.03', '10.01', '13.32000999']])
  assert.equal(await of('COST', 'buy', 1000), [[300.5, 2, '10.02667221', '10.03', '10.01', '16.655554445']])
  assert.equal(await of('COST', 'sell', 10.25), [[10.25, 1, '10', '10', '10.01', '9.99000999']])
  const nothing = [[0, 0, null, null, null, null]]
  assert.equal(await of('COST', 'buy', 100, '14:29:59'), nothing)
  assert.equal(await of('THIN', 'sell', 100), [[10, 1, '-1', '-1', null, null]])
  assert.equal(await of('THIN', 'buy', 100), nothing)
})

const random = suite('a reference computation over random rows')
const TRADES = 3_000
/** Generates times on a grid over two days, so that trades and quotes share microseconds. */
const time = fc
  .tuple(fc.integer({ min: 0, max: 3_600 }), fc.constantFrom(0, 0, 1, 500_000))
  .map(([step, extra]) => step * 48e6 + extra)
const price = fc.integer({ min: -200, max: 4_000 }).map((steps) => steps * 5)
const size = fc.constantFrom(1, 500, 100_000, 250_000)

/** Prices and sizes are in thousandths, times in microseconds. */
interface Trade {
  at: number
  price: number
  size: number
}
interface Quote {
  at: number
  bid: number
  ask: number
  bidSize: number
  askSize: number
}
const trades: Trade[] = samplesOf(fc.record({ at: time, price, size }), TRADES)
const quotes: Quote[] = samplesOf(
  fc.record({
    at: time,
    bid: price,
    ask: price,
    bidSize: fc.constantFrom(0, 500, 100_000, 300_000),
    askSize: fc.constantFrom(0, 500, 100_000, 300_000),
  }),
  TRADES,
)

/** Formats a decimal as ClickHouse does: without trailing zeros. */
function decimal(value: bigint, scale: number): string {
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  const fraction = digits.slice(-scale).replace(/0+$/, '')
  return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}${fraction && `.${fraction}`}`
}
const thousandths = (value: number) => decimal(BigInt(value), 3)

/** Sorts in feed order: by time, then by position. */
const sorted = <T extends { at: number }>(all: T[]) => all.map((each) => each).sort((one, other) => one.at - other.at)

/** Every tenth trade is deleted, every twentieth is corrected to another price. */
const held = sorted(
  trades.flatMap((each, index) => {
    if (index % 10 !== 0) return [each]
    return index % 20 === 0 ? [{ ...each, price: each.price + 5 }] : []
  }),
)
const quoted = sorted(quotes)

/** The days with a clock change, and the first of the two days of random rows. */
const RANDOM = [
  ['RMAR', micros('2026-03-07 12:00:00')],
  ['RNOV', micros('2026-10-31 12:00:00')],
] as const

random.before(async () => {
  for (const [symbol, start] of RANDOM) {
    const row = ({ at, price, size }: Trade, index: number) =>
      trade(symbol, shown(start + at, 6), price / 1000, size / 1000, index + 1, { sequence: index + 1 })
    const all = trades.map(row)
    const corrections = trades.flatMap((each, index) => [
      ...(index % 10 === 0 ? [{ ...row(each, index), correction: 'delete' }] : []),
      ...(index % 20 === 0 ? [{ ...row({ ...each, price: each.price + 5 }, index), correction: 'insert' }] : []),
    ])
    await insert('market_ticks', all)
    // Every seventh row is inserted twice.
    await insert(
      'market_ticks',
      all.filter((_, index) => index % 7 === 0),
    )
    await insert('market_ticks', corrections)
    const top = quotes.map(({ at, bid, ask, bidSize, askSize }, index) => ({
      symbol,
      timestamp: shown(start + at, 6),
      bid: bid / 1000,
      ask: ask / 1000,
      bid_size: bidSize / 1000,
      ask_size: askSize / 1000,
      sequence: index + 1,
    }))
    await insert('market_l1', top)
    await insert(
      'market_l1',
      top.filter((_, index) => index % 7 === 0),
    )
  }
})

/** Returns spread (thousandths) and twice the mid (thousandths), or undefined if a side is missing. */
function spreadOf({ bid, ask, bidSize, askSize }: Quote): { spread: number; twoMids: number } | undefined {
  const sized = bidSize > 0 && askSize > 0
  const unsized = bidSize === 0 && askSize === 0 && bid > 0 && ask > 0
  return sized || unsized ? { spread: ask - bid, twoMids: bid + ask } : undefined
}

/** Returns the last quote for which `before` is true. Quotes are sorted. */
const lastQuote = (before: (at: number) => boolean) => quoted.findLast(({ at }) => before(at))

random('has the same quotes', async () => {
  const [[symbol]] = RANDOM
  const expected = quoted.map(({ bid, ask, bidSize, askSize }) => {
    const [bids, asks] = [bidSize / 1000, askSize / 1000]
    if (bidSize === 0 || askSize === 0) return [thousandths(bid), null, null]
    const weighted = (BigInt(bid * askSize + ask * bidSize) * 1_000_000n) / BigInt(bidSize + askSize)
    return [thousandths(bid), (bids - asks) / (bids + asks), decimal(weighted, 9)]
  })
  const query = `SELECT toString(bid), imbalance, toString(weighted_mid) FROM market_quotes WHERE symbol = '${symbol}' ORDER BY timestamp, sequence`
  assert.equal(await rows(query), expected)
})

random('has the same quote, spread and side for each trade', async () => {
  for (const [symbol, start] of RANDOM) {
    const [since, until] = [3_600e6, 150_000e6]
    const expected = held
      .filter(({ at }) => at >= since && at < until)
      .map(({ at, price }) => {
        const met = lastQuote((quotedAt) => quotedAt <= at)
        const pair = met && spreadOf(met)
        const side = pair && Math.sign(2 * price - pair.twoMids)
        const mid = BigInt(Math.abs(pair?.twoMids ?? 0)) * 500_000n
        const bps = pair && mid !== 0n ? decimal((BigInt(pair.spread) * 10n ** 19n) / mid, 9) : null
        const aggressor = side === 1 ? 'buy' : side === -1 ? 'sell' : 'unknown'
        return [
          thousandths(price),
          met ? shown(start + met.at, 6) : null,
          met ? thousandths(met.bid) : null,
          bps,
          aggressor,
        ]
      })
    const query = `SELECT toString(price), toString(quoted_at), toString(bid), toString(spread_bps), aggressor FROM market_tbbo(symbol = '${symbol}', since = '${shown(start + since, 6)}', until = '${shown(start + until, 6)}') ORDER BY timestamp, sequence`
    assert.equal(await rows(query), expected)
  }
})

random('has the same samples of the top of book', async () => {
  const [[symbol, start]] = RANDOM
  for (const [seconds, since, until] of [
    [1, 36_000e6 + 1, 39_600e6],
    [60, 30e6, 172_000e6],
    [1_800, 0, 180_000e6],
  ] as const) {
    const step = seconds * 1e6
    const expected: unknown[][] = []
    for (let begin = Math.ceil((start + since) / step) * step; begin < start + until; begin += step) {
      const last = lastQuote((at) => start + at < begin + step)
      if (last) expected.push([shown(begin + step, 0), shown(start + last.at, 6), thousandths(last.bid)])
    }
    const query = `SELECT toString(time), toString(quoted_at), toString(bid) FROM market_bbo(symbol = '${symbol}', since = '${shown(start + since, 6)}', until = '${shown(start + until, 6)}', seconds = ${seconds}) ORDER BY time`
    assert.equal(await rows(query), expected, `every ${seconds} s`)
  }
})

/** Returns New York's offset from UTC in 2026, in microseconds. */
const offset = (at: number) =>
  (at >= micros('2026-03-08 07:00:00') && at < micros('2026-11-01 06:00:00') ? -4 : -5) * 3_600e6
/** Converts a New York time of 2026, given as if it were UTC, to UTC. No time used here is missing or ambiguous. */
const newYork = (wall: number) =>
  [4, 5].map((hours) => wall + hours * 3_600e6).find((at) => at + offset(at) === wall) ?? 0

/** Returns the UTC start of a trade's bar, or undefined if the trade counts in none. */
type BarOf = (at: number, step: number) => number | undefined
const byClock: BarOf = (at, step) => Math.floor(at / step) * step
const bySession =
  (regular: boolean): BarOf =>
  (at, step) => {
    const day = Math.floor((at + offset(at)) / 86_400e6) * 86_400e6
    const [midnight, opening, closing] = [newYork(day), newYork(day + 34_200e6), newYork(day + 57_600e6)]
    if (regular && (at < opening || at >= closing)) return undefined
    return step === 86_400e6 ? midnight : Math.max(midnight, opening + Math.floor((at - opening) / step) * step)
  }

function barsOf(start: number, since: number, until: number, step: number, barOf: BarOf): unknown[][] {
  const bars = new Map<number, Trade[]>()
  for (const each of held) {
    const begin = barOf(start + each.at, step)
    if (begin !== undefined && begin >= since && begin < until) bars.set(begin, [...(bars.get(begin) ?? []), each])
  }
  return [...bars].map(([begin, all]) => {
    const prices = all.map((each) => each.price)
    const volume = all.reduce((sum, each) => sum + each.size, 0)
    const notional = all.reduce((sum, each) => sum + BigInt(each.price * each.size), 0n)
    const [open = 0, close = 0] = [prices[0], prices.at(-1)]
    const ends = [open, Math.max(...prices), Math.min(...prices), close].map(thousandths)
    const vwap = decimal((notional * 100_000n) / BigInt(volume), 8)
    return [shown(begin, 0), ...ends, thousandths(volume), vwap, all.length]
  })
}

async function compareBars(): Promise<void> {
  for (const [symbol, start] of RANDOM) {
    const [since, until] = [start + 1_000e6, start + 150_000e6]
    const range = `symbol = '${symbol}', since = '${shown(since, 6)}', until = '${shown(until, 6)}'`
    for (const seconds of [1, 7, 60, 300, 3_600, 86_400]) {
      const query = `SELECT ${BARS} FROM market_interval_bars(${range}, seconds = ${seconds}) ORDER BY time`
      assert.equal(await rows(query), barsOf(start, since, until, seconds * 1e6, byClock), `${symbol} ${seconds} s`)
    }
    for (const seconds of [7, 300, 3_600, 14_400, 86_400])
      for (const hours of ['all', 'regular']) {
        const query = `SELECT ${BARS} FROM market_session_bars(${range}, seconds = ${seconds}, hours = '${hours}') ORDER BY time`
        const expected = barsOf(start, since, until, seconds * 1e6, bySession(hours === 'regular'))
        assert.equal(await rows(query), expected, `${symbol} ${seconds} s ${hours}`)
      }
  }
}

random('has the same bars from the trades, from the roll-up, and from both', async () => {
  await compareBars()
  await rollUp(client, 'bars')
  await compareBars()
  // An existing trade is inserted again. Its five minutes are read from the trades.
  const [[symbol, start]] = RANDOM
  const again = trades.flatMap(({ at, price, size }, index) =>
    index % 97 === 1
      ? [trade(symbol, shown(start + at, 6), price / 1000, size / 1000, index + 1, { sequence: index + 1 })]
      : [],
  )
  await insert('market_ticks', again)
  await compareBars()
})

random('has the same cost of an order', async () => {
  const sizes = samplesOf(fc.constantFrom(500, 1_000, 2_500, 100_000), 400)
  const book = sizes.map((shares, index) => ({
    ask: index % 2 === 0,
    price: (index % 2 === 0 ? 1 : -1) * (index * 5 + 5),
    shares,
  }))
  await insert(
    'market_l2',
    book.map(({ ask, price, shares }, index) => ({
      symbol: 'RBOOK',
      timestamp: '2026-01-05 14:30:00',
      side: ask ? 'ask' : 'bid',
      price: price / 1000,
      size: shares / 1000,
      operation: 'insert',
      sequence: index + 1,
    })),
  )
  for (const buys of [true, false])
    for (const size of samplesOf(fc.integer({ min: 1, max: 8_000_000 }), 25)) {
      let left = size
      let paid = 0n
      let worst = 0
      for (const { price, shares } of book.filter(({ ask }) => ask === buys)) {
        const taken = Math.min(left, shares)
        if (taken > 0) worst = price
        paid += BigInt(price * taken)
        left -= taken
      }
      const filled = size - left
      const expected = [thousandths(filled), decimal((paid * 100_000n) / BigInt(filled), 8), thousandths(worst)]
      const query = `SELECT toString(filled), toString(average_price), toString(worst_price) FROM market_order_cost(symbol = 'RBOOK', since = '2026-01-05 00:00:00', at = '2026-01-05 15:00:00', side = '${buys ? 'buy' : 'sell'}', size = ${size / 1000})`
      assert.equal(await rows(query), [expected], `${buys ? 'buy' : 'sell'} ${size / 1000}`)
    }
})

random.after(async () => {
  await client.command({ query: `DROP DATABASE ${database}` })
  await client.close()
  await stack.stop()
})
known.run()
random.run()
