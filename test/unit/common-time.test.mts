import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTime, zoneOf } from '../../scripts/lib/common/time.mts'

const time = suite('parseTime')

time('reads ISO with and without offset (UTC without), and seconds since 1970', () => {
  const expected = 1_795_428_000_000_001
  for (const text of [
    '2026-11-23T10:00:00.000001',
    '2026-11-23 10:00:00.000001Z',
    '2026-11-23T05:00:00.000001-05:00',
    '2026-11-23T15:30:00.000001+0530',
    '1795428000.000001',
  ])
    assert.is(parseTime(text).us, expected, text)
  assert.is(parseTime('2026-11-23').us, 1_795_392_000_000_000)
  for (const text of [
    '',
    'now',
    '12',
    '10:00:00.123456',
    'Nov 23 10:00:00',
    '11/12/2026',
    '17954280001',
    '179542800012345678901',
    '1795428000.',
  ])
    assert.throws(() => parseTime(text), /timestamp: /)
})

time('refuses times that the tables cannot store, and days and minutes that do not exist', () => {
  assert.is(parseTime('2106-02-06T23:59:59').us, 4_294_943_999_000_000)
  assert.is(parseTime('4294943999.999999').us, 4_294_943_999_999_999)
  assert.is(parseTime('2024-02-29').us, 1_709_164_800_000_000)
  for (const text of [
    '1970-01-01T23:59:59',
    '2106-02-07',
    '4294944000',
    '2026-02-30',
    '2026-02-29T10:00:00',
    '0000-11-23',
    '2026-00-10',
    '2026-13-01T00:00:00',
    '2026-11-00',
    '2026-11-23T24:00:00',
    '2026-11-23T10:61:00',
    '2026-11-23T10:00:60',
    '2026-11-23T10:00+24:00',
    '2026-11-23T10:00+05:60',
  ])
    assert.throws(() => parseTime(text), /timestamp: /)
})

time('accepts ISO 8601 only, with nothing around it', () => {
  for (const text of [
    '2026-11-23t10:00:00',
    '2026-11-23T10',
    '2026-11-23T10:00.5',
    '2026-11-23T10:00:00\t',
    '2026-11-23T10:00:00 ',
    ' 2026-11-23T10:00:00',
    '2026-11-23T10:00:00\tZ',
    '2026-11-23T10:00:00  +05:30',
  ])
    assert.throws(() => parseTime(text), /timestamp: /)
})
time('distinguishes milliseconds, microseconds and nanoseconds by their digits, and returns exact seconds', () => {
  for (const [text, us, json] of [
    ['1795428000123', 1_795_428_000_123_000, '"1795428000.123"'],
    ['1795428000123.5', 1_795_428_000_123_500, '"1795428000.1235"'],
    ['1795428000123456', 1_795_428_000_123_456, '"1795428000.123456"'],
    ['1795428000123456789', 1_795_428_000_123_457, '"1795428000.123456789"'],
    ['978307200000', 978_307_200_000_000, '"978307200.000"'],
  ] as const)
    assert.equal(parseTime(text), { us, json, own: false })
  assert.equal(parseTime('1795428000.5'), { us: 1_795_428_000_500_000, json: '1795428000.5', own: true })
})

time('reads a time without offset in the zone, summer or winter, and leaves others unchanged', () => {
  const zone = zoneOf('America/New_York')
  for (const [text, json] of [
    ['2026-11-25 10:00:00.123456', '"2026-11-25T15:00:00.123456Z"'],
    ['2025-07-28T09:30:00', '"2025-07-28T13:30:00Z"'],
    ['2025-07-28T09:30', '"2025-07-28T13:30:00Z"'],
    ['2025-07-28 23:30:00.5', '"2025-07-29T03:30:00.5Z"'],
    ['2026-03-08T01:59:59', '"2026-03-08T06:59:59Z"'],
    ['2026-03-08T03:00:00', '"2026-03-08T07:00:00Z"'],
    ['2026-11-01T00:59:59', '"2026-11-01T04:59:59Z"'],
    // Occurs twice in this night. The first one, in daylight saving time, is used.
    ['2026-11-01T01:30:00', '"2026-11-01T05:30:00Z"'],
    ['2026-11-01T02:00:00', '"2026-11-01T07:00:00Z"'],
  ] as const) {
    const { json: sent, us } = parseTime(text, zone)
    assert.is(sent, json, text)
    assert.is(us, parseTime(JSON.parse(json)).us)
  }
  for (const text of ['2026-11-25T10:00:00Z', '2026-11-25T10:00:00-03:00', '1795428000.5', '1795428000123'])
    assert.equal(parseTime(text, zone), parseTime(text))
  assert.throws(
    () => parseTime('2026-03-08T02:30:00', zone),
    /^timestamp: "2026-03-08T02:30:00" does not exist in America/,
  )
  assert.is(parseTime('2026-11-25T10:00', zoneOf('Asia/Kolkata')).json, '"2026-11-25T04:30:00Z"')
  assert.throws(() => zoneOf('Nowhere/At_All'), RangeError)
})
time.run()
