/** The fields of messages in the raw topics, and the columns that supply them. */

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

/** A row of a file: text by column, '' for a missing value. */
export type Row = Record<string, string>

export interface Field {
  name: string
  rule: Rule
  /** Columns that may supply the value, in order of preference; the first has the field's name. */
  from: readonly string[]
  /** Reports whether a row may omit the value, given the row and its operation. */
  isOptional: (row: Row, operation: string) => boolean
  /** Message values for IQFeed codes, by column. */
  codes?: Record<string, Record<string, string>>
}

const field = (name: string, rule: Rule, ...from: string[]): Field => ({
  name,
  rule,
  from: [name, ...from],
  isOptional: () => false,
})
const optional = (name: string, rule: Rule, ...from: string[]): Field => ({
  ...field(name, rule, ...from),
  isOptional: () => true,
})
const optionalIf = (isOptional: Field['isOptional'], of: Field): Field => ({ ...of, isOptional })

const tickId = optional('tick_id', uint64)
const source = optional('source', text)
const level = optional('level', uint16, 'depth_level')
const maker = optional('market_maker', text)
const orderId = optional('order_id', uint64)

const isClear = (operation: string) => /^clear$/i.test(operation)
/** Reports whether a delete identifies the entry by its price, maker, order or level. */
const identifies = (row: Row) =>
  Boolean(row.price || row.market_maker || row.level || row.depth_level || Number(row.order_id))
const isRemoval = (deletes: RegExp) => (row: Row, operation: string) =>
  isClear(operation) || (deletes.test(operation) && identifies(row))

function bookEvent(operations: Field, deletes: RegExp): Field[] {
  return [
    level,
    maker,
    operations,
    // A clear removes the whole book, so it needs no side. Neither a clear nor a delete needs a price and size.
    optionalIf((_, operation) => isClear(operation), {
      ...field('side', side, 'side_code'),
      codes: { side_code: { 1: '0', 2: '1' } },
    }),
    optionalIf(isRemoval(deletes), field('price', price)),
    optionalIf(isRemoval(deletes), field('size', size)),
    tickId,
    orderId,
    optional('order_count', uint32),
    source,
  ]
}

const form = (name: string) => field('l2_operation', word(new RegExp(`^${name}$`, 'i')))
/** The fields of trades, quotes and each form of order book message, in the order in which they are written. */
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
    // A side that is not quoted has neither price nor size; at least one side is required.
    optionalIf(
      (row) => !row.bid_size && Boolean(row.ask_price || row.ask || row.ask_size),
      field('bid_price', price, 'bid'),
    ),
    optionalIf((row) => !row.bid_price && !row.bid, field('bid_size', size)),
    optionalIf((row) => !row.ask_size, field('ask_price', price, 'ask')),
    optionalIf((row) => !row.ask_price && !row.ask, field('ask_size', size)),
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
  /** l2_operation "update". Operation 0 or 1 inserts, 2 or a missing one updates, 3 deletes. */
  update: [
    form('update'),
    ...bookEvent(optional('operation', word(/^([0-3]|insert|add|update|delete)$/i)), /^(3|delete)$/i),
  ],
  /** l2_operation "delete": deletes the entry at a level of a side. */
  delete: [
    form('delete'),
    field('side', side),
    optionalIf(identifies, level),
    maker,
    optional('price', price),
    tickId,
    orderId,
    source,
  ],
  /** l2_operation "market_maker_update": a maker's quote on both sides. */
  maker: [
    form('market_maker_update'),
    field('market_maker', text),
    // The maker does not quote a side without price or size.
    optional('bid_price', price, 'bid'),
    optional('bid_size', size),
    optional('ask_price', price, 'ask'),
    optional('ask_size', size),
    level,
    tickId,
    source,
  ],
  /** A line without an operation: the new entry at a level of a side. */
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

/** All columns that are read from files. */
export const COLUMNS: readonly string[] = [
  ...new Set([
    'symbol',
    'timestamp',
    ...Object.values(FIELDS).flatMap((fields) => (fields as readonly Field[]).flatMap(({ from }) => from)),
  ]),
]
