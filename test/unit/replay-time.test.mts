import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTime } from '../../scripts/lib/replay/message.mts'

const time = suite('parseTime')

time('ISO with and without offset, UTC without, seconds since 1970', () => {
  const expected = 1_795_428_000_000_001
  for (const text of [
    '2026-11-23T10:00:00.000001',
    '2026-11-23 10:00:00.000001Z',
    '2026-11-23T05:00:00.000001-05:00',
    '2026-11-23T15:30:00.000001+0530',
    '1795428000.000001',
  ])
    assert.is(parseTime(text), expected, text)
  assert.is(parseTime('2026-11-23'), 1_795_392_000_000_000)
  for (const text of [
    '',
    'now',
    '12',
    '10:00:00.123456',
    'Nov 23 10:00:00',
    '11/12/2026',
    '1795428000123',
    '1795428000.',
  ])
    assert.throws(() => parseTime(text), /timestamp: /)
})

time('times that the tables cannot hold, and days and minutes that nobody has, are none', () => {
  assert.is(parseTime('2106-02-06T23:59:59'), 4_294_943_999_000_000)
  assert.is(parseTime('4294943999.999999'), 4_294_943_999_999_999)
  assert.is(parseTime('2024-02-29'), 1_709_164_800_000_000)
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

time('times are written as ISO 8601 has it, and nothing is around them', () => {
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
time.run()
