/**
 * Redis's own protocol over one socket. Health asks at every check, and importing a client takes several times as long as to ask.
 * @see https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2)
 */
import { connect } from 'node:net'
import type { Settings } from './settings.mts'

export type Reply = string | number | null | Reply[]

export interface RedisWire {
  /**
   * The answer to a command. It connects and logs in with the first one.
   * @throws {Error} with Redis's words, such as `NOAUTH …`, when it refuses; with the socket's `code` when the connection fails
   */
  call: (...words: string[]) => Promise<Reply>
  close: () => void
}

/** A connection to Redis with REDIS_PASSWORD. It keeps the process alive until closed. @param timeoutMs for each answer */
export function openRedis(
  { REDIS_HOST: host, REDIS_PORT: port, REDIS_PASSWORD: password }: Settings,
  timeoutMs: number,
): RedisWire {
  const waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = []
  const socket = connect({ host, port, noDelay: true })
  let broken: Error | undefined
  const fail = (error: Error) => {
    broken ??= error
    for (const { reject } of waiting.splice(0)) reject(broken)
    socket.destroy()
  }
  const failWith = (code: string, message: string) => fail(Object.assign(new Error(message), { code }))
  socket.setTimeout(timeoutMs, () => failWith('ETIMEDOUT', 'no answer'))
  socket.on('error', fail)
  socket.on('close', () => failWith('ECONNRESET', 'Redis closed the connection'))
  let received = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    try {
      for (let answer = parseReply(received, 0); answer; answer = parseReply(received, 0)) {
        received = received.subarray(answer.next)
        const first = waiting.shift()
        if (answer.reply instanceof Error) first?.reject(answer.reply)
        else first?.resolve(answer.reply)
      }
    } catch (error) {
      fail(error as Error)
    }
  })
  const send = (words: string[]) =>
    new Promise<Reply>((resolve, reject) => {
      if (broken) return reject(broken)
      waiting.push({ resolve, reject })
      socket.write(
        [`*${words.length}`, ...words.flatMap((word) => [`$${Buffer.byteLength(word)}`, word]), ''].join('\r\n'),
      )
    })
  // A server without a password refuses one, and serves.
  const login = password ? send(['AUTH', password]).catch(allowOpen) : undefined
  login?.catch(() => {
    // Every command fails with it too.
  })
  return {
    call: async (...words) => {
      await login
      return send(words)
    },
    close: () => socket.destroy(),
  }
}

function allowOpen(error: Error): void {
  if (!/without any password configured/.test(error.message)) throw error
}

/**
 * The reply that begins at `at`, an Error for one that refuses, and where the next begins; undefined while its end is missing.
 * @throws {SyntaxError} for what is not of this protocol
 */
function parseReply(bytes: Buffer, at: number): { reply: Reply | Error; next: number } | undefined {
  const end = bytes.indexOf('\r\n', at)
  if (end < 0) return undefined
  const [kind, text, next] = [bytes.toString('latin1', at, at + 1), bytes.toString('utf8', at + 1, end), end + 2]
  if (kind === '+') return { reply: text, next }
  if (kind === '-') return { reply: new Error(text), next }
  if (kind === ':') return { reply: Number(text), next }
  if (kind !== '$' && kind !== '*') throw new SyntaxError('an answer that is not Redis’s protocol')
  const length = Number(text)
  if (length < 0) return { reply: null, next }
  if (kind === '*') return parseArray(bytes, next, length)
  const whole = bytes.length >= next + length + 2
  return whole ? { reply: bytes.toString('utf8', next, next + length), next: next + length + 2 } : undefined
}

function parseArray(bytes: Buffer, at: number, length: number): { reply: Reply | Error; next: number } | undefined {
  const items: Reply[] = []
  let next = at
  while (items.length < length) {
    const item = parseReply(bytes, next)
    if (!item) return undefined
    if (item.reply instanceof Error) return item
    items.push(item.reply)
    next = item.next
  }
  return { reply: items, next }
}
