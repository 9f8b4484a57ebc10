/**
 * Kafka's own protocol over one socket. kafkajs 2.2.4 drops what the broker says about each topic, and knows no topic ids,
 * log directories, deletion of a group's offsets or change of a single configuration key; kafka-requests.mts has those.
 * @see https://kafka.apache.org/protocol (3.9)
 */
import { connect, type Socket } from 'node:net'
import { Reader, type Request, Writer } from './codec.mts'

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
      const timer = setTimeout(() => fail(timeoutError()), requestTimeoutMs)
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
    const timer = setTimeout(() => socket.destroy(timeoutError()), timeoutMs)
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

function timeoutError(): Error {
  return timedError('ETIMEDOUT', 'no answer')
}
