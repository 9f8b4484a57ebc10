/**
 * LZ4 frames, for kafkajs, which brings no codec for them. Its usual packages compile native code, or write linked blocks, which Kafka
 * refuses. Frames as Kafka's own clients write them: independent blocks of 64 KB, no checksum but the header's.
 * @see https://github.com/lz4/lz4/blob/v1.10.0/doc/lz4_Frame_format.md and lz4_Block_format.md
 */

const BLOCK_BYTES = 65_536
/** Magic number; version 1, independent blocks; 64 KB; the header's checksum, which is always the same for these. */
const HEADER = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])
/** Set in the length of a block that is stored as it is. */
const STORED = 0x80000000

const MIN_MATCH = 4
/** The last match begins at least so many bytes before a block's end, and its last 5 bytes are literals. */
const LAST_MATCH_BYTES = 12
const LAST_LITERALS = 5
const HASH_BITS = 14

/** Where in the block a hash of four bytes was seen last, plus one. */
const seen = new Uint16Array(1 << HASH_BITS)

/** The frame that holds `input`. */
export function compress(input: Buffer): Buffer {
  const blocks: Buffer[] = [HEADER]
  for (let at = 0; at < input.length; at += BLOCK_BYTES) {
    const block = input.subarray(at, at + BLOCK_BYTES)
    const output = Buffer.allocUnsafe(4 + block.length)
    const length = compressBlock(block, output.subarray(4))
    if (length > 0) {
      output.writeUInt32LE(length)
      blocks.push(output.subarray(0, 4 + length))
    } else {
      output.writeUInt32LE((STORED | block.length) >>> 0)
      block.copy(output, 4)
      blocks.push(output)
    }
  }
  blocks.push(Buffer.alloc(4))
  return Buffer.concat(blocks)
}

/** Writes `input`, at most 64 KB, compressed to `output`; returns its length there, or 0 when it would not get smaller. */
function compressBlock(input: Buffer, output: Buffer): number {
  seen.fill(0)
  const limit = output.length
  const matchLimit = input.length - LAST_MATCH_BYTES
  let anchor = 0
  let at = 0
  let to = 0
  let misses = 0
  while (at < matchLimit) {
    const word = readWord(input, at)
    const hash = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
    const candidate = (seen[hash] as number) - 1
    seen[hash] = at + 1
    if (candidate < 0 || readWord(input, candidate) !== word) {
      // Where nothing repeats, look less often.
      at += 1 + (misses++ >> 6)
      continue
    }
    misses = 0
    let end = at + MIN_MATCH
    let from = candidate + MIN_MATCH
    while (end < input.length - LAST_LITERALS && input[end] === input[from]) {
      end++
      from++
    }
    const literals = at - anchor
    if (to + literals + (literals >> 7) + ((end - at) >> 7) + 16 > limit) return 0
    to = writeSequence(input, anchor, literals, output, to, end - at - MIN_MATCH)
    output[to++] = (at - candidate) & 0xff
    output[to++] = (at - candidate) >> 8
    to = writeLength(output, to, end - at - MIN_MATCH)
    at = end
    anchor = end
  }
  const literals = input.length - anchor
  if (to + literals + (literals >> 7) + 16 > limit) return 0
  return writeSequence(input, anchor, literals, output, to, 0)
}

/** Token, the lengths of the literals, and the literals. */
function writeSequence(
  input: Buffer,
  anchor: number,
  literals: number,
  output: Buffer,
  to: number,
  match: number,
): number {
  let end = to
  output[end++] = (Math.min(literals, 15) << 4) | Math.min(match, 15)
  end = writeLength(output, end, literals)
  input.copy(output, end, anchor, anchor + literals)
  return end + literals
}

/** What a length has beyond the 15 that its half of the token holds. */
function writeLength(output: Buffer, to: number, length: number): number {
  if (length < 15) return to
  let end = to
  let rest = length - 15
  for (; rest >= 255; rest -= 255) output[end++] = 255
  output[end++] = rest
  return end
}

function readWord(input: Buffer, at: number): number {
  return (
    (input[at] as number) |
    ((input[at + 1] as number) << 8) |
    ((input[at + 2] as number) << 16) |
    ((input[at + 3] as number) << 24)
  )
}

/**
 * What a frame holds. Checksums are skipped: Kafka has its own.
 * @throws {RangeError} for anything but one whole frame of independent or linked blocks
 */
export function decompress(frame: Buffer): Buffer {
  if (frame.length < HEADER.length || frame.readUInt32LE(0) !== HEADER.readUInt32LE(0)) {
    throw new RangeError('Cannot decompress: found no LZ4 frame')
  }
  const [flags, descriptor] = [frame[4] as number, frame[5] as number]
  const [blockChecksums, contentSize] = [(flags & 0x10) !== 0, (flags & 0x08) !== 0]
  const maxBlock = 1 << (8 + 2 * ((descriptor >> 4) & 7))
  let output = Buffer.allocUnsafe(Math.max(maxBlock, frame.length * 8))
  let to = 0
  let at = contentSize ? 15 : 7
  for (;;) {
    if (at + 4 > frame.length) throw new RangeError('Cannot decompress: found the end of the data within an LZ4 frame')
    const length = frame.readUInt32LE(at)
    at += 4
    if (length === 0) return output.subarray(0, to)
    if (output.length - to < maxBlock) output = Buffer.concat([output, Buffer.allocUnsafe(output.length)])
    const bytes = length & 0x7fffffff
    const block = frame.subarray(at, at + bytes)
    to = (length & STORED) !== 0 ? to + block.copy(output, to) : decompressBlock(block, output, to)
    at += bytes + (blockChecksums ? 4 : 0)
  }
}

/** Writes what `block` holds to `output` at `to`, where earlier blocks end, and returns the new end. */
function decompressBlock(block: Buffer, output: Buffer, to: number): number {
  let at = 0
  let end = to
  const extended = (length: number) => {
    let total = length
    if (length === 15) {
      let more: number
      do {
        more = block[at++] ?? 0
        total += more
      } while (more === 255)
    }
    return total
  }
  while (at < block.length) {
    const token = block[at++] as number
    const literals = extended(token >> 4)
    block.copy(output, end, at, at + literals)
    at += literals
    end += literals
    if (at >= block.length) break
    const distance = (block[at] as number) | ((block[at + 1] as number) << 8)
    at += 2
    const length = extended(token & 15) + MIN_MATCH
    if (distance === 0 || distance > end || end + length > output.length) {
      throw new RangeError('Cannot decompress: found a match beyond the data of an LZ4 block')
    }
    if (distance >= length) output.copyWithin(end, end - distance, end - distance + length)
    else for (let index = 0; index < length; index++) output[end + index] = output[end + index - distance] as number
    end += length
  }
  return end
}
