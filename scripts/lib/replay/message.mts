/** Recorded rows as messages of the raw topics. */

import { parseTime, type Zone } from '../common/time.mts'
import { COLUMNS, FIELDS, type Field, type Form, type Kind, type Row, TOPICS } from './fields.mts'
import { formOf, kindOf } from './forms.mts'
import { NUMBER } from './rules.mts'

export interface Message {
  topic: string
  key: string
  value: string
  /** Microseconds since 1970 of what happened, for the pace. */
  timeUs: number
}

/** What rows do not say themselves. */
export interface Context {
  /** Of rows without a column for it. */
  symbol?: string | undefined
  /** Of times without offset; without it they are UTC. */
  zone?: Zone | undefined
}

const topicOf = (form: Form) => TOPICS[form === 'trades' || form === 'quotes' ? form : 'l2']

/** @throws {RangeError} for a symbol that the ingest rejects */
function symbolOf(row: Row, { symbol = '' }: Context): string {
  const text = row.symbol ?? symbol
  if (text === '') throw new RangeError('symbol: missing')
  if (text.trim() !== text) throw new RangeError(`symbol: ${JSON.stringify(text)}`)
  return text
}

/**
 * The message that says what a row holds. Numbers stay digit by digit as they are written.
 * @throws {RangeError} naming the first value that the ingest could not use
 */
export function messageOf(kind: Kind, row: Row, context: Context = {}): Message {
  const symbol = symbolOf(row, context)
  if ((row.timestamp ?? '') === '') throw new RangeError('timestamp: missing')
  const { us, json } = parseTime(row.timestamp as string, context.zone)
  const form = formOf(kind, row)
  let operation = ''
  let value = `{"symbol":${JSON.stringify(symbol)},"timestamp":${json}`
  for (const field of FIELDS[form] as readonly Field[]) {
    const { name, from, rule, mayLack } = field
    const column = from.find((each) => (row[each] ?? '') !== '')
    if (column === undefined) {
      if (mayLack(row, operation)) continue
      throw new RangeError(`${name}: missing`)
    }
    const coded = codedOf(field, column, row[column] as string)
    if (name === 'operation') operation = coded
    // A number with a point is a double to ClickHouse, which holds 15 digits; as text it keeps all.
    const plain = rule.kind !== 'text' && NUMBER.test(coded) && !(rule.kind === 'decimal' && coded.length > 16)
    value += `,"${name}":${plain ? coded : JSON.stringify(coded)}`
  }
  if (form === 'level') value += setting(row)
  return { topic: topicOf(form), key: symbol, value: `${value}}`, timeUs: us }
}

/** What a message has for the text of a column. @throws {RangeError} for what the ingest could not use */
function codedOf({ rule, codes }: Field, column: string, text: string): string {
  // What writes tables may make a column of 0 and 1 one of 0.0 and 1.0.
  const said = rule.kind === 'word' && NUMBER.test(text) ? String(Number(text)) : text
  const known = codes?.[column]
  const coded = known ? ownValue(known, said) : (ownValue(rule.means, said.toLowerCase()) ?? said)
  if (coded === undefined || !rule.takes(coded)) throw new RangeError(`${column}: "${text}"`)
  return coded
}

function ownValue(values: Record<string, string> | undefined, name: string): string | undefined {
  return values && Object.hasOwn(values, name) ? values[name] : undefined
}

/**
 * A line that sets a level is an update of that level, no matter who quoted it before: an entry of a book is known by its order,
 * so the level is its number, counted from 1, since 0 is none.
 */
const setting = (row: Row) => `,"operation":1,"order_id":${Number(row.level || row.depth_level) + 1}`

/**
 * The message of a line of JSON: as it stands when the ingest reads it so, else built from its columns.
 * @param line one object, on one line or several
 * @throws {RangeError} saying what is wrong with it
 */
export function messageOfLine(line: string, forced: Kind | undefined, context: Context = {}): Message {
  const { parsed, json } = parseObject(line)
  const kind = forced ?? kindOf(Object.keys(parsed))
  if (!kind) throw new RangeError('no kind of message: expected trade_price, or bid_price or ask_price, or side')
  const { symbol } = parsed
  if (symbol !== undefined && symbol !== null && typeof symbol !== 'string')
    throw new RangeError(`symbol: ${JSON.stringify(symbol)}`)
  // A double holds 15 digits, and forgets how they were written.
  let exact = parsed
  if (/\d[\d.]{15}/.test(json)) exact = JSON.parse(quoteNumbers(json))
  const row: Row = {}
  for (const name of COLUMNS) {
    const value = parsed[name]
    if (value !== undefined) row[name] = textOf(value, exact[name])
  }
  const form = formOf(kind, row)
  const own = json === line && (FIELDS[form] as readonly Field[]).every((field) => isOwn(field, parsed))
  if (!own && exact === parsed) {
    exact = JSON.parse(quoteNumbers(json))
    for (const name of Object.keys(row)) row[name] = textOf(parsed[name], exact[name])
  }
  const message = messageOf(kind, row, context)
  const asItStands =
    own && form !== 'level' && row.symbol !== undefined && parseTime(row.timestamp ?? '', context.zone).own
  // Whitespace around the ends of lines is outside of all text: text has none as they are.
  return asItStands ? { ...message, value: oneLine(line) } : message
}

const oneLine = (text: string) =>
  text
    .split('\n')
    .map((part) => part.trim())
    .join('')

/** Whether a field has its own name, or is not there at all, and a value that the ingest reads as it is. */
function isOwn({ name, from, rule }: Field, parsed: Record<string, unknown>): boolean {
  const value = parsed[name] ?? ''
  if (value === '') return from.every((column) => (parsed[column] ?? '') === '')
  return typeof value === 'number' || (typeof value === 'string' && rule.asText.test(value))
}

/** The text of a value; of a list of texts, as conditions may come, all of them in a row. */
function textOf(value: unknown, exact: unknown): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(exact)
  const isTexts = Array.isArray(value) && value.every((each) => typeof each === 'string')
  return isTexts ? value.join('') : JSON.stringify(value)
}

/** The names of the values of a line of JSON; none when it is no object. */
export function columnsOfLine(line: string): string[] {
  try {
    return Object.keys(parseObject(line).parsed)
  } catch (failure) {
    if (!(failure instanceof RangeError)) throw failure
    return []
  }
}

/** An object, and the JSON that it came from: the line, or what it is with Python's NaN and Infinity as text. */
function parseObject(line: string): { parsed: Record<string, unknown>; json: string } {
  for (const json of [line, quoteNaN(line)]) {
    let parsed: unknown
    try {
      parsed = JSON.parse(json)
    } catch {
      // SyntaxError: the parser's words name a position in the line, which helps less than the line's number.
      continue
    }
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
      throw new RangeError('not a JSON object')
    return { parsed: parsed as Record<string, unknown>, json }
  }
  throw new RangeError('not JSON')
}

const quoted = (token: string) => (token[0] === '"' ? token : `"${token}"`)

/** A line of valid JSON with its numbers as text, so that parsing keeps their digits. {"a":1.10,"b":"2"} → {"a":"1.10","b":"2"} */
function quoteNumbers(line: string): string {
  // Strings are passed over as a whole; outside of them, digits are in numbers alone.
  return line.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?\d[\d.eE+-]*/g, quoted)
}

/** {"a":NaN,"b":"NaN"} → {"a":"NaN","b":"NaN"}. A text without an end is passed over to the end of the line, else this is quadratic. */
function quoteNaN(line: string): string {
  return /NaN|Infinity/.test(line)
    ? line.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?(?:NaN|Infinity)/g, quoted)
    : line
}
