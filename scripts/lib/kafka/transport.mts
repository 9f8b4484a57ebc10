/**
 * One request at a time to one broker, on the inner layers of kafkajs 2.2.4. kafkajs itself drops what the broker says about each topic, and
 * knows no topic ids, log directories, deletion of a group's offsets or change of a single configuration key; the *-requests.mts have those.
 * @see https://kafka.apache.org/protocol (3.9)
 */
import type Decoder from 'kafkajs/src/protocol/decoder.js'
import type Encoder from 'kafkajs/src/protocol/encoder.js'
import { inner, kafkaOptions, ownSockets, type Servers, withCode } from './options.mts'

/** One kind of request, in a version that brokers from 2.8 to 4.x speak. */
export interface Request<T> {
  key: number
  version: number
  /** Whether headers end with tagged fields, as those of flexible versions do. */
  flexible?: true
  write: (to: Encoder) => unknown
  read: (from: Decoder) => T
}

/** Milliseconds that a broker may take to answer a change; it finishes the rest afterwards. */
export const BROKER_WAIT_MS = 5_000

/** Writes an array: its length, then each item; null for none at all, which often means every. */
export function writeArray<T>(to: Encoder, items: readonly T[] | null, write: (item: T) => unknown): Encoder {
  to.writeInt32(items?.length ?? -1)
  items?.forEach(write)
  return to
}

/** Passes over tagged fields. The Decoder's own readTaggedFields stops a byte short of the end of each. */
export function skipTags(from: Decoder): void {
  for (let left = from.readUVarInt(); left > 0; left--) {
    from.readUVarInt()
    from.forward(from.readUVarInt())
  }
}

/** The items of an array of structures in a flexible version. */
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
 * A Decoder that throws where an answer ends too early or leads back. kafkajs's own reads zeros beyond the end, as many as a wrong count
 * announces: 4 billion take minutes, in which no deadline is kept.
 */
export function boundedDecoder(Plain: new (payload: Buffer) => Decoder): new (payload: Buffer) => Decoder {
  return class Bounded extends Plain {
    declare at: number
    get offset(): number {
      return this.at
    }
    set offset(next: number) {
      if (!(next >= (this.at ?? 0) && next <= this.buffer.length)) throw new RangeError('an answer of another length')
      this.at = next
    }
    override slice(bytes: number): Decoder {
      return new Bounded(this.buffer.subarray(this.offset, this.offset + bytes))
    }
  }
}

export interface Wire {
  /** @throws {Error} when the connection breaks or no answer comes in `timeoutMs`; the connection is of no use afterwards */
  send: <T>(request: Request<T>, timeoutMs: number) => Promise<T>
  close: () => void
}

/** What kafkajs would log, our findings say. */
const SILENT = { namespace: () => SILENT, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/**
 * A connection to the Kafka broker at `host:port`. It keeps the process alive until closed.
 * @param connectMs to connect, which takes an answer and, where the broker asks for it, a login
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
  const sockets = ownSockets()
  const pool = new ConnectionPool({
    ...kafkaOptions(settings),
    host,
    port,
    logger: SILENT,
    socketFactory: sockets.create,
    connectionTimeout: connectMs,
    requestTimeout: connectMs,
    // Deadlines are ours.
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
      // kafkajs looks into what it decodes for a delay that the broker asks for.
      const decode = (payload: Buffer) => {
        const from = new Decoder(payload)
        if (flexible) skipTags(from)
        return { answer: read(from) }
      }
      const response = { decode, parse: ({ answer }: ReturnType<typeof decode>) => answer }
      const request = { apiKey: key, apiVersion: version, apiName: `API ${key}`, encode }
      return answered<ReturnType<typeof read>>(pool.send({ request, response, logResponseError: false }), timeoutMs)
    },
    close: () => sockets.destroy(withCode('ECONNRESET', 'this connection was closed here')),
  }
}
