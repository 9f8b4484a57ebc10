/** What the benchmark asks, in two ways: as anyone asks tables, and as the shipped views and columns answer. Both must say the same. */

export interface Subject {
  /** A symbol that all three tables have. */
  symbol: string
  /** A day of its trades, as dates. */
  from: string
  to: string
  /** A moment late in its day. */
  at: string
}

export interface Question {
  name: string
  /** For the shipped schema. */
  shipped: string
  /** For the others. */
  plain: string
  /** How long the shipped schema may take, as a part of what today's takes. */
  atMost: { hot: number; merged: number }
}

const READ = { hot: 1.3, merged: 1 }
/** A view takes 5 ms to plan, which is as long as today's schema takes for all of it. */
const VIEWED = { hot: 1.3, merged: 1.5 }

const POSITION = 'bitOr(bitShiftLeft(toUInt128(toUnixTimestamp64Micro(timestamp)), 64), sequence)'
const last = (column: string) => `argMax(${column}, ${POSITION})`

/** The questions about `subject`. */
export function questionsAbout({ symbol, from, to, at }: Subject): Question[] {
  const of = `symbol = '${symbol}'`
  const during = (column: string) => `${of} AND ${column} >= '${from} 00:00:00' AND ${column} < '${to} 00:00:00'`
  const asof = (trades: string, quotes: string) => `
    SELECT count(), round(sum(toFloat64(price) - (toFloat64(bid) + toFloat64(ask)) / 2), 4)
    FROM (SELECT symbol, timestamp, price FROM ${trades} WHERE ${during('timestamp')}) AS t
    ASOF JOIN (SELECT symbol, timestamp, bid, ask FROM ${quotes} WHERE ${during('timestamp')}) AS q
    ON t.symbol = q.symbol AND t.timestamp >= q.timestamp`
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
      shipped: `SELECT minute, open, high, low, close, volume, vwap, trades FROM market_bars WHERE ${during('minute')} ORDER BY minute`,
      plain: `SELECT toStartOfMinute(timestamp) AS minute, argMin(price, timestamp), max(price), min(price), argMax(price, timestamp), sum(size) AS volume, sum(price * size) / volume, count() FROM market_ticks WHERE ${during('timestamp')} GROUP BY minute ORDER BY minute`,
      atMost: VIEWED,
    },
    {
      name: 'book top 10 at a moment',
      shipped: `SELECT side, price, size FROM market_book(symbol = '${symbol}', since = '${from} 00:00:00', at = '${at}') WHERE level < 10 ORDER BY toString(side), level`,
      plain: `
        SELECT side, p AS price, sum(s) AS size FROM (
          SELECT side, ${last('operation')} AS o, ${last('price')} AS p, ${last('size')} AS s FROM market_l2
          WHERE ${of} AND timestamp >= '${from} 00:00:00' AND timestamp <= '${at}'
          GROUP BY side, order_id, if(order_id = 0, market_maker, ''), if(order_id = 0 AND market_maker = '', price, 0)
        ) WHERE o != 'delete' AND s > 0 GROUP BY side, p
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
  ]
}

/** The first place where two answers differ by more than rounding, in words; undefined when they say the same. */
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

/** One schema counts in decimals, another in binary fractions: equal to 8 digits, or to half a cent's thousandth. */
function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b
  return Math.abs(a - b) <= Math.max(1e-8 * Math.abs(a), 5e-6)
}
