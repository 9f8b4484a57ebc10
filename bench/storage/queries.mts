/**
 * The benchmark's queries, each in two versions that must return the same result: on plain tables, and with the shipped
 * views and columns.
 */

export interface Subject {
  /** A symbol present in all three tables. */
  symbol: string
  /** Date of its trades, and the next date. */
  from: string
  to: string
  /** A moment late in the day. */
  at: string
}

export interface Query {
  name: string
  /** SQL for the shipped schema. */
  shipped: string
  /** SQL for the other schemas. */
  plain: string
  /** Target ratio of the shipped schema's time to today's. */
  atMost: { hot: number; merged: number }
}

const READ = { hot: 1.3, merged: 1 }
/** Planning a view takes 5 ms, as long as the whole query takes on today's schema. */
const VIEWED = { hot: 1.3, merged: 1.5 }

const POSITION = 'bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), sequence)'
const last = (column: string) => `argMax(${column}, ${POSITION})`
/** Columns of a bar. */
const OHLCV =
  'argMin(price, timestamp), max(price), min(price), argMax(price, timestamp), sum(size) AS volume, sum(price * size) / volume, count()'
const BAR = 'open, high, low, close, volume, vwap, trades'
/** Size of the market order, in shares. */
const ORDER = 500

/** Returns the queries about `subject`. */
export function queriesAbout({ symbol, from, to, at }: Subject): Query[] {
  const of = `symbol = '${symbol}'`
  const during = (column: string) => `${of} AND ${column} >= '${from} 00:00:00' AND ${column} < '${to} 00:00:00'`
  const asof = (trades: string, quotes: string) => `
    SELECT count(), round(sum(toFloat64(price) - (toFloat64(bid) + toFloat64(ask)) / 2), 4)
    FROM (SELECT symbol, timestamp, price FROM ${trades} WHERE ${during('timestamp')}) AS t
    ASOF JOIN (SELECT symbol, timestamp, bid, ask FROM ${quotes} WHERE ${during('timestamp')}) AS q
    ON t.symbol = q.symbol AND t.timestamp >= q.timestamp`
  const days = `since = '${from} 00:00:00', until = '${to} 00:00:00'`
  const view = (name: string, more = '') => `${name}(symbol = '${symbol}', ${days}${more})`
  /** Book entries at `at`: side `s`, price `p` and size `n`. */
  const entries = `
    SELECT side AS s, ${last('operation')} AS o, ${last('price')} AS p, toFloat64(${last('size')}) AS n FROM market_l2
    WHERE ${of} AND timestamp >= '${from} 00:00:00' AND timestamp <= '${at}'
    GROUP BY side, order_id, if(order_id = 0, market_maker, ''), if(order_id = 0 AND market_maker = '', price, 0)
    HAVING o != 'delete' AND n > 0`
  const bySymbol =
    'SELECT symbol, count(), sum(size), min(price), max(price), max(timestamp) FROM market_l2 GROUP BY symbol ORDER BY symbol'
  return [
    {
      name: 'last 1,000 trades',
      shipped: `SELECT timestamp, price, size FROM market_last_trades(symbol = '${symbol}', trades = 1000)`,
      plain: `SELECT timestamp, price, size FROM market_ticks WHERE ${of} ORDER BY timestamp DESC LIMIT 1000`,
      atMost: VIEWED,
    },
    {
      name: 'day of minute bars',
      shipped: `SELECT minute, ${BAR} FROM market_bars WHERE ${during('minute')} ORDER BY minute`,
      plain: `SELECT toStartOfMinute(timestamp) AS minute, ${OHLCV} FROM market_ticks WHERE ${during('timestamp')} GROUP BY minute ORDER BY minute`,
      atMost: VIEWED,
    },
    {
      name: 'book top 10 at a moment',
      shipped: `SELECT side, price, size FROM market_book(symbol = '${symbol}', since = '${from} 00:00:00', at = '${at}') WHERE level < 10 ORDER BY toString(side), level`,
      plain: `
        SELECT s AS side, p AS price, sum(n) AS size FROM (${entries}) GROUP BY side, p
        ORDER BY side, if(side = 'bid', -toFloat64(p), toFloat64(p)) LIMIT 10 BY side`,
      atMost: READ,
    },
    {
      name: 'ASOF trades × quotes',
      shipped: asof('market_trades', 'market_l1 FINAL'),
      plain: asof('market_ticks', 'market_l1'),
      atMost: READ,
    },
    {
      name: 'spread by minute',
      shipped: `SELECT toStartOfMinute(timestamp) AS minute, round(avg(spread), 6), count() FROM market_l1 FINAL WHERE ${during('timestamp')} GROUP BY minute ORDER BY minute`,
      plain: `SELECT toStartOfMinute(timestamp) AS minute, round(avg(ask - bid), 6), count() FROM market_l1 WHERE ${during('timestamp')} GROUP BY minute ORDER BY minute`,
      atMost: READ,
    },
    { name: 'aggregate by symbol', shipped: bySymbol, plain: bySymbol, atMost: READ },
    {
      name: 'spread and aggressor by minute',
      shipped: `
        SELECT toStartOfMinute(timestamp) AS minute, avg(spread_bps), sumIf(size, aggressor = 'buy'), sumIf(size, aggressor = 'sell')
        FROM ${view('market_tbbo')} GROUP BY minute ORDER BY minute`,
      // Rounds, because in floating point a trade at the mid price may differ from it.
      plain: `
        SELECT toStartOfMinute(timestamp) AS minute, avg((a - b) / mid * 10000), sumIf(size, lean > 0), sumIf(size, lean < 0)
        FROM (
          SELECT timestamp, size, a, b, (a + b) / 2 AS mid, round(toFloat64(price) - mid, 6) AS lean
          FROM (SELECT symbol, timestamp, price, size FROM market_ticks WHERE ${during('timestamp')}) AS t
          ASOF LEFT JOIN (
            SELECT symbol, timestamp, toNullable(toFloat64(bid)) AS b, toNullable(toFloat64(ask)) AS a
            FROM market_l1 WHERE ${during('timestamp')}
          ) AS q ON t.symbol = q.symbol AND t.timestamp >= q.timestamp
        ) GROUP BY minute ORDER BY minute`,
      atMost: VIEWED,
    },
    {
      name: 'bars of 10 seconds',
      shipped: `SELECT time, ${BAR} FROM ${view('market_interval_bars', ', seconds = 10')} ORDER BY time`,
      plain: `SELECT toStartOfInterval(timestamp, INTERVAL 10 SECOND) AS time, ${OHLCV} FROM market_ticks WHERE ${during('timestamp')} GROUP BY time ORDER BY time`,
      atMost: VIEWED,
    },
    {
      name: 'hourly bars from 09:30',
      shipped: `SELECT time, ${BAR} FROM ${view('market_session_bars', ", seconds = 3600, hours = 'regular'")} ORDER BY time`,
      plain: `
        SELECT toTimeZone(toStartOfHour(toDateTime(timestamp, 'America/New_York') - 1800) + 1800, 'UTC') AS time, ${OHLCV}
        FROM market_ticks WHERE ${during('timestamp')}
          AND formatDateTime(timestamp, '%H:%i', 'America/New_York') >= '09:30' AND toHour(timestamp, 'America/New_York') < 16
        GROUP BY time ORDER BY time`,
      atMost: VIEWED,
    },
    {
      name: 'top of book by minute',
      shipped: `SELECT time, bid, ask FROM ${view('market_bbo', ', seconds = 60')} ORDER BY time`,
      plain: `
        SELECT toStartOfMinute(timestamp) + 60 AS time, argMax(bid, timestamp) AS bid, argMax(ask, timestamp) AS ask
        FROM market_l1 WHERE ${during('timestamp')} GROUP BY time
        ORDER BY time WITH FILL TO toDateTime('${to} 00:01:00') STEP 60 INTERPOLATE (bid, ask)`,
      atMost: VIEWED,
    },
    {
      name: 'imbalance by minute',
      shipped: `SELECT toStartOfMinute(timestamp) AS minute, avg(imbalance), avg(weighted_mid) FROM market_quotes WHERE ${during('timestamp')} GROUP BY minute ORDER BY minute`,
      plain: `
        SELECT toStartOfMinute(timestamp) AS minute, avg((toFloat64(bid_size) - ask_size) / (bid_size + ask_size)),
          avg((bid * ask_size + ask * bid_size) / nullIf(bid_size + ask_size, 0))
        FROM market_l1 WHERE ${during('timestamp')} GROUP BY minute ORDER BY minute`,
      atMost: VIEWED,
    },
    {
      name: 'what a market order would pay',
      shipped: `SELECT filled, average_price FROM market_order_cost(symbol = '${symbol}', since = '${from} 00:00:00', at = '${at}', side = 'buy', size = ${ORDER})`,
      plain: `
        SELECT sum(taken), sum(toFloat64(p) * taken) / sum(taken) FROM (
          SELECT p, greatest(least(n, ${ORDER} + n - sum(n) OVER (ORDER BY p ROWS UNBOUNDED PRECEDING)), 0) AS taken
          FROM (${entries}) WHERE s = 'ask'
        )`,
      atMost: READ,
    },
  ]
}

/** Describes the first difference between two results beyond rounding; undefined if there is none. */
export function difference(one: unknown[][], other: unknown[][]): string | undefined {
  if (one.length !== other.length) return `${one.length} rows, not ${other.length}`
  for (const [row, values] of one.entries()) {
    for (const [column, value] of values.entries()) {
      const twin = other[row]?.[column]
      if (!equal(value, twin))
        return `${JSON.stringify(value)} in row ${row + 1}, column ${column + 1}, not ${JSON.stringify(twin)}`
    }
  }
  return undefined
}

/** Compares with a tolerance of 8 digits or 0.000005, because some schemas use decimals and others floating point. */
function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b
  return Math.abs(a - b) <= Math.max(1e-8 * Math.abs(a), 5e-6)
}
