import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KafkaRecord } from '../../scripts/lib/kafka/records.mts'
import { isWanted, parseWhere } from '../../scripts/lib/messages/filter.mts'

const record = (value: string | Buffer | null, key: string | null = 'AAPL'): KafkaRecord => ({
  offset: 0,
  timestampMs: 0,
  key: key === null ? null : Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  headers: {},
})

const where = suite('parseWhere')

where('splits at the first "="', () => {
  assert.equal(parseWhere('symbol=AAPL'), { field: 'symbol', value: 'AAPL' })
  assert.equal(parseWhere('conditions='), { field: 'conditions', value: '' })
  assert.equal(parseWhere('a.b=c=d, e'), { field: 'a.b', value: 'c=d, e' })
})

for (const text of ['', '=', '=AAPL', 'symbol']) {
  where(`refuses "${text}"`, () => {
    assert.throws(
      () => parseWhere(text),
      (failure: unknown) => failure instanceof RangeError,
    )
  })
}

where.run()

const wanted = suite('isWanted')

const VALUE =
  '{"symbol":"AAPL","price":1.50,"size":0,"side":"1","none":null,"open":true,"list":[1, 2],"_metadata":{"producer_id":"x"},"a.b":"dot","\\u0074ext":"t"}'
const FIELDS: [string, boolean][] = [
  ['symbol=AAPL', true],
  ['symbol=aapl', false],
  ['symbol=', false],
  ['price=1.5', true],
  ['price=1.500', true],
  ['price=15e-1', true],
  ['price=1.6', false],
  ['size=0', true],
  ['size=', false],
  ['side=1', true],
  ['side=1.0', false],
  ['none=null', true],
  ['open=true', true],
  ['open=false', false],
  ['list=[1,2]', true],
  ['_metadata.producer_id=x', true],
  ['_metadata.other=x', false],
  ['_metadata={"producer_id":"x"}', true],
  ['a.b=dot', true],
  ['text=t', true],
  ['length=1', false],
  ['list.length=2', true],
  ['__proto__=x', false],
  ['missing=null', false],
]
for (const [text, expected] of FIELDS) {
  wanted(`${text} of a message: ${expected}`, () => {
    assert.is(isWanted(record(VALUE), { where: parseWhere(text) }), expected)
  })
}

wanted('matches no field of invalid JSON objects', () => {
  for (const value of [
    null,
    '',
    'symbol=AAPL',
    '"symbol"',
    '1',
    'null',
    '{"symbol":"AAPL"',
    Buffer.from([0xff, 0x73]),
  ]) {
    assert.is(isWanted(record(value), { where: parseWhere('symbol=AAPL') }), false)
  }
})

wanted('compares the whole key', () => {
  assert.is(isWanted(record('x'), { key: 'AAPL' }), true)
  assert.is(isWanted(record('x'), { key: 'AAP' }), false)
  assert.is(isWanted(record('x', null), { key: 'AAPL' }), false)
  assert.is(isWanted(record(VALUE), { key: 'AAPL', where: parseWhere('symbol=MSFT') }), false)
})

wanted.run()
