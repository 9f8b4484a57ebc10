import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTime } from '../../scripts/lib/common/time.mts'
import { parseCsvLine } from '../../scripts/lib/replay/csv.mts'
import { messageOfLine } from '../../scripts/lib/replay/message.mts'
import { holds, textOf } from '../support/property.mts'

/** Returns the result of `read`, or undefined if it rejects the input correctly. */
function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    assert.instance(error, RangeError)
    assert.not.match((error as Error).message, /call stack|Invalid/)
    return undefined
  }
}

const csv = suite('CSV')

csv('returns the values that were written', () => {
  const value = fc.tuple(fc.oneof(fc.string(), textOf(['"', ',', ' ', 'a'], 5)), fc.boolean())
  const written = ([text, quoted]: [string, boolean]) =>
    quoted || /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  holds(
    fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), (values) => {
      assert.equal(
        parseCsvLine(values.map(written).join(',')),
        values.map(([text]) => text),
      )
    }),
  )
})

csv('from any text yields values that parse the same again, or is refused', () => {
  holds(
    fc.property(textOf(['"', '"', ',', 'a', ' '], 12), (line) => {
      const values = unlessRefused(() => parseCsvLine(line))
      if (values) assert.equal(parseCsvLine(values.map((text) => `"${text.replaceAll('"', '""')}"`).join(',')), values)
    }),
    3000,
  )
})
csv.run()

const times = suite('message times')
const FIRST = Date.UTC(1970, 0, 2)
const LAST = Date.UTC(2106, 1, 7) - 1

times('are microseconds since 1970, in every form and with every offset', () => {
  const forms = fc.record({
    ms: fc.integer({ min: FIRST, max: LAST }),
    micros: fc.nat(999),
    separator: fc.constantFrom('T', ' '),
    offsetMinutes: fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }),
    colon: fc.constantFrom(':', ''),
  })
  const two = (number: number) => String(number).padStart(2, '0')
  holds(
    fc.property(forms, ({ ms, micros, separator, offsetMinutes, colon }) => {
      const local = ms + offsetMinutes * 60_000
      fc.pre(local >= 0)
      const minutes = Math.abs(offsetMinutes)
      const zone = `${offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}${colon}${two(minutes % 60)}`
      const [day = '', time = ''] = new Date(local).toISOString().slice(0, -1).split('T')
      const expected = ms * 1000 + micros
      assert.is(parseTime(`${day}${separator}${time}${String(micros).padStart(3, '0')}${zone}`).us, expected)
      const utc = new Date(ms).toISOString().slice(0, -1)
      assert.is(parseTime(`${utc}${String(micros).padStart(3, '0')}`).us, expected)
      assert.is(parseTime(`${utc.slice(0, 19)}Z`).us, Math.floor(ms / 1000) * 1_000_000)
    }),
    2000,
  )
})

times('from any text are in range or refused', () => {
  const pieces = [
    '19',
    '20',
    '70',
    '26',
    '02',
    '30',
    '11',
    '-',
    ':',
    'T',
    ' ',
    '.',
    '0',
    '9',
    '5',
    'Z',
    '+',
    '1795428000',
    'e5',
  ]
  const sound = '2026-11-23T10:00:00.000001+01:00'
  const mutated = fc
    .tuple(fc.nat(sound.length), fc.nat(4), textOf(pieces, 2))
    .map(([at, length, text]) => sound.slice(0, at) + text + sound.slice(at + length))
  holds(
    fc.property(fc.oneof(textOf(pieces, 14), mutated), (text) => {
      const timeUs = unlessRefused(() => parseTime(text))?.us
      if (timeUs !== undefined)
        assert.ok(Number.isSafeInteger(timeUs) && timeUs >= FIRST * 1000 && timeUs <= LAST * 1000 + 999, text)
    }),
    5000,
  )
})

times('on days that do not exist are refused', () => {
  holds(
    fc.property(
      fc.integer({ min: 1971, max: 2105 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 29, max: 31 }),
      (year, month, day) => {
        const there = new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day
        const text = `${year}-${String(month).padStart(2, '0')}-${day}`
        assert.is(unlessRefused(() => parseTime(text)) !== undefined, there, text)
      },
    ),
  )
})
times.run()

const lines = suite('lines of JSON')

lines('become a message with their own digits, or are refused', () => {
  const decimal = fc
    .tuple(fc.nat(99_999), fc.nat(99_999_999))
    .map(([whole, part]) => `${whole}.${String(part).padStart(8, '0')}`)
  const symbol = fc.string({ minLength: 1 }).filter((text) => text === text.trim())
  holds(
    fc.property(decimal, fc.nat(), symbol, fc.string(), (price, size, symbol, text) => {
      const rest = `"symbol":${JSON.stringify(symbol)},"timestamp":"2026-11-23T10:00:00","conditions":${JSON.stringify(text)}`
      const message = messageOfLine(`{"price":${price},"size":${size},${rest}}`, undefined)
      assert.equal([message.key, message.topic], [symbol, 'iqfeed.trades.raw'])
      const value = JSON.parse(message.value)
      assert.equal([value.symbol, value.trade_size, value.trade_conditions ?? ''], [symbol, size, text])
      assert.match(message.value, new RegExp(`"trade_price":"?${price.replace('.', '\\.')}"?[,}]`))
    }),
  )
})

lines('from any JSON become a message of valid JSON, or are refused', () => {
  const key = fc.constantFrom(
    'symbol',
    'timestamp',
    'price',
    'size',
    'bid',
    'ask_price',
    'side',
    'operation',
    'level',
    '__proto__',
    'message_type',
  )
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom<unknown>('A', '2026-11-23', 1_795_428_000, 1, '1', 'bid', 0, '1e400', 1e-7),
  )
  const line = fc.oneof(
    fc.json(),
    fc
      .array(fc.tuple(key, value), { maxLength: 8 })
      .map((pairs) => `{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`),
    textOf(['{', '}', '"', ':', ',', '1', '\\', '[', ']'], 10),
  )
  holds(
    fc.property(line, fc.constantFrom(undefined, 'trades', 'quotes', 'l2'), (line, kind) => {
      const message = unlessRefused(() => messageOfLine(line, kind))
      if (message) assert.type(JSON.parse(message.value), 'object')
    }),
    3000,
  )
})
lines.run()
