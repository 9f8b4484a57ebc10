/** The fields of the messages of the raw topics, and the columns that they come from. */

import {
  center,
  correction,
  operation,
  price,
  type Rule,
  side,
  size,
  text,
  uint16,
  uint32,
  uint64,
  word,
} from './rules.mts'

export type Kind = 'trades' | 'quotes' | 'l2'

export const KINDS: readonly Kind[] = ['trades', 'quotes', 'l2']

export const TOPICS: Record<Kind, string> = {
  trades: 'iqfeed.trades.raw',
  quotes: 'iqfeed.quotes.raw',
  l2: 'iqfeed.l2.raw',
}

/** A row of a file: text by column, '' for a value that is not there. */
export type Row = Record<string, string>

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

const unless = (mayLack: Field['mayLack'], of: Field): Field => ({ ...of, mayLack })

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
    unless((_, operation) => clears(operation), {
      ...field('side', side, 'side_code'),
      codes: { side_code: { 1: '0', 2: '1' } },
    }),
    unless(leaves(deletes), field('price', price)),
    unless(leaves(deletes), field('size', size)),
    tickId,
    orderId,
    optional('order_count', uint32),
    source,
  ]
}

const form = (name: string) => field('l2_operation', word(new RegExp(`^${name}$`, 'i')))
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
    unless(
      (row) => !row.bid_size && Boolean(row.ask_price || row.ask || row.ask_size),
      field('bid_price', price, 'bid'),
    ),
    unless((row) => !row.bid_price && !row.bid, field('bid_size', size)),
    unless((row) => !row.ask_size, field('ask_price', price, 'ask')),
    unless((row) => !row.ask_price && !row.ask, field('ask_size', size)),
    optional('bid_market_center', center, 'bid_exchange'),
    optional('ask_market_center', center, 'ask_exchange'),
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
  /** l2_operation "update": 0 or 1 adds, 2 or none updates, 3 deletes. */
  update: [
    form('update'),
    ...bookEvent(optional('operation', word(/^([0-3]|insert|add|update|delete)$/i)), /^(3|delete)$/i),
  ],
  /** l2_operation "delete": what stands at that level of that side goes. */
  delete: [
    form('delete'),
    field('side', side),
    unless(names, level),
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
    // A side without price or size is one that the maker does not quote.
    optional('bid_price', price, 'bid'),
    optional('bid_size', size),
    optional('ask_price', price, 'ask'),
    optional('ask_size', size),
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
