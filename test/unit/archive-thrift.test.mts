import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readStruct, type Struct, type Value, writeStruct } from '../../scripts/lib/archive/thrift.mts'

const [TRUE, FALSE, BYTE, I32, I64, BINARY, LIST, STRUCT] = [1, 2, 3, 5, 6, 8, 9, 12]
const thrift = suite('thrift')

thrift('reads the bytes of the specification', () => {
  // Field 1: i32 150 (zigzag 300). Field 2: true. Field 20, written with its number: the text "PAR1". Field 21: a list of 16 bytes.
  const bytes = Buffer.from([
    0x15,
    0xac,
    0x02,
    0x11,
    0x08,
    40,
    4,
    0x50,
    0x41,
    0x52,
    0x31,
    0x19,
    0xf3,
    16,
    ...Array(16).keys(),
    0,
  ])
  const struct = readStruct(bytes)
  assert.equal(
    [...struct],
    [
      [1, { type: I32, value: 150n }],
      [2, { type: TRUE, value: true }],
      [20, { type: BINARY, value: Buffer.from('PAR1') }],
      [21, { type: LIST, value: { type: BYTE, items: [...Array(16).keys()].map(BigInt) } }],
    ],
  )
  assert.equal(writeStruct(struct), bytes)
})

interface Field {
  type: number
  value: Value
}
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const leaf: fc.Arbitrary<Field> = fc.oneof(
  int64.map((value) => ({ type: I64, value })),
  fc.boolean().map((value) => ({ type: value ? TRUE : FALSE, value })),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => ({ type: BINARY, value: Buffer.from(bytes) })),
  fc.array(int64, { maxLength: 40 }).map((items) => ({ type: LIST, value: { type: I64, items } })),
)
const fieldsOf = (field: fc.Arbitrary<Field>): fc.Arbitrary<Struct> =>
  fc
    .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 60 }), field), { selector: ([id]) => id, maxLength: 8 })
    .map((fields) => new Map(fields.sort(([a], [b]) => a - b)))
const struct = fieldsOf(
  fc.oneof(
    leaf,
    fieldsOf(leaf).map((value) => ({ type: STRUCT, value })),
  ),
)

thrift('reads what it writes', () => {
  fc.assert(fc.property(struct, (value) => assert.equal(readStruct(writeStruct(value)), value)))
})

thrift('rejects other bytes, and hangs on none', () => {
  for (const bytes of [[], [0x15], [0x15, 0x80], [0x18, 0x7f, 0], [0x19, 0xf3, 0xff, 0xff, 0x7f], [0x1b, 0], [0x1d, 0]])
    assert.throws(
      () => readStruct(Buffer.from(bytes)),
      (failure: unknown) => failure instanceof SyntaxError,
      bytes.join(' '),
    )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        readStruct(Buffer.from(bytes))
      } catch (failure) {
        assert.instance(failure, SyntaxError)
      }
    }),
  )
})

thrift.run()
