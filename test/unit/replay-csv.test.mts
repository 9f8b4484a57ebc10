import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCsvLine } from '../../scripts/lib/replay/csv.mts'

const csv = suite('parseCsvLine')

csv('reads quotes, commas and quotes within them, and empty values', () => {
  assert.equal(parseCsvLine('a,,"b,c","d ""e""",'), ['a', '', 'b,c', 'd "e"', ''])
  for (const line of ['a,"b', 'a,"b"c', 'a,b"c"']) assert.throws(() => parseCsvLine(line), /a quote that does not/)
})
csv.run()
