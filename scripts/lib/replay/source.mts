/** The text of a recording: a file, a pipe or standard input, unpacked when it is compressed. */
import { createReadStream, statSync } from 'node:fs'
import { pipeline, Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import * as zlib from 'node:zlib'
import { unreadable } from './recording.mts'

export interface Source {
  /** Pieces of text, without a byte order mark. @throws {OpsError} exit code 2, when it cannot be read or unpacked */
  text: AsyncGenerator<string>
  /** How much of it is read, from 0 to 1; of what has no known length, 0. */
  fraction: () => number
}

type Chunks = AsyncIterable<Uint8Array>

/** The name of standard input. */
export const STDIN = '-'

const READ_BYTES = 1024 * 1024
/** What gzip and zstd begin with. @see RFC 1952 and RFC 8878 */
const GZIP = Buffer.from([0x1f, 0x8b])
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** Opens a file or `-`; nothing is read yet. */
export function openSource(file: string): Source {
  let readBytes = 0
  const bytes = file === STDIN ? 0 : statSync(file).size
  async function* chunks(): AsyncGenerator<Buffer> {
    const stream = file === STDIN ? process.stdin : createReadStream(file, { highWaterMark: READ_BYTES })
    for await (const chunk of stream) {
      readBytes += chunk.length
      yield chunk
    }
  }
  async function* text(): AsyncGenerator<string> {
    const decoder = new StringDecoder('utf8')
    let first = true
    try {
      for await (const chunk of unpacked(chunks())) {
        const piece = decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))
        if (piece === '') continue
        yield first ? piece.replace(/^\uFEFF/, '') : piece
        first = false
      }
    } catch (error) {
      throw unreadable(file, error)
    }
    yield decoder.end()
  }
  return { text: text(), fraction: () => (bytes === 0 ? 0 : Math.min(1, readBytes / bytes)) }
}

async function* unpacked(chunks: AsyncGenerator<Buffer>): Chunks {
  const all = await peeked(chunks)
  const begins = (magic: Buffer) => all.head.subarray(0, magic.length).equals(magic)
  if (begins(GZIP)) yield* through(all.chunks, zlib.createGunzip())
  else if (begins(ZSTD)) yield* unzstd(all.chunks)
  else yield* all.chunks
}

/** The first bytes, at least four unless there are fewer, and all chunks with them. */
async function peeked(chunks: AsyncGenerator<Buffer>): Promise<{ head: Buffer; chunks: AsyncGenerator<Buffer> }> {
  let head: Buffer = Buffer.alloc(0)
  while (head.length < ZSTD.length) {
    const next = await chunks.next()
    if (next.done) break
    head = Buffer.concat([head, next.value])
  }
  async function* all() {
    yield head
    yield* chunks
  }
  return { head, chunks: all() }
}

function through(chunks: Chunks, unpack: NodeJS.ReadWriteStream): Chunks {
  pipeline(Readable.from(chunks), unpack, () => {
    // A failure comes out of `unpack` as well, where it is read.
  })
  return unpack as unknown as Chunks
}

/** Node.js has zstd from 22.15 and 23.8 on. */
const createZstd = (zlib as { createZstdDecompress?: () => zlib.Gunzip }).createZstdDecompress

/** Compressed bytes that are unpacked at once: the most that they can unpack to is 128 kB for every 4 of them. */
const ZSTD_STEP = 4096

async function* unzstd(chunks: Chunks): Chunks {
  const ready: Uint8Array[] = []
  const unpack = await (createZstd ? nativeZstd(createZstd, ready) : zstdOfLibrary(ready))
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += ZSTD_STEP) {
      await unpack.push(chunk.subarray(at, at + ZSTD_STEP))
      yield* ready.splice(0)
    }
  }
  await unpack.end()
  yield* ready
}

interface Unpack {
  push: (bytes: Uint8Array) => Promise<void> | void
  end: () => Promise<void> | void
}

/** It verifies no checksums. */
async function zstdOfLibrary(ready: Uint8Array[]): Promise<Unpack> {
  const { Decompress } = await import('fzstd')
  const stream = new Decompress((piece) => ready.push(piece))
  return { push: (bytes) => stream.push(bytes), end: () => stream.push(new Uint8Array(0), true) }
}

/** Node's own ends with a frame that others follow, as if they were not there: each is unpacked by a stream of its own. */
function nativeZstd(create: () => zlib.Gunzip, ready: Uint8Array[]): Unpack {
  let stream: zlib.Gunzip | undefined
  let settle: { done: () => void; fail: (failure: Error) => void }
  const open = () =>
    create()
      .on('data', (piece: Uint8Array) => ready.push(piece))
      .on('end', () => settle.done())
      .on('error', (failure) => settle.fail(failure))
  const given = (work: (stream: zlib.Gunzip, done: () => void) => void): Promise<void> =>
    new Promise((done, fail) => {
      settle = { done, fail }
      stream ??= open()
      work(stream, done)
    })
  const push = async (bytes: Uint8Array): Promise<void> => {
    const before = stream?.bytesWritten ?? 0
    await given((to, done) => to.write(bytes, done))
    const taken = (stream?.bytesWritten ?? 0) - before
    if (taken === bytes.length) return
    stream = undefined
    await push(bytes.subarray(taken))
  }
  return { push, end: () => given((to) => to.end()) }
}
