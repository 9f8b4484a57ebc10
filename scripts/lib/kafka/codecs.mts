/** Decompression of the record batch codecs that kafkajs lacks: snappy, lz4 and zstd. Each is loaded when a batch needs it. */
import { inner } from './options.mts'

type Decompress = (bytes: Buffer) => Promise<Uint8Array>

/** Maximum bytes of an uncompressed block, far above what a broker accepts for a batch (message.max.bytes, 1 MiB by default). */
const MAX_BYTES = 256 * 1024 * 1024

/** The magic bytes of the framing that Java clients and brokers put around snappy blocks; librdkafka sends one unframed block. */
const SNAPPY_FRAME = Buffer.from('\x82SNAPPY\0', 'latin1')
const SNAPPY_FRAME_HEADER_BYTES = 16

/** @see org.xerial.snappy.SnappyInputStream: a 16-byte header, then blocks, each preceded by its length (int32) */
const snappy: Decompress = async (bytes) => {
  const { snappyUncompress } = await import('hyparquet/src/snappy.js')
  const block = (input: Buffer) => {
    const output = Buffer.alloc(uncompressedBytes(input))
    snappyUncompress(input, output)
    return output
  }
  if (!bytes.subarray(0, SNAPPY_FRAME.length).equals(SNAPPY_FRAME)) return block(bytes)
  const blocks: Buffer[] = []
  for (let at = SNAPPY_FRAME_HEADER_BYTES; at < bytes.length; ) {
    const end = at + 4 + bytes.readInt32BE(at)
    blocks.push(block(bytes.subarray(at + 4, end)))
    at = end
  }
  return Buffer.concat(blocks)
}

/** Returns the uncompressed length, stored as a varint at the start of a snappy block. */
function uncompressedBytes(block: Buffer): number {
  let length = 0
  for (let at = 0; at < 5; at++) {
    const byte = block[at] ?? 0
    length += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80) break
  }
  if (length > MAX_BYTES) throw new RangeError(`a snappy block of ${length} bytes`)
  return length
}

const lz4: Decompress = async (bytes) => (await import('lz4-napi')).decompressFrame(bytes)

const zstd: Decompress = async (bytes) => (await import('fzstd')).decompress(bytes)

/** By codec number in the batch attributes. 0 means uncompressed; kafkajs itself supports 1, gzip. */
const CODECS: Record<number, Decompress> = { 2: snappy, 3: lz4, 4: zstd }

/** Registers these codecs with kafkajs, which can then read all that Kafka supports. */
export function registerCodecs(): void {
  const { Codecs } = inner('kafkajs/src/protocol/message/compression/index.js')
  for (const [number, read] of Object.entries(CODECS)) {
    const decompress = async (bytes: Buffer) => {
      const { buffer, byteOffset, byteLength } = await read(bytes)
      return Buffer.from(buffer, byteOffset, byteLength)
    }
    Codecs[number] = () => ({ decompress })
  }
}
