/**
 * Sends requests to one broker, on the internals of kafkajs 2.2.4. The public API of kafkajs drops the broker's result for each topic, and
 * does not support topic IDs, log directories, deleting a group's offsets or changing a single configuration key; the *-requests.mts files do.
 * @see https://kafka.apache.org/protocol (3.9)
 */
import type Decoder from 'kafkajs/src/protocol/decoder.js'
import type Encoder from 'kafkajs/src/protocol/encoder.js'
import { inner, kafkaOptions, type Servers, trackedSockets, withCode } from './options.mts'

/** A type of request, in a version that brokers from 2.8 to 4.x support. */
export interface Request<T> {
  key: number
  version: number
  /** Whether the version is a flexible one, whose headers end with tagged fields. */
  flexible?: true
  write: (to: Encoder) => unknown
  read: (from: Decoder) => T
}

/** Milliseconds that a broker may take before it answers a change; it finishes the rest afterwards. */
export const BROKER_WAIT_MS = 5_000

/** Writes an array: its length, then each item. null is no array, which often selects everything. */
export function writeArray<T>(to: Encoder, items: readonly T[] | null, write: (item: T) => unknown): Encoder {
  to.writeInt32(items?.length ?? -1)
  items?.forEach(write)
  return to
}

/** Skips tagged fields. The Decoder's readTaggedFields stops one byte short of the end of each. */
export function skipTags(from: Decoder): void {
  for (let left = from.readUVarInt(); left > 0; left--) {
    from.readUVarInt()
    from.forward(from.readUVarInt())
  }
}

/** Reads an array of structures in a flexible version. */
export const readStructures = <T,>(from: Decoder, read: () => T): T[] =>
  from.readUVarIntArray(() => {
    const item = read()
    skipTags(from)
    return item
  }) ?? []

/** Writes an array of structures in a flexible version, each without tagged fields. */
export function writeStructures<T>(to: Encoder, items: readonly T[], write: (item: T) => unknown): Encoder {
  to.writeUVarInt(items.length + 1)
  for (const item of items) {
    write(item)
    to.writeUVarInt(0)
  }
  return to
}

/**
 * Returns a Decoder class that throws when it would read past the end of a response or move backwards. That of kafkajs reads zeros past the
 * end, as many as a wrong count announces: 4 billion take minutes, during which no deadline can fire.
 */
export function boundedDecoder(Plain: new (payload: Buffer) => Decoder): new (payload: Buffer) => Decoder {
  return class Bounded extends Plain {
    declare at: number
    get offset(): number {
      return this.at
    }
    set offset(next: number) {
      if (!(next >= (this.at ?? 0) && next <= this.buffer.length))
        throw new RangeError('a response of unexpected length')
      this.at = next
    }
    override slice(bytes: number): Decoder {
      return new Bounded(this.buffer.subarray(this.offset, this.offset + bytes))
    }
  }
}

export interface Wire {
  /** @throws {Error} if the connection breaks or no response arrives within `timeoutMs`; the connection is unusable afterwards */
  send: <T>(request: Request<T>, timeoutMs: number) => Promise<T>
  close: () => void
}

/** A logger that discards what kafkajs logs: findings report it. */
const SILENT = { namespace: () => SILENT, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/**
 * Connects to the Kafka broker at `host:port`. The connection keeps the process alive until it is closed.
 * @param connectMs for connecting, including a first response and, if the broker requires it, authentication
 * @throws {Error} with the socket's `code`, or `ETIMEDOUT` after `connectMs`
 */
export async function connectWire(
  { host, port }: { host: string; port: number },
  settings: Servers,
  connectMs: number,
): Promise<Wire> {
  const ConnectionPool = inner('kafkajs/src/network/connectionPool.js')
  const Broker = inner('kafkajs/src/broker/index.js')
  const Encoder: new () => Encoder = inner('kafkajs/src/protocol/encoder.js')
  const Decoder = boundedDecoder(inner('kafkajs/src/protocol/decoder.js'))
  const sockets = trackedSockets()
  const pool = new ConnectionPool({
    ...kafkaOptions(settings),
    host,
    port,
    logger: SILENT,
    socketFactory: sockets.create,
    connectionTimeout: connectMs,
    requestTimeout: connectMs,
    // `answered` enforces the deadlines.
    enforceRequestTimeout: false,
  })
  const answered = async <T,>(work: Promise<T>, timeoutMs: number): Promise<T> => {
    const timer = setTimeout(() => sockets.destroy(withCode('ETIMEDOUT', 'no answer')), timeoutMs)
    try {
      return await Promise.race([sockets.broken, work])
    } catch (error) {
      sockets.destroy(error as Error)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }
  await answered(new Broker({ connectionPool: pool, logger: SILENT }).connect(), connectMs)
  return {
    send: ({ key, version, flexible, write, read }, timeoutMs) => {
      const encode = () => {
        const to = flexible ? new Encoder().writeUVarInt(0) : new Encoder()
        write(to)
        return to
      }
      // Wrapped in an object, because kafkajs looks for a throttle time in what is decoded.
      const decode = (payload: Buffer) => {
        const from = new Decoder(payload)
        if (flexible) skipTags(from)
        return { answer: read(from) }
      }
      const response = { decode, parse: ({ answer }: ReturnType<typeof decode>) => answer }
      const request = { apiKey: key, apiVersion: version, apiName: `API ${key}`, encode }
      return answered<ReturnType<typeof read>>(pool.send({ request, response, logResponseError: false }), timeoutMs)
    },
    close: () => sockets.destroy(withCode('ECONNRESET', 'the connection was closed locally')),
  }
}
