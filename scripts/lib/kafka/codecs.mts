/** The codecs of record batches that kafkajs does not bring: snappy, lz4 and zstd, to read. Each is loaded when a batch needs it. */
import { inner } from './options.mts'

type Decompress = (bytes: Buffer) => Promise<Uint8Array>

/** Bytes of one batch; a broker takes none that comes near (message.max.bytes, 1 MiB by default). */
const MAX_BYTES = 256 * 1024 * 1024

/** The first bytes of the frames that Java's clients and brokers put around snappy's blocks; librdkafka sends one block alone. */
const SNAPPY_FRAME = Buffer.from('\x82SNAPPY\0', 'latin1')
const SNAPPY_FRAME_HEADER_BYTES = 16

/** @see org.xerial.snappy.SnappyInputStream: after 16 bytes, blocks with their length (int32) before them */
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

/** The length that a block of snappy begins with, seven bits a byte. */
function uncompressedBytes(block: Buffer): number {
  let length = 0
  for (let at = 0; at < 5; at++) {
    const byte = block[at] ?? 0
    length += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80) break
  }
  if (length > MAX_BYTES) throw new RangeError(`a block of ${length} bytes`)
  return length
}

const lz4: Decompress = async (bytes) => (await import('lz4-napi')).decompressFrame(bytes)

const zstd: Decompress = async (bytes) => (await import('fzstd')).decompress(bytes)

/** By the number that a batch's attributes name them with; 0 is none, and kafkajs has gzip. */
const CODECS: Record<number, Decompress> = { 2: snappy, 3: lz4, 4: zstd }

/** Makes kafkajs read all codecs that Kafka has. */
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
