/** The fields of the messages of the raw topics, and what the ingest takes in each. */

export type Kind = 'trades' | 'quotes' | 'l2'

export const KINDS: readonly Kind[] = ['trades', 'quotes', 'l2']

export const TOPICS: Record<Kind, string> = {
  trades: 'iqfeed.trades.raw',
  quotes: 'iqfeed.quotes.raw',
  l2: 'iqfeed.l2.raw',
}

/** A row of a file: text by column, '' for a value that is not there. */
export type Row = Record<string, string>

/** As JSON writes numbers. */
export const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

export interface Rule {
  /** Whether the ingest can use a value. */
  takes: (text: string) => boolean
  /** What it reads as text too; all else that it takes, it reads only as a number. */
  asText: RegExp
  /** Of letters and digits, or a number that keeps all its digits. */
  kind: 'text' | 'decimal' | 'number' | 'word'
  /** Other ways to write a value, in lower case, and how the message has it. */
  means?: Record<string, string>
}

const word = (pattern: RegExp, means?: Record<string, string>): Rule => ({
  takes: (text) => pattern.test(text),
  asText: pattern,
  kind: 'word',
  ...(means ? { means } : {}),
})

function whole(bits: bigint): Rule {
  const max = 2n ** bits - 1n
  const takes = (text: string) => {
    const number = Number(text)
    // 100.0 and 1e2 are whole too; a number beyond what a double holds is one by its digits.
    if (Number.isSafeInteger(number)) return NUMBER.test(text) && number >= 0 && number <= max
    return /^[1-9]\d*$/.test(text) && BigInt(text) <= max
  }
  return { takes, asText: /^\d+$/, kind: 'number' }
}

const text: Rule = { takes: () => true, asText: /^/, kind: 'text' }
/** Decimal(18, 8): ten digits before the point; the ingest rounds what is behind the eighth, and rejects what that makes 0. */
const price: Rule = {
  takes: (value) => {
    const number = Math.abs(Number(value))
    return NUMBER.test(value) && number < 1e10 && (number === 0 || number >= 5e-9)
  },
  asText: /^-?\d+(\.\d+)?$/,
  kind: 'decimal',
}
const size: Rule = {
  takes: (value) => NUMBER.test(value) && Number(value) >= 0 && Number(value) < 2 ** 32,
  asText: /^\d+$/,
  kind: 'decimal',
}
const uint16 = whole(16n)
const uint32 = whole(32n)
const uint64 = whole(64n)
/** A number, or a name such as NASDAQ. */
const center: Rule = { takes: (value) => !NUMBER.test(value) || uint16.takes(value), asText: /^/, kind: 'number' }
const side = word(/^([01]|ask|bid)$/i, { b: '1', buy: '1', s: '0', sell: '0' })
const operation = word(/^([0-2]|insert|update|delete|clear)$/i, { add: '0' })
const correction = word(/^(none|insert|delete)$/i)

export interface Field {
  name: string
  rule: Rule
  /** Column names, the message's own first. */
  from: readonly string[]
  /** Whether a row need not have it, by the row and what its operation means. */
  mayLack: (row: Row, operation: string) => boolean
  /** IQFeed's own codes and what they mean in a message, by column. */
  codes?: Record<string, Record<string, string>>
}

const field = (name: string, rule: Rule, ...from: string[]): Field => ({
  name,
  rule,
  from: [name, ...from],
  mayLack: () => false,
})
const optional = (name: string, rule: Rule, ...from: string[]): Field => ({
  ...field(name, rule, ...from),
  mayLack: () => true,
})

const tickId = optional('tick_id', uint64)
const source = optional('source', text)
const level = optional('level', uint16, 'depth_level')
const maker = optional('market_maker', text)
const orderId = optional('order_id', uint64)

const clears = (operation: string) => /^clear$/i.test(operation)
/** A delete names what goes by its price, maker, order or level. */
const names = (row: Row) =>
  Boolean(row.price || row.market_maker || row.level || row.depth_level || Number(row.order_id))
const leaves = (deletes: RegExp) => (row: Row, operation: string) =>
  clears(operation) || (deletes.test(operation) && names(row))

function bookEvent(operations: Field, deletes: RegExp): Field[] {
  return [
    level,
    maker,
    operations,
    // A clear is of the whole book; neither it nor a delete need say the price and size of what goes.
    {
      ...field('side', side, 'side_code'),
      codes: { side_code: { 1: '0', 2: '1' } },
      mayLack: (_, operation) => clears(operation),
    },
    { ...field('price', price), mayLack: leaves(deletes) },
    { ...field('size', size), mayLack: leaves(deletes) },
    tickId,
    orderId,
    optional('order_count', uint32),
    source,
  ]
}

const form = (name: string) => field('l2_operation', word(new RegExp(`^${name}$`)))
const quoteSide = (of: 'bid' | 'ask', other: 'bid' | 'ask'): Field[] => [
  { ...field(`${of}_price`, price, of), mayLack: (row) => Boolean(row[`${other}_price`] || row[other]) },
  { ...field(`${of}_size`, size), mayLack: (row) => !row[`${of}_price`] && !row[of] },
]

/** The fields of each kind of message and of the forms of order book messages, as programs send them. */
export const FIELDS = {
  trades: [
    field('trade_price', price, 'price'),
    field('trade_size', size, 'size'),
    optional('total_volume', uint64),
    optional('trade_market_center', center, 'market_center', 'exchange'),
    optional('trade_conditions', text, 'conditions'),
    tickId,
    optional('bid_price', price, 'bid'),
    optional('ask_price', price, 'ask'),
    optional('basis', text),
    optional('correction', correction),
    source,
  ],
  quotes: [
    // A side that nobody quotes has neither price nor size; one side there must be.
    {
      ...field('bid_price', price, 'bid'),
      mayLack: (row: Row) => !row.bid_size && Boolean(row.ask_price || row.ask || row.ask_size),
    },
    { ...field('bid_size', size), mayLack: (row: Row) => !row.bid_price && !row.bid },
    { ...field('ask_price', price, 'ask'), mayLack: (row: Row) => !row.ask_size },
    { ...field('ask_size', size), mayLack: (row: Row) => !row.ask_price && !row.ask },
    optional('bid_market_center', center),
    optional('ask_market_center', center),
    tickId,
    source,
  ],
  l2: bookEvent(
    {
      ...field('operation', operation, 'message_type'),
      codes: {
        // 3 add, 6 and 7 summaries, 4 and 8 updates, 5 and 9 deletes. @see IQFeed protocol 6.2, level 2 messages
        message_type: { 3: '0', 6: '0', 7: '0', 4: '1', 8: '1', 5: '2', 9: '2' },
      },
    },
    /^(2|delete)$/i,
  ),
  /** l2_operation "update": 0 or 1 adds, 2 updates, 3 deletes. */
  update: [
    form('update'),
    ...bookEvent(field('operation', word(/^([0-3]|insert|add|update|delete)$/i)), /^(3|delete)$/i),
  ],
  /** l2_operation "delete": what stands at that level of that side goes. */
  delete: [
    form('delete'),
    field('side', side),
    { ...level, mayLack: names },
    maker,
    optional('price', price),
    tickId,
    orderId,
    source,
  ],
  /** l2_operation "market_maker_update": one maker's quote on both sides. */
  maker: [
    form('market_maker_update'),
    field('market_maker', text),
    ...quoteSide('bid', 'ask'),
    ...quoteSide('ask', 'bid'),
    level,
    tickId,
    source,
  ],
  /** A recorder's line without any operation: what now stands at that level of that side. */
  level: [
    field('level', uint16, 'depth_level'),
    maker,
    field('side', side),
    field('price', price),
    field('size', size),
    tickId,
    source,
  ],
} as const satisfies Record<string, readonly Field[]>

export type Form = keyof typeof FIELDS

/** Every column that a file may have. */
export const COLUMNS: readonly string[] = [
  ...new Set([
    'symbol',
    'timestamp',
    ...Object.values(FIELDS).flatMap((fields) => (fields as readonly Field[]).flatMap(({ from }) => from)),
  ]),
]

/** Which kind of message rows with these columns are, or undefined when they do not say. */
export function kindOf(columns: readonly string[]): Kind | undefined {
  const has = (name: string) => columns.includes(name)
  if (has('side') || has('side_code') || has('operation') || has('l2_operation')) return 'l2'
  if (has('trade_price') || (has('price') && has('size'))) return 'trades'
  // A message may leave out the side that nobody quotes.
  return ['bid_price', 'bid', 'ask_price', 'ask'].some(has) ? 'quotes' : undefined
}

/** The form of a row of a kind. A row with `l2_operation` is about the order book, whatever its file holds. @throws {RangeError} */
export function formOf(kind: Kind, row: Row): Form {
  switch (row.l2_operation ?? '') {
    case '':
      break
    case 'update':
    case 'delete':
      return row.l2_operation as Form
    case 'market_maker_update':
      return 'maker'
    default:
      throw new RangeError(`l2_operation: "${row.l2_operation}"`)
  }
  if (kind !== 'l2') return kind
  const hasOperation = row.operation !== undefined || /^\d+$/.test(row.message_type ?? '')
  const hasLevel = (row.level ?? row.depth_level ?? '') !== ''
  return !hasOperation && hasLevel && !row.order_id ? 'level' : 'l2'
}
