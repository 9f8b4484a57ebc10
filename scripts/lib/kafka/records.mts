/** Decodes records from the bytes that a broker stores and sends. */
import { registerCodecs } from './codecs.mts'
import { inner } from './options.mts'

/** A header that occurs more than once has a list of values. */
export type Headers = Record<string, Buffer | null | (Buffer | null)[]>

export interface KafkaRecord {
  offset: number
  /** Milliseconds since 1970; undefined for a record without a timestamp. */
  timestampMs: number | undefined
  key: Buffer | null
  /** null marks the key as deleted (a tombstone). */
  value: Buffer | null
  headers: Headers
}

export interface RecordBatch {
  /** The lowest offset at which the next batch can start. */
  nextOffset: number
  /** Empty for a control batch, which ends a transaction, and for a batch that compaction has emptied. */
  records: KafkaRecord[]
}

/** Byte positions in a batch. @see https://kafka.apache.org/documentation/#recordbatch (3.9) */
const AT = { length: 8, magic: 16, attributes: 21, lastOffsetDelta: 23 }
/** Bytes that `length` does not count, and bytes of a batch without records. */
const [PREFIX_BYTES, HEADER_BYTES] = [12, 61]
const MAGIC = 2
const [CODEC_MASK, CONTROL, MAX_CODEC] = [0x07, 0x20, 4]

/** A record as decoded by kafkajs. */
interface Decoded {
  offset: string
  timestamp: string
  key: Buffer | null
  value: Buffer | null
  headers: Headers
}

let isReady = false

/**
 * Decodes the complete batches in `bytes` one at a time; a truncated batch at the end is left out.
 * @throws {Error} for a batch that cannot be decoded: in a format older than Kafka 0.11, with an unknown codec, or corrupt
 */
export async function* readBatches(bytes: Buffer): AsyncGenerator<RecordBatch> {
  const Decoder: new (bytes: Buffer) => object = inner('kafkajs/src/protocol/decoder.js')
  const decode: (from: object) => Promise<{ records: Decoded[] }> = inner(
    'kafkajs/src/protocol/recordBatch/v0/decoder.js',
  )
  if (!isReady) registerCodecs()
  isReady = true
  for (let at = 0; at + PREFIX_BYTES <= bytes.length; ) {
    const baseOffset = Number(bytes.readBigInt64BE(at))
    const end = at + PREFIX_BYTES + bytes.readInt32BE(at + AT.length)
    if (end > bytes.length) return
    const batch = bytes.subarray(at, end)
    at = end
    const broken = (why: string, cause?: unknown) => new Error(`the batch at offset ${baseOffset} ${why}`, { cause })
    if (batch.length < HEADER_BYTES || batch.readInt8(AT.magic) !== MAGIC)
      throw broken('has a format older than Kafka 0.11')
    const attributes = batch.readInt16BE(AT.attributes)
    const nextOffset = baseOffset + batch.readInt32BE(AT.lastOffsetDelta) + 1
    if ((attributes & CODEC_MASK) > MAX_CODEC) throw broken(`has the unknown codec ${attributes & CODEC_MASK}`)
    if ((attributes & CONTROL) > 0) {
      yield { nextOffset, records: [] }
      continue
    }
    const { records } = await decode(new Decoder(batch)).catch((failure: unknown) => {
      throw broken('cannot be decoded', failure)
    })
    yield { nextOffset, records: records.map(recordOf) }
  }
}

function recordOf({ offset, timestamp, key, value, headers }: Decoded): KafkaRecord {
  const timestampMs = Number(timestamp) < 0 ? undefined : Number(timestamp)
  return { offset: Number(offset), timestampMs, key, value, headers }
}
