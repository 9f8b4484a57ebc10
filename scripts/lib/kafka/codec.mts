/** The types of Kafka's protocol as bytes. @see https://kafka.apache.org/protocol#protocol_types (3.9) */

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
      const bytes = this.#varint()
      this.#at += bytes
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
