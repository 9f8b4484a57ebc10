import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatCount } from '../../scripts/lib/common/count.mts'

const format = suite('formatCount')

for (const [value, text] of [
  [0, '0'],
  [999, '999'],
  [1_000, '1,000'],
  [-1_234_567, '-1,234,567'],
  [1234.5678, '1,234.568'],
  [0.0004, '0'],
  [Number.MAX_SAFE_INTEGER, '9,007,199,254,740,991'],
] as const) {
  format(`formats ${value} as ${text}`, () => {
    assert.is(formatCount(value), text)
  })
}
format.run()
