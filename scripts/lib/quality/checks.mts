/** The data quality checks as SQL, one query per table. docs/quality.md defines them and cites the sources. */
import type { Severity } from '../common/findings.mts'

export interface Check {
  code: string
  severity: Severity
  /** Describes the matching rows, in the plural. */
  what: string
  expected: string
  /** SQL over the columns of {@link TableChecks.rows}: whether a row matches. */
  condition: string
  /** SQL: how much a matching row adds to the count; 1 by default. */
  weight?: string
}

export interface TableChecks {
  table: 'market_ticks' | 'market_l1' | 'market_l2'
  /** A SELECT of each row with values of its neighbours. SELECTION is replaced by the WHERE condition. */
  rows: string
  /** SQL: a row as text. */
  sample: string
  checks: Check[]
}

/**
 * Returns {@link TableChecks.rows} for a table.
 * @param columns columns of the table to include
 * @param value compared with the rows before and after, 0 where there is none
 * @param same columns that identify an event; they also order rows with equal timestamp and sequence
 */
const rows = (table: string, columns: string, value: string, same: string) => `
  SELECT symbol, timestamp, sequence, ingestion_time, ${columns},
      ${value} AS value,
      lagInFrame(value, 1, value) OVER happened AS value_before,
      any(value) OVER (PARTITION BY symbol ORDER BY timestamp, sequence, ${same} ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS value_after,
      max(ingestion_time) OVER happened AS received_so_far,
      lagInFrame(sequence, 1, sequence) OVER happened AS sequence_before,
      cityHash64(timestamp, sequence, ${same}) AS content,
      lagInFrame(content, 1, 0) OVER happened AS content_before
  FROM ${table}
  WHERE SELECTION
  WINDOW happened AS (PARTITION BY symbol ORDER BY timestamp, sequence, ${same} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)`

const warning = (code: string, what: string, expected: string, condition: string, weight?: string): Check => {
  return { code, severity: 'warning', what, expected, condition, ...(weight === undefined ? {} : { weight }) }
}
const error = (...check: Parameters<typeof warning>): Check => ({ ...warning(...check), severity: 'error' })

/** Conditions on the sequence: it grows by more than 1, or by exactly 1. */
export const JUMP = 'sequence > sequence_before + 1 AND sequence_before > 0'
export const STEP = 'sequence = sequence_before + 1 AND sequence_before > 0'

const common = (name: string, prices: string[], sizes: string[]): Check[] => [
  warning(
    `${name}_GAP`,
    'missing sequence numbers',
    'a sequence that grows by 1',
    JUMP,
    'sequence - sequence_before - 1',
  ),
  warning(
    `${name}_LATE`,
    'rows received before an earlier row',
    'rows received in the order of their timestamps',
    'ingestion_time < received_so_far',
  ),
  error(
    `${name}_TRUNCATED`,
    'prices truncated by a client',
    'prices as sent: clickhouse-connect 0.7.12 or newer',
    prices.map((price) => `abs(reinterpret(${price}, 'Int64')) % 10000 = 9999`).join(' OR '),
  ),
  error(
    `${name}_SIZE`,
    'invalid sizes',
    'sizes of 0 or more',
    sizes.map((size) => `NOT ifNull(${size} >= 0, 0)`).join(' OR '),
  ),
]

/** A value more than 10% above, or more than 10% below, both neighbours. */
const OUTLIER =
  'value > 0 AND value_before > 0 AND value_after > 0 AND (least(value / value_before, value / value_after) > 1.1 OR greatest(value / value_before, value / value_after) < 0.9)'

export const QUALITY: TableChecks[] = [
  {
    table: 'market_ticks',
    rows: rows(
      'market_ticks',
      'price, size, tick_id, conditions, correction',
      'toFloat64(price)',
      'tick_id, price, size, conditions, correction, if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3))',
    ),
    sample: "concat('price ', toString(price), ', size ', toString(size))",
    checks: [
      ...common('TRADE', ['price'], ['size']),
      warning('TRADE_TWICE', 'duplicate rows', 'each trade once', 'content = content_before'),
      error('TRADE_ZERO', 'trades at price 0', 'a nonzero price', "price = 0 AND correction != 'delete'"),
      warning(
        'TRADE_OUTLIER',
        'prices more than 10% away from both neighbours',
        'prices near those before and after',
        OUTLIER,
      ),
    ],
  },
  {
    table: 'market_l1',
    rows: rows(
      'market_l1',
      'bid, ask, bid_size, ask_size, tick_id, spread',
      'ifNull(toFloat64(mid), 0)',
      'tick_id, bid, ask, bid_size, ask_size, if(tick_id = 0 AND sequence = 0, ingestion_time, toDateTime64(0, 3))',
    ),
    sample:
      "concat('bid ', toString(bid), ' × ', toString(bid_size), ', ask ', toString(ask), ' × ', toString(ask_size))",
    checks: [
      ...common('QUOTE', ['bid', 'ask'], ['bid_size', 'ask_size']),
      warning('QUOTE_TWICE', 'duplicate rows', 'each quote once', 'content = content_before'),
      warning('QUOTE_CROSSED', 'quotes with the bid above the ask', 'a bid below the ask', 'ifNull(spread < 0, 0)'),
      warning('QUOTE_LOCKED', 'quotes with the bid equal to the ask', 'a bid below the ask', 'ifNull(spread = 0, 0)'),
      warning(
        'QUOTE_ZERO',
        'quote sides with a size at price 0',
        'a nonzero price, except for spreads',
        '(bid = 0 AND bid_size > 0) OR (ask = 0 AND ask_size > 0)',
      ),
      warning(
        'QUOTE_OUTLIER',
        'mid prices more than 10% away from both neighbours',
        'mid prices near those before and after',
        OUTLIER,
      ),
    ],
  },
  {
    table: 'market_l2',
    rows: rows(
      'market_l2',
      'side, price, size, operation, level, market_maker, order_id, position, entry_order, entry_maker, entry_price',
      '0',
      'side, price, operation, market_maker, order_id',
    ),
    sample: "concat(toString(side), ' ', toString(operation), ' ', toString(price), ' × ', toString(size))",
    checks: [
      ...common('BOOK', ['price'], ['size']),
      warning(
        'BOOK_DELETES_NOTHING',
        'deletes without a price, maker, order or level',
        'deletes that identify an entry',
        "operation = 'delete' AND entry_order = 0 AND entry_maker = '' AND price = 0",
      ),
      error(
        'BOOK_ZERO',
        'book entries with a size at price 0',
        'a nonzero price, except for spreads',
        "operation IN ('insert', 'update') AND price = 0 AND size > 0",
      ),
    ],
  },
]

/**
 * Entries still in the book at the end although a later event on the other side crosses them: their delete is missing. Symbols with
 * deletes by level are skipped, because only market_book resolves which entry such a delete removes.
 */
export const STUCK: Check = warning(
  'BOOK_STUCK',
  'book entries that were never removed',
  'a book that is not crossed at the end',
  'stuck',
)

/**
 * Returns a SELECT of the final state of each book entry, with the columns `alive` and `stuck`.
 * @param events SELECT of the events
 * @param more further aggregates per entry, beginning with a comma
 */
export const ENTRIES = (events: string, more: string) => `
  SELECT *, alive AND if(side = 'bid',
      best_ask.2 > last_position AND best_ask.1 <= last_price,
      best_bid.2 > last_position AND best_bid.1 >= last_price) AS stuck
  FROM
  (
    SELECT *,
        argMinIf((last_price, last_position), last_price, alive AND side = 'ask') OVER of_symbol AS best_ask,
        argMaxIf((last_price, last_position), last_price, alive AND side = 'bid') OVER of_symbol AS best_bid
    FROM
    (
      SELECT *, last_operation IN ('insert', 'update') AND last_size > 0 AND last_position > max(cleared) OVER of_symbol
          AND sum(level_deletes) OVER of_symbol = 0 AS alive
      FROM
      (
        SELECT symbol, side, entry_order, entry_maker, entry_price, argMax(operation, position) AS last_operation,
            argMax(price, position) AS last_price, argMax(size, position) AS last_size, max(position) AS last_position,
            max(timestamp) AS last_time, maxIf(position, operation = 'clear') AS cleared,
            countIf(operation = 'delete_level') AS level_deletes${more}
        FROM (${events})
        GROUP BY symbol, side, entry_order, entry_maker, entry_price
      )
      WINDOW of_symbol AS (PARTITION BY symbol)
    )
    WINDOW of_symbol AS (PARTITION BY symbol)
  )`
