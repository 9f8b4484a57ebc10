/** Formats messages for people and for programs. */
import { isUtf8 } from 'node:buffer'
import type { Paint } from '../common/findings.mts'
import { formatTime } from '../kafka/offsets.mts'
import type { Headers } from '../kafka/records.mts'
import type { Message } from './reader.mts'

/** Column widths: the digits of the largest partition and offset. */
export interface Columns {
  partition: number
  offset: number
  /** Columns of the terminal; undefined for no limit. */
  width: number | undefined
}

/** Minimum columns of a key; most symbols fit. */
const KEY_COLUMNS = 6
/** Maximum bytes shown of a value that is not text. */
const SHOWN_BYTES = 64

/** Characters that control a terminal or change how text is displayed: controls, direction marks and other invisible characters, line ends. */
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
/** Characters that take two columns (approximate). */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u

/** Returns the text with control characters escaped: `\n`, `\u001b`. */
export const escapeControls = (text: string): string =>
  text.replace(CONTROLS, (character) => {
    const named = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character]
    return (
      named ?? [...character].map((each) => `\\u${(each.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`).join('')
    )
  })

/** Returns bytes as text, or as hexadecimal digits if they are not UTF-8. */
export function printable(bytes: Buffer | null): string {
  if (bytes === null) return 'null'
  if (isUtf8(bytes)) return escapeControls(bytes.toString())
  const more = bytes.length > SHOWN_BYTES ? '…' : ''
  return `0x${bytes.toString('hex', 0, SHOWN_BYTES)}${more} (${bytes.length} bytes)`
}

/** Truncates text to the given number of columns, including the "…" that marks the cut. */
export function cut(text: string, columns: number): string {
  if (columns === Number.POSITIVE_INFINITY) return text
  let taken = 0
  let at = 0
  let fits = 0
  for (const character of text) {
    taken += WIDE.test(character) ? 2 : 1
    if (taken > columns) return columns > 0 ? `${text.slice(0, fits)}…` : ''
    at += character.length
    if (taken < columns) fits = at
  }
  return text
}

/** Matches the tokens of JSON, also of truncated JSON. */
const TOKENS = /("(?:[^"\\]|\\.)*"?)(\s*:)?|(-?\b\d[\d.eE+-]*)|\b(true|false|null)\b/g
const paintJson = (text: string, paint: Paint): string =>
  text.replace(TOKENS, (token, string?: string, colon?: string, number?: string) => {
    if (string !== undefined) return colon === undefined ? paint('green', string) : paint('dim', string) + colon
    return paint(number === undefined ? 'red' : 'yellow', token)
  })

/** Returns a line for a terminal: time, partition and offset, key, value. */
export function renderMessage(
  { timestampMs, partition, offset, key, value }: Message,
  columns: Columns,
  paint: Paint,
): string {
  const time = timestampMs === undefined ? 'no time'.padEnd(24) : formatTime(timestampMs)
  const position = `${String(partition).padStart(columns.partition)}/${String(offset).padEnd(columns.offset)}`
  const name = (key === null ? '-' : printable(key)).padEnd(KEY_COLUMNS)
  const before = `${time}  ${position}  `
  const left = (columns.width ?? Number.POSITIVE_INFINITY) - before.length
  const shownName = cut(name, Math.max(KEY_COLUMNS, Math.floor(left / 3)))
  const text = cut(printable(value), left - shownName.length - 2)
  const shown = /^\s*[[{"]/.test(text) ? paintJson(text, paint) : value === null ? paint('dim', text) : text
  return `${paint('dim', before)}${paint('bold', shownName)}  ${shown}`.trimEnd()
}

/** Text, or `base64` of bytes that are not UTF-8. */
type JsonBytes = string | { base64: string } | null

const jsonBytes = (bytes: Buffer | null): JsonBytes =>
  bytes === null ? null : isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') }

/** Returns a line of JSON for programs. The value stays text even if it is JSON, so that its numbers keep all digits. */
export function messageJson({ topic, partition, offset, timestampMs, key, value, headers }: Message): string {
  const values = (found: Headers[string]) => (Array.isArray(found) ? found.map(jsonBytes) : jsonBytes(found))
  const shown = Object.fromEntries(Object.entries(headers).map(([name, found]) => [name, values(found)]))
  const time = timestampMs === undefined ? null : formatTime(timestampMs)
  return JSON.stringify({
    topic,
    partition,
    offset,
    time,
    timestampMs: timestampMs ?? null,
    key: jsonBytes(key),
    value: jsonBytes(value),
    headers: shown,
  })
}
