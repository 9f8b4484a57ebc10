/** Recorded rows as messages of the raw topics. */

export type Kind = 'trades' | 'quotes' | 'l2'

export const TOPICS: Record<Kind, string> = {
  trades: 'iqfeed.trades.raw',
  quotes: 'iqfeed.quotes.raw',
  l2: 'iqfeed.l2.raw',
}

export interface Message {
  topic: string
  key: string
  value: string
  /** Microseconds since 1970 of what happened, for the pace. */
  timeUs: number
}

/** A row of a file: text by column, '' for a value that is not there. */
export type Row = Record<string, string>

type Field = {
  /** Column names, the message's own first. */
  from: string[]
  type: 'text' | 'number' | 'code'
  optional?: true
  /** IQFeed's own codes and what they mean in a message. */
  codes?: Record<string, Record<string, string>>
}

const field = (type: Field['type'], ...from: string[]): Field => ({ type, from })
const optional = (type: Field['type'], ...from: string[]): Field => ({ type, from, optional: true })

/** The fields of each kind of message, as programs send them, and the columns of files and tables that hold them. */
const FIELDS: Record<Kind, Record<string, Field>> = {
  trades: {
    trade_price: field('number', 'trade_price', 'price'),
    trade_size: field('number', 'trade_size', 'size'),
    total_volume: optional('number', 'total_volume'),
    trade_market_center: optional('number', 'trade_market_center', 'market_center'),
    trade_conditions: optional('text', 'trade_conditions', 'conditions'),
    tick_id: optional('number', 'tick_id'),
    bid_price: optional('number', 'bid_price', 'bid'),
    ask_price: optional('number', 'ask_price', 'ask'),
    basis: optional('text', 'basis'),
    correction: optional('text', 'correction'),
    source: optional('text', 'source'),
  },
  quotes: {
    // A side that nobody quotes has neither price nor size.
    bid_price: optional('number', 'bid_price', 'bid'),
    bid_size: optional('number', 'bid_size'),
    ask_price: optional('number', 'ask_price', 'ask'),
    ask_size: optional('number', 'ask_size'),
    bid_market_center: optional('number', 'bid_market_center'),
    ask_market_center: optional('number', 'ask_market_center'),
    tick_id: optional('number', 'tick_id'),
    source: optional('text', 'source'),
  },
  l2: {
    level: optional('number', 'level'),
    market_maker: optional('text', 'market_maker'),
    operation: {
      type: 'code',
      from: ['operation', 'message_type'],
      codes: {
        // 3 add, 6 and 7 summaries, 4 and 8 updates, 5 and 9 deletes. @see IQFeed protocol 6.2, level 2 messages
        message_type: { 3: '0', 6: '0', 7: '0', 4: '1', 8: '1', 5: '2', 9: '2' },
      },
    },
    side: { type: 'code', from: ['side', 'side_code'], codes: { side_code: { 1: '0', 2: '1' } } },
    price: field('number', 'price'),
    size: field('number', 'size'),
    tick_id: optional('number', 'tick_id'),
    order_id: optional('number', 'order_id'),
    order_count: optional('number', 'order_count'),
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
  return (has('bid_price') || has('bid')) && (has('ask_price') || has('ask')) ? 'quotes' : undefined
}

/** As JSON writes numbers. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/
const ISO = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i

/**
 * Microseconds since 1970 of a timestamp as the programs write it: ISO 8601, UTC when it has no offset, or seconds since 1970.
 * "2026-11-23T10:00:00.000001" → 1795428000000001
 * @throws {RangeError} for anything else
 */
export function parseTime(text: string): number {
  if (/^\d{9,10}(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1e6)
  const [, day, time = '00:00', fraction = '', zone = 'Z'] = ISO.exec(text) ?? []
  const offset = zone.length === 3 ? `${zone}:00` : zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone
  const milliseconds = Date.parse(`${day}T${time}${offset.toUpperCase()}`)
  if (Number.isNaN(milliseconds)) throw new RangeError(`timestamp: "${text}"`)
  return milliseconds * 1000 + Math.floor(Number(fraction.padEnd(6, '0').slice(0, 6)))
}

/**
 * The message that says what a row holds. Numbers stay digit by digit as they are written.
 * @throws {RangeError} naming the first value that it cannot use
 */
export function messageOf(kind: Kind, row: Row): Message {
  const { symbol = '', timestamp = '' } = row
  if (symbol === '') throw new RangeError('symbol: missing')
  const timeUs = parseTime(timestamp)
  const time = NUMBER.test(timestamp) ? timestamp : `"${timestamp.replace(' ', 'T')}"`
  let removes = false
  let value = `{"symbol":${JSON.stringify(symbol)},"timestamp":${time}`
  for (const [name, { from, type, optional: mayLack, codes }] of Object.entries(FIELDS[kind])) {
    const column = from.find((each) => (row[each] ?? '') !== '')
    if (column === undefined) {
      // A delete need not say what it deletes the price and size of.
      if (mayLack || (removes && type === 'number')) continue
      throw new RangeError(`${name}: missing`)
    }
    const text = row[column] as string
    const coded = codes?.[column]?.[text] ?? (codes?.[column] ? undefined : text)
    if (coded === undefined || (type === 'number' && !NUMBER.test(coded))) throw new RangeError(`${column}: "${text}"`)
    if (name === 'operation') removes = /^(2|3|delete|clear)$/i.test(coded)
    const plain = type === 'number' || (type === 'code' && NUMBER.test(coded))
    value += `,"${name}":${plain ? coded : JSON.stringify(coded)}`
  }
  return { topic: TOPICS[kind], key: symbol, value: `${value}}`, timeUs }
}

/**
 * The message of a line of JSON: as it stands when it has the message's own fields, else built from its columns.
 * @throws {RangeError} saying what is wrong with it
 */
export function messageOfLine(line: string, forced: Kind | undefined): Message {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    // SyntaxError: the parser's words name a position in the line, which helps less than the line's number.
    throw new RangeError('not JSON')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new RangeError('not a JSON object')
  const kind = forced ?? kindOf(Object.keys(parsed))
  if (!kind) throw new RangeError('no kind of message: expected trade_price, or bid_price and ask_price, or side')
  const row: Row = {}
  for (const [name, value] of Object.entries(parsed)) {
    if (typeof value === 'string' || typeof value === 'number') row[name] = String(value)
  }
  const message = messageOf(kind, row)
  const own = Object.entries(FIELDS[kind]).every(([name, { optional: mayLack }]) => mayLack || name in parsed)
  return own ? { ...message, value: line.trim() } : message
}
