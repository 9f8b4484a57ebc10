/** Recorded rows as messages of the raw topics. */
import { COLUMNS, FIELDS, type Kind, kindOf, NUMBER, type Row, RULES, TOPICS } from './fields.mts'

export interface Message {
  topic: string
  key: string
  value: string
  /** Microseconds since 1970 of what happened, for the pace. */
  timeUs: number
}

/** With the seconds below, what clickhouse/ingest takes, which has both as one pattern. */
const ISO =
  /^((?:19[7-9]|20\d|210)\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d)(?:(:[0-5]\d)(?:\.(\d{1,9}))?)?)?(?: ?(Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?))?$/
/**
 * In microseconds since 1970: from its second day up to 2106-02-07, on which the seconds end that DateTime counts. The tables of minutes
 * would show a later trade in another century.
 */
const TIMES_US = { min: Date.UTC(1970, 0, 2) * 1000, end: Date.UTC(2106, 1, 7) * 1000 }

/**
 * Microseconds since 1970 of a timestamp as the programs write it: ISO 8601, UTC when it has no offset, or seconds since 1970.
 * "2026-11-23T10:00:00.000001" → 1795428000000001
 * @throws {RangeError} for anything else, and for what is before 1970-01-02 or after 2106-02-06
 */
export function parseTime(text: string): number {
  const timeUs = /^\d{9,10}(\.\d+)?$/.test(text) ? Math.round(Number(text) * 1e6) : isoTimeUs(text)
  if (timeUs >= TIMES_US.min && timeUs < TIMES_US.end) return timeUs
  throw new RangeError(`timestamp: "${text}"`)
}

/** NaN for what is no time. */
function isoTimeUs(text: string): number {
  const [, day = '', minute = '00:00', second = '', fraction = '', zone = 'Z'] = ISO.exec(text) ?? []
  const offset = zone.length === 3 ? `${zone}:00` : zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone
  // Date.parse takes 30 February for 2 March.
  if (Number(day.slice(8)) > 28 && new Date(Date.parse(day) || 0).toISOString().slice(0, 10) !== day) return Number.NaN
  return Date.parse(`${day}T${minute}${second}${offset}`) * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6))
}

/**
 * The message that says what a row holds. Numbers stay digit by digit as they are written.
 * @throws {RangeError} naming the first value that the ingest could not use
 */
export function messageOf(kind: Kind, row: Row): Message {
  const { symbol = '', timestamp = '' } = row
  if (symbol === '') throw new RangeError('symbol: missing')
  const timeUs = parseTime(timestamp)
  const time = NUMBER.test(timestamp) ? timestamp : `"${timestamp.replace(/ (?=\d)/, 'T')}"`
  let operation = ''
  let value = `{"symbol":${JSON.stringify(symbol)},"timestamp":${time}`
  for (const [name, { from, type, mayLack, codes }] of Object.entries(FIELDS[kind])) {
    const column = from.find((each) => (row[each] ?? '') !== '')
    if (column === undefined) {
      if (mayLack(row, operation)) continue
      throw new RangeError(`${name}: missing`)
    }
    const text = row[column] as string
    // What writes tables may make a column of 0 and 1 one of 0.0 and 1.0.
    const said = RULES[type].word && NUMBER.test(text) ? String(Number(text)) : text
    const known = codes?.[column]
    const coded = known ? (Object.hasOwn(known, said) ? known[said] : undefined) : said
    if (coded === undefined || !RULES[type].takes(coded)) throw new RangeError(`${column}: "${text}"`)
    if (name === 'operation') operation = coded
    // A number with a point is a double to ClickHouse, which holds 15 digits; as text it keeps all.
    const plain = type !== 'text' && NUMBER.test(coded) && !(type === 'decimal' && coded.length > 16)
    value += `,"${name}":${plain ? coded : JSON.stringify(coded)}`
  }
  return { topic: TOPICS[kind], key: symbol, value: `${value}}`, timeUs }
}

/**
 * The message of a line of JSON: as it stands when the ingest reads it so, else built from its columns.
 * @throws {RangeError} saying what is wrong with it
 */
export function messageOfLine(line: string, forced: Kind | undefined): Message {
  let parsed: Record<string, unknown>
  try {
    parsed = JSON.parse(line)
  } catch {
    // SyntaxError: the parser's words name a position in the line, which helps less than the line's number.
    throw new RangeError('not JSON')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new RangeError('not a JSON object')
  const kind = forced ?? kindOf(Object.keys(parsed))
  if (!kind) throw new RangeError('no kind of message: expected trade_price, or bid_price or ask_price, or side')
  const has = (column: string) => (parsed[column] ?? '') !== ''
  const own = Object.entries(FIELDS[kind]).every(([name, { type, from }]) => {
    const value = parsed[name]
    const asText = typeof value !== 'string' || value === '' || RULES[type].asText.test(value)
    return asText && !from.some((column) => column !== name && has(column))
  })
  // A double holds 15 digits, and forgets how they were written.
  const exact = own && !/\d[\d.]{15}/.test(line) ? parsed : JSON.parse(quoteNumbers(line))
  const row: Row = {}
  for (const name of COLUMNS.filter(has)) {
    const value = parsed[name]
    row[name] =
      typeof value === 'number' ? String(exact[name]) : typeof value === 'string' ? value : JSON.stringify(value)
  }
  const message = messageOf(kind, row)
  return own ? { ...message, value: line.trim() } : message
}

/** A line of valid JSON with its numbers as text, so that parsing keeps their digits. {"a":1.10,"b":"2"} → {"a":"1.10","b":"2"} */
function quoteNumbers(line: string): string {
  // Strings are passed over as a whole; outside of them, digits are in numbers alone.
  return line.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?\d[\d.eE+-]*/g, (token) =>
    token[0] === '"' ? token : `"${token}"`,
  )
}
