/** Reads the text of a file, a pipe or standard input, decompressed if necessary. */
import { createReadStream, statSync } from 'node:fs'
import { pipeline, Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import * as zlib from 'node:zlib'
import { unreadable } from './recording.mts'

export interface Source {
  /** Text in chunks, without a byte order mark. @throws {OpsError} exit code 2, when it cannot be read or decompressed */
  text: AsyncGenerator<string>
  /** Returns how much of it has been read, from 0 to 1; 0 if the length is unknown. */
  fraction: () => number
}

type Chunks = AsyncIterable<Uint8Array>

/** The argument for standard input. */
export const STDIN = '-'

const READ_BYTES = 1024 * 1024
/** Magic numbers. @see RFC 1952 and RFC 8878 */
const GZIP = Buffer.from([0x1f, 0x8b])
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** Opens a file or `-` without reading it yet. */
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
      for await (const chunk of decompressed(chunks())) {
        const decoded = decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))
        if (decoded === '') continue
        yield first ? decoded.replace(/^\uFEFF/, '') : decoded
        first = false
      }
    } catch (error) {
      throw unreadable(file, error)
    }
    yield decoder.end()
  }
  return { text: text(), fraction: () => (bytes === 0 ? 0 : Math.min(1, readBytes / bytes)) }
}

async function* decompressed(chunks: AsyncGenerator<Buffer>): Chunks {
  const all = await peeked(chunks)
  const begins = (magic: Buffer) => all.head.subarray(0, magic.length).equals(magic)
  if (begins(GZIP)) yield* through(all.chunks, zlib.createGunzip())
  else if (begins(ZSTD)) yield* decompressZstd(all.chunks)
  else yield* all.chunks
}

/** Reads the first bytes, at least four if there are as many. Also returns all chunks, including these. */
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

function through(chunks: Chunks, stream: NodeJS.ReadWriteStream): Chunks {
  pipeline(Readable.from(chunks), stream, () => {
    // Reading `stream` reports the failure as well.
  })
  return stream as unknown as Chunks
}

/** Available since Node.js 22.15 and 23.8. */
const createZstd = (zlib as { createZstdDecompress?: () => zlib.Gunzip }).createZstdDecompress

/** Compressed bytes per step. Limits memory: every 4 bytes can expand to 128 kB. */
const ZSTD_STEP = 4096

async function* decompressZstd(chunks: Chunks): Chunks {
  const ready: Uint8Array[] = []
  const decompressor = await (createZstd ? nativeZstd(createZstd, ready) : libraryZstd(ready))
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += ZSTD_STEP) {
      await decompressor.push(chunk.subarray(at, at + ZSTD_STEP))
      yield* ready.splice(0)
    }
  }
  await decompressor.end()
  yield* ready
}

interface Decompressor {
  push: (bytes: Uint8Array) => Promise<void> | void
  end: () => Promise<void> | void
}

/** Does not verify checksums. */
async function libraryZstd(ready: Uint8Array[]): Promise<Decompressor> {
  const { Decompress } = await import('fzstd')
  const stream = new Decompress((chunk) => ready.push(chunk))
  return { push: (bytes) => stream.push(bytes), end: () => stream.push(new Uint8Array(0), true) }
}

/** Uses a new stream for each frame, because Node's stream ends after the first frame and ignores those that follow. */
function nativeZstd(create: () => zlib.Gunzip, ready: Uint8Array[]): Decompressor {
  let stream: zlib.Gunzip | undefined
  let settle: { done: () => void; fail: (failure: Error) => void }
  const open = () =>
    create()
      .on('data', (chunk: Uint8Array) => ready.push(chunk))
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
