/** Accesses objects below a prefix of a bucket. Writes are atomic; objects of any size are streamed. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { cannotTell, error, OpsError, unknown } from '../common/findings.mts'
import { type HttpResponse, readText } from '../common/http.mts'
import type { Settings } from '../settings/settings.mts'
import { parseS3 } from './address.mts'
import { connectS3, type S3Client } from './requests.mts'

/** Keys are relative to the address. */
export interface Bucket {
  /** Returns all keys that begin with `start`, in byte order. */
  list: (start: string) => Promise<string[]>
  /** Returns the names of the "folders" directly below the address. */
  names: () => Promise<string[]>
  /** Returns the text of a small object; undefined if it does not exist. */
  read: (key: string, maxBytes: number) => Promise<string | undefined>
  /** Returns the SHA-256 of an object; undefined if it does not exist. */
  sha256: (key: string) => Promise<string | undefined>
  /** Downloads an object to a file, syncs it to disk, and returns its SHA-256; undefined if it does not exist. */
  fetch: (key: string, file: string) => Promise<string | undefined>
  /** Writes a text, replacing the object atomically. */
  write: (key: string, text: string) => Promise<void>
  /** Uploads a file, replacing the object atomically. */
  send: (file: string, key: string) => Promise<void>
  remove: (key: string) => Promise<void>
}

/** Size of a part of a multipart upload, which is held in memory. S3 allows 5 MiB to 5 GiB, and at most 10,000 parts. */
const PART_BYTES = 16 * 1024 ** 2
const MAX_PARTS = 10_000

/**
 * Opens the bucket and prefix of an S3 address. Methods of the result throw as {@link S3Client}.
 * @throws {OpsError} exit code 2, with a finding for each missing setting
 */
export async function openBucket(settings: Settings, address: string, timeoutMs: number): Promise<Bucket> {
  const { bucket, prefix } = parseS3(address)
  const request = await connectS3(settings, bucket, timeoutMs)
  const base = prefix === '' ? '' : `${prefix}/`
  const put = (key: string, body: Buffer) => request({ method: 'PUT', key: base + key, body }, drained)
  const receive = async (key: string, take: (chunk: Buffer) => unknown, begin: () => unknown = () => {}) =>
    request({ method: 'GET', key: base + key }, async (answer) => {
      // Runs again, from the start, after a broken connection.
      await begin()
      const hash = createHash('sha256')
      for await (const chunk of answer.body) {
        hash.update(chunk)
        await take(chunk)
      }
      return hash.digest('hex')
    })
  return {
    list: async (start) =>
      (await list(request, { prefix: base + start }, 'Contents', 'Key')).map((key) => key.slice(base.length)),
    names: async () =>
      (await list(request, { prefix: base, delimiter: '/' }, 'CommonPrefixes', 'Prefix')).map((key) =>
        key.slice(base.length, -1),
      ),
    read: async (key, maxBytes) => {
      let chunks: Buffer[] = []
      let bytes = 0
      const take = (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= maxBytes) return chunks.push(chunk)
        const found = `an object of more than ${maxBytes} bytes`
        throw new OpsError(1, [error('S3_ERROR', `${address}/${key}`, { found, hint: `check ${address}` })])
      }
      const begin = () => {
        chunks = []
        bytes = 0
      }
      return (await receive(key, take, begin)) === undefined ? undefined : Buffer.concat(chunks).toString()
    },
    sha256: (key) => receive(key, () => {}),
    fetch: async (key, file) => {
      const handle = await open(file, 'w')
      try {
        const sha256 = await receive(
          key,
          (chunk) => handle.writeFile(chunk),
          () => handle.truncate(),
        )
        await handle.sync()
        return sha256
      } finally {
        await handle.close()
      }
    },
    write: async (key, text) => {
      await put(key, Buffer.from(text))
    },
    send: async (file, key) => {
      const handle = await open(file)
      try {
        const { size } = await handle.stat()
        if (size > PART_BYTES)
          await sendParts(request, base + key, size, (start, bytes) => readAt(handle, start, bytes))
        else await put(key, await readAt(handle, 0, size))
      } finally {
        await handle.close()
      }
    },
    remove: async (key) => {
      await request({ method: 'DELETE', key: base + key }, drained)
    },
  }
}

/** Reads the body to its end, which frees the connection for the next request. */
const drained = (answer: HttpResponse): Promise<string> => readText(answer)

async function readAt(handle: Awaited<ReturnType<typeof open>>, start: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  const { bytesRead } = await handle.read(buffer, 0, bytes, start)
  return buffer.subarray(0, bytesRead)
}

/** Lists objects or common prefixes, sorted by bytes. */
async function list(
  request: S3Client,
  query: { prefix: string; delimiter?: string },
  element: string,
  field: string,
): Promise<string[]> {
  const found: string[] = []
  const seen = new Set<string>()
  for (let token = ''; ; seen.add(token)) {
    const more: Record<string, string> = token === '' ? {} : { 'continuation-token': token }
    const xml = (await request({ method: 'GET', query: { 'list-type': '2', ...query, ...more } }, drained)) ?? ''
    const trouble = (found: string) => {
      const hint = 'check S3_ENDPOINT in .env: is it an S3 server?'
      return cannotTell(unknown('S3_UNREACHABLE', `s3 ${query.prefix}`, { found, hint }))
    }
    if (!xml.includes('<ListBucketResult')) throw trouble('an answer that is not a list of objects')
    for (const one of elementsOf(xml, element)) found.push(textOf(one, field))
    const isLast = textOf(xml, 'IsTruncated') !== 'true'
    if (isLast) return found.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    token = textOf(xml, 'NextContinuationToken')
    if (token !== '' && !seen.has(token)) continue
    throw trouble('a list of objects that does not end')
  }
}

/** Uploads in parts; S3 replaces the object when the upload completes. First aborts uploads that a killed run left, which take up space. */
async function sendParts(
  request: S3Client,
  key: string,
  size: number,
  read: (start: number, bytes: number) => Promise<Buffer>,
): Promise<void> {
  const old = (await request({ method: 'GET', query: { uploads: '', prefix: key } }, drained)) ?? ''
  for (const one of elementsOf(old, 'Upload'))
    if (textOf(one, 'Key') === key) await abort(request, key, textOf(one, 'UploadId'))
  const begun = (await request({ method: 'POST', key, query: { uploads: '' } }, drained)) ?? ''
  const uploadId = textOf(begun, 'UploadId')
  const step = Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS))
  try {
    let parts = ''
    for (let start = 0, number = 1; start < size; start += step, number++) {
      const query = { partNumber: String(number), uploadId }
      const body = await read(start, Math.min(step, size - start))
      const etag = await request({ method: 'PUT', key, query, body }, async (answer) => {
        await drained(answer)
        return answer.header('etag') ?? ''
      })
      parts += `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`
    }
    const body = Buffer.from(`<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`)
    const done = (await request({ method: 'POST', key, query: { uploadId }, body }, drained)) ?? '<Error>'
    // Errors arrive with status 200 too: the server starts its answer before the outcome is known.
    if (!done.includes('<Error>')) return
    const found = `failed upload: ${textOf(done, 'Code')}`
    throw new OpsError(1, [error('S3_ERROR', key, { found, hint: 'run it again' })])
  } catch (failure) {
    await abort(request, key, uploadId).catch(() => {
      // The next upload of the object aborts it.
    })
    throw failure
  }
}

const abort = (request: S3Client, key: string, uploadId: string) =>
  request({ method: 'DELETE', key, query: { uploadId } }, drained)

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Returns the contents of all elements with a name; they must not be nested in each other. */
const elementsOf = (xml: string, name: string): string[] =>
  xml
    .split(`<${name}>`)
    .slice(1)
    .map((rest) => rest.split(`</${name}>`, 1)[0] ?? '')

/** Returns the text of the first element with a name; empty if there is none. */
function textOf(xml: string, name: string): string {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? ''
  return text.replace(/&(?:#x([\da-f]+)|#(\d+)|(\w+));/gi, (all, hex, decimal, word) =>
    hex || decimal ? String.fromCodePoint(Number.parseInt(hex || decimal, hex ? 16 : 10)) : (ENTITIES[word] ?? all),
  )
}
