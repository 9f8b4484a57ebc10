/** Record batches as bytes. test/stack/messages.test.mts reads those of a real broker. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { inner } from '../../scripts/lib/kafka/options.mts'
import { readBatches } from '../../scripts/lib/kafka/records.mts'

const encodeRecord = inner('kafkajs/src/protocol/recordBatch/record/v0/index.js')
const { RecordBatch } = inner('kafkajs/src/protocol/recordBatch/v0/index.js')

interface Shape {
  first: number
  /** By offset relative to the first record. */
  values: Record<number, string>
  lastDelta: number
}

async function batchOf({ first, values, lastDelta }: Shape): Promise<Buffer> {
  const records = Object.entries(values).map(([delta, value]) =>
    encodeRecord({ offsetDelta: Number(delta), timestampDelta: Number(delta), key: null, value, headers: {} }),
  )
  const { buffer } = await RecordBatch({
    firstOffset: first,
    firstTimestamp: 1_000,
    lastOffsetDelta: lastDelta,
    records,
  })
  return buffer
}

async function read(...parts: Buffer[]) {
  const batches: { nextOffset: number; records: unknown[] }[] = []
  for await (const { nextOffset, records } of readBatches(Buffer.concat(parts))) {
    batches.push({
      nextOffset,
      records: records.map(({ offset, timestampMs, value }) => [offset, timestampMs, value?.toString()]),
    })
  }
  return batches
}

const batches = suite('readBatches')

const whole = await batchOf({ first: 5, values: { 0: 'a', 1: 'b' }, lastDelta: 1 })

batches('returns records with their offsets and times', async () => {
  assert.equal(await read(whole), [
    {
      nextOffset: 7,
      records: [
        [5, 1_000, 'a'],
        [6, 1_001, 'b'],
      ],
    },
  ])
  assert.equal(await read(), [])
})

batches('continues after gaps from compaction', async () => {
  const gaps = await batchOf({ first: 7, values: { 1: 'c' }, lastDelta: 4 })
  const nothing = await batchOf({ first: 20, values: {}, lastDelta: 9 })
  assert.equal((await read(whole, gaps, nothing)).slice(1), [
    { nextOffset: 12, records: [[8, 1_001, 'c']] },
    { nextOffset: 30, records: [] },
  ])
})

batches('leaves out a truncated one', async () => {
  for (const length of [1, 12, 60, whole.length - 1]) {
    assert.is((await read(whole, whole.subarray(0, length))).length, 1, `${length} bytes`)
  }
})

/** Returns the batch with one byte changed. */
const changed = (at: number, byte: number) => {
  const bytes = Buffer.from(whole)
  bytes[at] = byte
  return bytes
}

batches('treats a control batch as one without records', async () => {
  assert.equal(await read(changed(22, 0x20)), [{ nextOffset: 7, records: [] }])
})

batches('refuses what it cannot decode', async () => {
  const refused = async (bytes: Buffer) => {
    try {
      await read(bytes)
    } catch (failure) {
      return failure instanceof Error ? failure.message : failure
    }
    return 'read'
  }
  assert.is(await refused(changed(16, 1)), 'the batch at offset 5 has a format older than Kafka 0.11')
  assert.is(await refused(changed(22, 6)), 'the batch at offset 5 has the unknown codec 6')
  // Bytes that the codec cannot decode.
  for (const codec of [1, 2, 3, 4]) {
    assert.is(await refused(changed(22, codec)), 'the batch at offset 5 cannot be decoded', `codec ${codec}`)
  }
})

batches.run()
