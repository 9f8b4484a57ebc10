/** The subset of Thrift's compact protocol that Parquet footers use. @see https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md */

/** A decoded value: numbers as bigint, a struct as a map of fields by number. */
export type Value = bigint | boolean | Buffer | List | Struct
export interface List {
  type: number
  items: Value[]
}
export type Struct = Map<number, { type: number; value: Value }>

const [TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
/** Sizes below this are stored in the type byte; larger ones follow it. */
const LONG = 15
const DOUBLE_BYTES = 8

/** Decodes the struct at the start of `bytes`. @throws {SyntaxError} for invalid bytes, or for a map, which Parquet does not use */
export function readStruct(bytes: Buffer): Struct {
  let at = 0
  const take = (count: number) => {
    if (at + count > bytes.length) throw new SyntaxError('a truncated footer')
    at += count
    return bytes.subarray(at - count, at)
  }
  const byte = () => take(1)[0] as number
  const varint = () => {
    for (let [value, shift] = [0n, 0n]; ; shift += 7n) {
      const next = byte()
      value |= BigInt(next & 127) << shift
      if (next < 128) return value
      if (shift > 63n) throw new SyntaxError('a footer with an overlong number')
    }
  }
  const zigzag = () => {
    const value = varint()
    return (value >> 1n) ^ -(value & 1n)
  }
  const struct = (): Struct => {
    const fields: Struct = new Map()
    for (let id = 0; ; ) {
      const head = byte()
      if (head === 0) return fields
      id = head >> 4 === 0 ? Number(zigzag()) : id + (head >> 4)
      const type = head & 15
      fields.set(id, { type, value: type === TRUE || type === FALSE ? type === TRUE : read(type) })
    }
  }
  const list = (): List => {
    const head = byte()
    const size = head >> 4 === LONG ? Number(varint()) : head >> 4
    // Each item takes at least one byte.
    if (size > bytes.length) throw new SyntaxError('a footer with a list longer than the footer')
    const type = head & 15
    return { type, items: Array.from({ length: size }, () => (type <= FALSE ? BigInt(byte()) : read(type))) }
  }
  const read = (type: number): Value => {
    if (type === BYTE) return BigInt(byte())
    if (type === I16 || type === I32 || type === I64) return zigzag()
    if (type === DOUBLE) return take(DOUBLE_BYTES)
    if (type === BINARY) return take(Number(varint()))
    if (type === LIST || type === SET) return list()
    if (type === STRUCT) return struct()
    throw new SyntaxError(`a footer with a value of unsupported type ${type}`)
  }
  return struct()
}

/** Encodes a struct. */
export function writeStruct(fields: Struct): Buffer {
  const bytes: number[] = []
  const varint = (value: bigint) => {
    let left = value
    for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128)
    bytes.push(Number(left))
  }
  const zigzag = (value: bigint) => varint(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)))
  const struct = (map: Struct) => {
    let before = 0
    for (const [id, { type, value }] of [...map].sort(([a], [b]) => a - b)) {
      if (id - before <= LONG) bytes.push(((id - before) << 4) | type)
      else {
        bytes.push(type)
        zigzag(BigInt(id))
      }
      before = id
      if (typeof value !== 'boolean') write(type, value)
    }
    bytes.push(0)
  }
  const write = (type: number, value: Value) => {
    if (value instanceof Map) struct(value)
    else if (Buffer.isBuffer(value)) {
      if (type === BINARY) varint(BigInt(value.length))
      for (const each of value) bytes.push(each)
    } else if (typeof value === 'object') {
      bytes.push((Math.min(value.items.length, LONG) << 4) | value.type)
      if (value.items.length >= LONG) varint(BigInt(value.items.length))
      for (const item of value.items) write(value.type, item)
    } else if (type <= BYTE) bytes.push(Number(value))
    else zigzag(value as bigint)
  }
  struct(fields)
  return Buffer.from(bytes)
}
