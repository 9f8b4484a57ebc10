/** Objects below a prefix of a bucket: written whole or not at all, read as a stream, however large. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { cannotTell, error, OpsError, unknown } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { parseS3 } from './address.mts'
import { type Ask, connectS3 } from './requests.mts'

/** Keys are relative to the address. */
export interface Bucket {
  /** Keys of all objects whose key begins so, in the order of their bytes. */
  list: (start: string) => Promise<string[]>
  /** Names up to the next slash, of what is directly below the address. */
  names: () => Promise<string[]>
  /** The text of a small object; undefined when it is not there. */
  read: (key: string, maxBytes: number) => Promise<string | undefined>
  /** SHA-256 of an object; undefined when it is not there. */
  sha256: (key: string) => Promise<string | undefined>
  /** As sha256, and brings it to a file, which is then on disk. */
  fetch: (key: string, file: string) => Promise<string | undefined>
  /** Replaces an object at once by a text. */
  write: (key: string, text: string) => Promise<void>
  /** Replaces an object at once by a file. */
  send: (file: string, key: string) => Promise<void>
  remove: (key: string) => Promise<void>
}

/** Of an upload in parts, each held in memory. S3 takes 5 MiB to 5 GiB, and 10,000 at most. */
const PART_BYTES = 16 * 1024 ** 2
const MAX_PARTS = 10_000

/** @throws {OpsError} exit code 2, naming each setting that is missing; every function of it throws as {@link Ask} */
export async function openBucket(settings: Settings, address: string, timeoutMs: number): Promise<Bucket> {
  const { bucket, prefix } = parseS3(address)
  const ask = await connectS3(settings, bucket, timeoutMs)
  const base = prefix === '' ? '' : `${prefix}/`
  const put = (key: string, body: Buffer) => ask({ method: 'PUT', key: base + key, body }, drained)
  const receive = async (key: string, take: (chunk: Buffer) => unknown, begin: () => unknown = () => {}) =>
    ask({ method: 'GET', key: base + key }, async (answer) => {
      // From the beginning, also after a broken connection.
      await begin()
      const hash = createHash('sha256')
      for await (const chunk of answer.body ?? []) {
        hash.update(chunk as Buffer)
        await take(chunk as Buffer)
      }
      return hash.digest('hex')
    })
  return {
    list: async (start) =>
      (await list(ask, { prefix: base + start }, 'Contents', 'Key')).map((key) => key.slice(base.length)),
    names: async () =>
      (await list(ask, { prefix: base, delimiter: '/' }, 'CommonPrefixes', 'Prefix')).map((key) =>
        key.slice(base.length, -1),
      ),
    read: async (key, maxBytes) => {
      let chunks: Buffer[] = []
      let bytes = 0
      const take = (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= maxBytes) return chunks.push(chunk)
        const found = `an object of more than ${maxBytes} bytes`
        throw new OpsError(1, [error('S3_ERROR', `${address}/${key}`, { found, hint: `look at ${address}` })])
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
        if (size > PART_BYTES) await sendParts(ask, base + key, size, (start, bytes) => piece(handle, start, bytes))
        else await put(key, await piece(handle, 0, size))
      } finally {
        await handle.close()
      }
    },
    remove: async (key) => {
      await ask({ method: 'DELETE', key: base + key }, drained)
    },
  }
}

/** The connection is free for the next request. */
const drained = (answer: Response): Promise<string> => answer.text()

async function piece(handle: Awaited<ReturnType<typeof open>>, start: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  const { bytesRead } = await handle.read(buffer, 0, bytes, start)
  return buffer.subarray(0, bytesRead)
}

/** Sorted. */
async function list(
  ask: Ask,
  query: { prefix: string; delimiter?: string },
  element: string,
  field: string,
): Promise<string[]> {
  const found: string[] = []
  const seen = new Set<string>()
  for (let token = ''; ; seen.add(token)) {
    const more: Record<string, string> = token === '' ? {} : { 'continuation-token': token }
    const xml = (await ask({ method: 'GET', query: { 'list-type': '2', ...query, ...more } }, drained)) ?? ''
    const trouble = (found: string) => {
      const hint = 'look at S3_ENDPOINT in .env: is it an S3 server?'
      return cannotTell(unknown('S3_UNREACHABLE', `s3 ${query.prefix}`, { found, hint }))
    }
    if (!xml.includes('<ListBucketResult')) throw trouble('an answer that is no list of objects')
    for (const one of elementsOf(xml, element)) found.push(textOf(one, field))
    const isLast = textOf(xml, 'IsTruncated') !== 'true'
    if (isLast) return found.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    token = textOf(xml, 'NextContinuationToken')
    if (token !== '' && !seen.has(token)) continue
    throw trouble('a list that has no end')
  }
}

/** Uploads in parts: the object is replaced when all are there. What a killed run left of the same object is given up first, since it costs room. */
async function sendParts(
  ask: Ask,
  key: string,
  size: number,
  read: (start: number, bytes: number) => Promise<Buffer>,
): Promise<void> {
  const old = (await ask({ method: 'GET', query: { uploads: '', prefix: key } }, drained)) ?? ''
  for (const one of elementsOf(old, 'Upload'))
    if (textOf(one, 'Key') === key) await giveUp(ask, key, textOf(one, 'UploadId'))
  const begun = (await ask({ method: 'POST', key, query: { uploads: '' } }, drained)) ?? ''
  const uploadId = textOf(begun, 'UploadId')
  const step = Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS))
  try {
    let parts = ''
    for (let start = 0, number = 1; start < size; start += step, number++) {
      const query = { partNumber: String(number), uploadId }
      const body = await read(start, Math.min(step, size - start))
      const etag = await ask({ method: 'PUT', key, query, body }, async (answer) => {
        await answer.text()
        return answer.headers.get('etag') ?? ''
      })
      parts += `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`
    }
    const body = Buffer.from(`<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`)
    const done = (await ask({ method: 'POST', key, query: { uploadId }, body }, drained)) ?? '<Error>'
    // Said with status 200: the server begins its answer before it knows.
    if (!done.includes('<Error>')) return
    const found = `an upload that failed: ${textOf(done, 'Code')}`
    throw new OpsError(1, [error('S3_ERROR', key, { found, hint: 'run it again' })])
  } catch (failure) {
    await giveUp(ask, key, uploadId).catch(() => {
      // The next upload of the object does it.
    })
    throw failure
  }
}

const giveUp = (ask: Ask, key: string, uploadId: string) => ask({ method: 'DELETE', key, query: { uploadId } }, drained)

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** The contents of all elements of that name, none of which holds another. */
const elementsOf = (xml: string, name: string): string[] =>
  xml
    .split(`<${name}>`)
    .slice(1)
    .map((rest) => rest.split(`</${name}>`, 1)[0] ?? '')

/** The text of the first element of that name; empty when there is none. */
function textOf(xml: string, name: string): string {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? ''
  return text.replace(/&(?:#x([\da-f]+)|#(\d+)|(\w+));/gi, (all, hex, decimal, word) =>
    hex || decimal ? String.fromCodePoint(Number.parseInt(hex || decimal, hex ? 16 : 10)) : (ENTITIES[word] ?? all),
  )
}
