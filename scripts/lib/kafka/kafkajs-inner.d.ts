/** Types for the kafkajs 2.2.4 internals that we use; kafkajs does not declare them. */
declare module 'kafkajs/src/protocol/encoder.js' {
  export default class Encoder {
    writeInt8(value: number): this
    writeInt16(value: number): this
    writeInt32(value: number): this
    writeInt64(value: number): this
    writeBoolean(value: boolean): this
    writeString(value: string | null): this
    writeUVarInt(value: number): this
    writeUVarIntString(value: string | null): this
    readonly buffer: Buffer
  }
}

declare module 'kafkajs/src/protocol/decoder.js' {
  export default class Decoder {
    constructor(buffer: Buffer)
    readonly buffer: Buffer
    readInt8(): number
    readInt16(): number
    readInt32(): number
    readInt64(): bigint
    readBoolean(): boolean
    readString(): string | null
    readBytes(length?: number): Buffer | null
    readArray<T>(read: (from: Decoder) => T): T[]
    readUVarInt(): number
    readUVarIntString(): string | null
    readUVarIntArray<T>(read: (from: Decoder) => T): T[] | null
    slice(bytes: number): Decoder
    forward(bytes: number): void
  }
}
