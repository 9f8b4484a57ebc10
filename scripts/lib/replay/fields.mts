/** The fields of the messages of the raw topics, and what the ingest takes in each. */

export type Kind = 'trades' | 'quotes' | 'l2'

export const TOPICS: Record<Kind, string> = {
  trades: 'iqfeed.trades.raw',
  quotes: 'iqfeed.quotes.raw',
  l2: 'iqfeed.l2.raw',
}

/** A row of a file: text by column, '' for a value that is not there. */
export type Row = Record<string, string>

/** As JSON writes numbers. */
export const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

type Type = 'text' | 'decimal' | 'uint16' | 'uint32' | 'uint64' | 'operation' | 'side' | 'correction'

interface Rule {
  /** Whether the ingest can use a value. */
  takes: (text: string) => boolean
  /** What it reads as text too; all else that it takes, it reads only as a number. */
  asText: RegExp
  /** One of few words or numbers, each with one way to write it. */
  word?: true
}

const word = (pattern: RegExp): Rule => ({ takes: (text) => pattern.test(text), asText: pattern, word: true })

function whole(bits: bigint): Rule {
  const max = 2n ** bits - 1n
  const takes = (text: string) => {
    const number = Number(text)
    // 100.0 and 1e2 are whole too; a number beyond what a double holds is one by its digits.
    if (Number.isSafeInteger(number)) return NUMBER.test(text) && number >= 0 && number <= max
    return /^[1-9]\d*$/.test(text) && BigInt(text) <= max
  }
  return { takes, asText: /^\d+$/ }
}

/** What clickhouse/ingest takes, by the types of its columns. */
export const RULES: Record<Type, Rule> = {
  text: { takes: () => true, asText: /^/ },
  // Decimal(18, 8): ten digits before the point, any number behind it.
  decimal: { takes: (text) => NUMBER.test(text) && Math.abs(Number(text)) < 1e10, asText: /^-?\d+(\.\d+)?$/ },
  uint16: whole(16n),
  uint32: whole(32n),
  uint64: whole(64n),
  operation: word(/^([0-3]|insert|update|delete|clear)$/i),
  side: word(/^([01]|ask|bid)$/i),
  correction: word(/^(none|insert|delete)$/i),
}

type Field = {
  type: Type
  /** Column names, the message's own first. */
  from: string[]
  /** Whether a row need not have it, by the row and what its operation means. */
  mayLack: (row: Row, operation: string) => boolean
  /** IQFeed's own codes and what they mean in a message. */
  codes?: Record<string, Record<string, string>>
}

const field = (type: Type, ...from: string[]): Field => ({ type, from, mayLack: () => false })
const optional = (type: Type, ...from: string[]): Field => ({ type, from, mayLack: () => true })

const removes = (operation: string) => /^(2|3|delete|clear)$/i.test(operation)

/** The fields of each kind of message, as programs send them, and the columns of files and tables that hold them. */
export const FIELDS: Record<Kind, Record<string, Field>> = {
  trades: {
    trade_price: field('decimal', 'trade_price', 'price'),
    trade_size: field('uint32', 'trade_size', 'size'),
    total_volume: optional('uint64', 'total_volume'),
    trade_market_center: optional('uint16', 'trade_market_center', 'market_center'),
    trade_conditions: optional('text', 'trade_conditions', 'conditions'),
    tick_id: optional('uint64', 'tick_id'),
    bid_price: optional('decimal', 'bid_price', 'bid'),
    ask_price: optional('decimal', 'ask_price', 'ask'),
    basis: optional('text', 'basis'),
    correction: optional('correction', 'correction'),
    source: optional('text', 'source'),
  },
  quotes: {
    // A side that nobody quotes has neither price nor size; one side there must be.
    bid_price: {
      ...field('decimal', 'bid_price', 'bid'),
      mayLack: (row) => !row.bid_size && Boolean(row.ask_price || row.ask || row.ask_size),
    },
    bid_size: { ...field('uint32', 'bid_size'), mayLack: (row) => !row.bid_price && !row.bid },
    ask_price: { ...field('decimal', 'ask_price', 'ask'), mayLack: (row) => !row.ask_size },
    ask_size: { ...field('uint32', 'ask_size'), mayLack: (row) => !row.ask_price && !row.ask },
    bid_market_center: optional('uint16', 'bid_market_center'),
    ask_market_center: optional('uint16', 'ask_market_center'),
    tick_id: optional('uint64', 'tick_id'),
    source: optional('text', 'source'),
  },
  l2: {
    level: optional('uint16', 'level'),
    market_maker: optional('text', 'market_maker'),
    operation: {
      ...field('operation', 'operation', 'message_type'),
      codes: {
        // 3 add, 6 and 7 summaries, 4 and 8 updates, 5 and 9 deletes. @see IQFeed protocol 6.2, level 2 messages
        message_type: { 3: '0', 6: '0', 7: '0', 4: '1', 8: '1', 5: '2', 9: '2' },
      },
    },
    // A clear is of the whole book; neither it nor a delete need say the price and size of what goes.
    side: {
      ...field('side', 'side', 'side_code'),
      codes: { side_code: { 1: '0', 2: '1' } },
      mayLack: (_, operation) => /^(3|clear)$/i.test(operation),
    },
    price: { ...field('decimal', 'price'), mayLack: (_, operation) => removes(operation) },
    size: { ...field('uint32', 'size'), mayLack: (_, operation) => removes(operation) },
    tick_id: optional('uint64', 'tick_id'),
    order_id: optional('uint64', 'order_id'),
    order_count: optional('uint32', 'order_count'),
    source: optional('text', 'source'),
  },
}

/** Every column that a file may have. */
export const COLUMNS: readonly string[] = [
  ...new Set([
    'symbol',
    'timestamp',
    ...Object.values(FIELDS).flatMap((fields) => Object.values(fields).flatMap(({ from }) => from)),
  ]),
]

/** Which kind of message rows with these columns are, or undefined when that cannot be told. */
export function kindOf(columns: readonly string[]): Kind | undefined {
  const has = (name: string) => columns.includes(name)
  if (has('side') || has('side_code') || has('operation')) return 'l2'
  if (has('trade_price') || (has('price') && has('size'))) return 'trades'
  // A message may leave out the side that nobody quotes.
  return ['bid_price', 'bid', 'ask_price', 'ask'].some(has) ? 'quotes' : undefined
}
