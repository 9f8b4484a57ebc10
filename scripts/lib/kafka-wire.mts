/**
 * Kafka's own protocol over one socket. kafkajs 2.2.4 drops what the broker says about each topic, and knows no topic ids,
 * log directories, deletion of a group's offsets or change of a single configuration key; kafka-requests.mts has those.
 * @see https://kafka.apache.org/protocol (3.9)
 */
import { connect, type Socket } from 'node:net'

/** One kind of request. `flexible` versions write lengths as varints and end every structure with tagged fields. */
export interface Request<T> {
  key: number
  version: number
  flexible: boolean
  write: (to: Writer) => void
  read: (from: Reader) => T
}

/** Builds a request in the protocol's types; every method returns the writer. */
export class Writer {
  readonly #parts: Buffer[] = []
  readonly #flexible: boolean

  constructor(flexible: boolean) {
    this.#flexible = flexible
  }

  int(bytes: 1 | 2 | 4, value: number): this {
    const part = Buffer.alloc(bytes)
    part.writeIntBE(value, 0, bytes)
    this.#parts.push(part)
    return this
  }

  int64(value: number): this {
    const part = Buffer.alloc(8)
    part.writeBigInt64BE(BigInt(value))
    this.#parts.push(part)
    return this
  }

  bool(value: boolean): this {
    return this.int(1, value ? 1 : 0)
  }

  string(value: string | null): this {
    const text = Buffer.from(value ?? '')
    if (this.#flexible) this.#varint(value === null ? 0 : text.length + 1)
    else this.int(2, value === null ? -1 : text.length)
    this.#parts.push(text)
    return this
  }

  array<T>(items: readonly T[] | null, write: (item: T) => void): this {
    if (this.#flexible) this.#varint(items === null ? 0 : items.length + 1)
    else this.int(4, items?.length ?? -1)
    items?.forEach(write)
    return this
  }

  /** Ends a structure: no tagged fields. */
  end(): this {
    return this.#flexible ? this.#varint(0) : this
  }

  zeros(bytes: number): this {
    this.#parts.push(Buffer.alloc(bytes))
    return this
  }

  #varint(value: number): this {
    const bytes: number[] = []
    let left = value
    for (; left > 127; left >>>= 7) bytes.push((left & 127) | 128)
    bytes.push(left)
    this.#parts.push(Buffer.from(bytes))
    return this
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** Reads an answer in the protocol's types. @throws {RangeError} from Buffer, when the answer is shorter than its type */
export class Reader {
  readonly #buffer: Buffer
  readonly #flexible: boolean
  #at = 0

  constructor(buffer: Buffer, flexible: boolean) {
    this.#buffer = buffer
    this.#flexible = flexible
  }

  int(bytes: 1 | 2 | 4): number {
    this.#at += bytes
    return this.#buffer.readIntBE(this.#at - bytes, bytes)
  }

  /** A 64-bit integer as a number: offsets, sizes and milliseconds stay far below 2^53. */
  int64(): number {
    this.#at += 8
    return Number(this.#buffer.readBigInt64BE(this.#at - 8))
  }

  bool(): boolean {
    return this.int(1) !== 0
  }

  string(): string | null {
    const length = this.#flexible ? this.#varint() - 1 : this.int(2)
    if (length < 0) return null
    this.#at += length
    return this.#buffer.toString('utf8', this.#at - length, this.#at)
  }

  array<T>(read: () => T): T[] {
    const length = this.#flexible ? this.#varint() - 1 : this.int(4)
    return Array.from({ length: Math.max(0, length) }, read)
  }

  uuid(): string {
    this.#at += 16
    return this.#buffer.toString('hex', this.#at - 16, this.#at)
  }

  /** Passes over the tagged fields that end a structure. */
  end(): void {
    if (!this.#flexible) return
    for (let left = this.#varint(); left > 0; left--) {
      this.#varint()
      this.#at += this.#varint()
    }
  }

  #varint(): number {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.int(1)
      value |= (byte & 127) << shift
      if ((byte & 128) === 0) return value
    }
  }
}

export interface Wire {
  /** @throws {Error} when the connection breaks or the answer takes longer than `timeoutMs` */
  send: <T>(request: Request<T>, timeoutMs?: number) => Promise<T>
  close: () => void
}

/** Shown as the client's name in the broker's logs and quotas. */
const CLIENT_ID = 'l2-stack'
/** Bytes. No answer of ours comes near; a server of another protocol does, as soon as its text is read as a length. */
const MAX_ANSWER = 64 * 1024 * 1024

/**
 * A connection to the Kafka broker at `host:port`. It keeps the process alive until closed.
 * @throws {Error} with the socket's `code`, or `ETIMEDOUT` after `timeoutMs`
 */
export async function connectWire(host: string, port: number, timeoutMs: number): Promise<Wire> {
  const socket = await openSocket(host, port, timeoutMs)
  const waiting = new Map<number, { resolve: (answer: Buffer) => void; reject: (error: Error) => void }>()
  let correlationId = 0
  let received = Buffer.alloc(0)
  let broken: Error | undefined
  const fail = (error: Error) => {
    broken ??= error
    for (const { reject } of waiting.values()) reject(broken)
    waiting.clear()
    socket.destroy()
  }
  socket.on('error', fail)
  socket.on('close', () => fail(timedError('ECONNRESET', 'the broker closed the connection')))
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    while (received.length >= 4) {
      const length = received.readInt32BE(0)
      if (length < 4 || length > MAX_ANSWER) return fail(timedError('EPROTO', 'an answer that is not Kafka’s protocol'))
      if (received.length < 4 + length) return
      const answer = received.subarray(4, 4 + length)
      received = received.subarray(4 + length)
      waiting.get(answer.readInt32BE(0))?.resolve(answer.subarray(4))
      waiting.delete(answer.readInt32BE(0))
    }
  })
  return {
    send: async (request, requestTimeoutMs = timeoutMs) => {
      if (broken) throw broken
      const id = ++correlationId
      const header = new Writer(false).int(2, request.key).int(2, request.version).int(4, id).string(CLIENT_ID)
      const body = new Writer(request.flexible).end()
      request.write(body)
      const message = Buffer.concat([header.bytes(), body.bytes()])
      const answer = new Promise<Buffer>((resolve, reject) => waiting.set(id, { resolve, reject }))
      socket.write(Buffer.concat([new Writer(false).int(4, message.length).bytes(), message]))
      const timer = setTimeout(() => fail(timeoutError(requestTimeoutMs)), requestTimeoutMs)
      try {
        const reader = new Reader(await answer, request.flexible)
        reader.end()
        return request.read(reader)
      } finally {
        clearTimeout(timer)
      }
    },
    close: () => {
      broken ??= timedError('ECONNRESET', 'this connection was closed here')
      socket.destroy()
    },
  }
}

function openSocket(host: string, port: number, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    const timer = setTimeout(() => socket.destroy(timeoutError(timeoutMs)), timeoutMs)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeListener('error', reject)
      resolve(socket)
    })
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
}

function timedError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

function timeoutError(timeoutMs: number): Error {
  return timedError('ETIMEDOUT', `no answer in ${(timeoutMs / 1000).toFixed(1)} s`)
}
