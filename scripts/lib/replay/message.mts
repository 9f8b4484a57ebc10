/** Converts recorded rows to messages of the raw topics. */

import { parseTime, type Zone } from '../common/time.mts'
import { COLUMNS, FIELDS, type Field, type Form, type Kind, type Row, TOPICS } from './fields.mts'
import { formOf, kindOf } from './forms.mts'
import { NUMBER } from './rules.mts'

export interface Message {
  topic: string
  key: string
  value: string
  /** Time of the event in microseconds since 1970, for the pace. */
  timeUs: number
}

/** Defaults for rows. */
export interface Context {
  /** Symbol of rows without a symbol column. */
  symbol?: string | undefined
  /** Zone of times without an offset; UTC by default. */
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
 * Converts a row to a message. Numbers keep their digits as written.
 * @throws {RangeError} naming the first value that the ingest would reject
 */
export function messageOf(kind: Kind, row: Row, context: Context = {}): Message {
  const symbol = symbolOf(row, context)
  if ((row.timestamp ?? '') === '') throw new RangeError('timestamp: missing')
  const { us, json } = parseTime(row.timestamp as string, context.zone)
  const form = formOf(kind, row)
  let operation = ''
  let value = `{"symbol":${JSON.stringify(symbol)},"timestamp":${json}`
  for (const field of FIELDS[form] as readonly Field[]) {
    const { name, from, rule, isOptional } = field
    const column = from.find((each) => (row[each] ?? '') !== '')
    if (column === undefined) {
      if (isOptional(row, operation)) continue
      throw new RangeError(`${name}: missing`)
    }
    const coded = codedOf(field, column, row[column] as string)
    if (name === 'operation') operation = coded
    // ClickHouse reads a JSON number with a decimal point as a double, which preserves 15 digits; a string preserves all.
    const plain = rule.kind !== 'text' && NUMBER.test(coded) && !(rule.kind === 'decimal' && coded.length > 16)
    value += `,"${name}":${plain ? coded : JSON.stringify(coded)}`
  }
  if (form === 'level') value += levelUpdate(row)
  return { topic: topicOf(form), key: symbol, value: `${value}}`, timeUs: us }
}

/** Returns the message's value for the text of a column. @throws {RangeError} for a value that the ingest would reject */
function codedOf({ rule, codes }: Field, column: string, text: string): string {
  // Programs that write tables may turn 0 and 1 into 0.0 and 1.0.
  const normalized = rule.kind === 'word' && NUMBER.test(text) ? String(Number(text)) : text
  const known = codes?.[column]
  const coded = known ? lookup(known, normalized) : (lookup(rule.aliases, normalized.toLowerCase()) ?? normalized)
  if (coded === undefined || !rule.accepts(coded)) throw new RangeError(`${column}: "${text}"`)
  return coded
}

function lookup(values: Record<string, string> | undefined, name: string): string | undefined {
  return values && Object.hasOwn(values, name) ? values[name] : undefined
}

/**
 * The operation and order id of a line that sets a level: an update that replaces the entry at that level, whichever maker quoted it.
 * Order ids identify the entries of a book, so the level, counted from 1 because 0 means none, serves as the order id.
 */
const levelUpdate = (row: Row) => `,"operation":1,"order_id":${Number(row.level || row.depth_level) + 1}`

/**
 * Converts a JSON object to a message: unchanged if the ingest accepts it as it is, otherwise built from its columns.
 * @param line one object, on one or more lines
 * @throws {RangeError} with the reason why it is unusable
 */
export function messageOfLine(line: string, forced: Kind | undefined, context: Context = {}): Message {
  const { parsed, json } = parseObject(line)
  const kind = forced ?? kindOf(Object.keys(parsed))
  if (!kind) throw new RangeError('unknown message kind: expected trade_price, or bid_price or ask_price, or side')
  const { symbol } = parsed
  if (symbol !== undefined && symbol !== null && typeof symbol !== 'string')
    throw new RangeError(`symbol: ${JSON.stringify(symbol)}`)
  // JSON.parse returns doubles, which preserve 15 digits and not the notation.
  let exact = parsed
  if (/\d[\d.]{15}/.test(json)) exact = JSON.parse(quoteNumbers(json))
  const row: Row = {}
  for (const name of COLUMNS) {
    const value = parsed[name]
    if (value !== undefined) row[name] = textOf(value, exact[name])
  }
  const form = formOf(kind, row)
  const isCanonical = json === line && (FIELDS[form] as readonly Field[]).every((field) => isCanonicalIn(field, parsed))
  if (!isCanonical && exact === parsed) {
    exact = JSON.parse(quoteNumbers(json))
    for (const name of Object.keys(row)) row[name] = textOf(parsed[name], exact[name])
  }
  const message = messageOf(kind, row, context)
  const isUnchanged =
    isCanonical && form !== 'level' && row.symbol !== undefined && parseTime(row.timestamp ?? '', context.zone).own
  // JSON strings contain no line breaks, so trimming the lines does not change them.
  return isUnchanged ? { ...message, value: oneLine(line) } : message
}

const oneLine = (text: string) =>
  text
    .split('\n')
    .map((part) => part.trim())
    .join('')

/** Reports whether a field is missing, or has the message's name for it and a value that the ingest accepts as it is. */
function isCanonicalIn({ name, from, rule }: Field, parsed: Record<string, unknown>): boolean {
  const value = parsed[name] ?? ''
  if (value === '') return from.every((column) => (parsed[column] ?? '') === '')
  return typeof value === 'number' || (typeof value === 'string' && rule.asText.test(value))
}

/** Returns the text of a value. The strings of an array, which trade conditions may be, are concatenated. */
function textOf(value: unknown, exact: unknown): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(exact)
  const isTexts = Array.isArray(value) && value.every((each) => typeof each === 'string')
  return isTexts ? value.join('') : JSON.stringify(value)
}

/** Returns the keys of a JSON object, or none if the line is not one. */
export function columnsOfLine(line: string): string[] {
  try {
    return Object.keys(parseObject(line).parsed)
  } catch (failure) {
    if (!(failure instanceof RangeError)) throw failure
    return []
  }
}

/** Parses an object. Also returns its JSON: the line, with Python's NaN and Infinity as strings if it has any. */
function parseObject(line: string): { parsed: Record<string, unknown>; json: string } {
  for (const json of [line, quoteNaN(line)]) {
    let parsed: unknown
    try {
      parsed = JSON.parse(json)
    } catch {
      // SyntaxError: its message only gives a position in the line, which is less helpful than the line number.
      continue
    }
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
      throw new RangeError('not a JSON object')
    return { parsed: parsed as Record<string, unknown>, json }
  }
  throw new RangeError('not JSON')
}

const quoted = (token: string) => (token[0] === '"' ? token : `"${token}"`)

/** Quotes the numbers of valid JSON, so that parsing keeps their digits. {"a":1.10,"b":"2"} → {"a":"1.10","b":"2"} */
function quoteNumbers(line: string): string {
  // Matches strings as a whole; outside of strings, only numbers have digits.
  return line.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?\d[\d.eE+-]*/g, quoted)
}

/** {"a":NaN,"b":"NaN"} → {"a":"NaN","b":"NaN"}. An unterminated string matches to the end of the line, which avoids quadratic time. */
function quoteNaN(line: string): string {
  return /NaN|Infinity/.test(line)
    ? line.replace(/"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)|-?(?:NaN|Infinity)/g, quoted)
    : line
}
