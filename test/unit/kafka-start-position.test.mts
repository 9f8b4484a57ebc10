import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseStart, type Start } from '../../scripts/lib/kafka/start-position.mts'

const NOW_MS = Date.UTC(2026, 10, 23, 14, 30)
const time = (timeMs: number): Start => ({ kind: 'time', timeMs })

const start = suite('parseStart')

const GOOD: [string, Start][] = [
  ['earliest', { kind: 'earliest' }],
  ['latest', { kind: 'latest' }],
  ['0', { kind: 'offset', offset: 0 }],
  ['42', { kind: 'offset', offset: 42 }],
  ['1795915106137', { kind: 'offset', offset: 1_795_915_106_137 }],
  ['-90s', time(NOW_MS - 90_000)],
  ['-5m', time(NOW_MS - 300_000)],
  ['-1h', time(NOW_MS - 3_600_000)],
  ['-1.5h', time(NOW_MS - 5_400_000)],
  ['-2d', time(NOW_MS - 172_800_000)],
  ['-99999d', time(0)],
  ['2026-11-23', time(Date.UTC(2026, 10, 23))],
  ['2026-11-23T14:30', time(NOW_MS)],
  ['2026-11-23 14:30:00.5', time(NOW_MS + 500)],
  ['2026-11-23T09:30-05:00', time(NOW_MS)],
  ['2026-11-23T14:30:00.123456Z', time(NOW_MS + 123)],
  ['1795444200.25', time(NOW_MS + 250)],
]
for (const [text, expected] of GOOD) {
  start(`reads ${text}`, () => assert.equal(parseStart(text, NOW_MS), expected))
}

const BAD = [
  '',
  ' ',
  'first',
  'Earliest',
  '-5',
  '-5 m',
  '5m',
  '+5m',
  '-m',
  '-5w',
  '--5m',
  '-1',
  '1.5',
  '0x10',
  '99999999999999999999',
  '2026-02-30',
  '2026-11-23T25:00',
  '14:30',
  'now',
]
for (const text of BAD) {
  start(`refuses "${text}"`, () => {
    assert.throws(
      () => parseStart(text, NOW_MS),
      (failure: unknown) => failure instanceof RangeError && failure.message.includes(`"${text}"`),
    )
  })
}

start.run()
