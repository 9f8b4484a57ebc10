/** Servers that lie, for test/faults: real services seldom break in just the way that is wanted. */

import type { AddressInfo } from 'node:net'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import * as assert from 'uvu/assert'
import { type Settings, VARIABLES } from '../../scripts/lib/settings/settings.mts'
import type { Outcome } from './command.mts'

/** The environment that gives commands these settings, without a Docker engine. */
export function envOf(settings: Settings, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const own = Object.keys(VARIABLES).map((name): [string, string] => [name, String(settings[name as keyof Settings])])
  return {
    ...process.env,
    ...Object.fromEntries(own),
    NO_COLOR: '1',
    DOCKER_HOST: 'unix:///nonexistent/docker.sock',
    ...more,
  }
}

export interface Fake {
  port: number
  close: () => Promise<void>
}

/** A server on a free port of 127.0.0.1; `close` ends its connections too. */
export async function serve(accept: (socket: Socket) => void): Promise<Fake> {
  const open = new Set<Socket>()
  const server: Server = createServer((socket) => {
    open.add(socket)
    // A client that goes away is what these tests are about.
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    accept(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** What becomes of a broker's answer: other bytes, or an end of the connection, or silence. */
export type Lie = (key: number, frame: Buffer) => Buffer | 'close' | 'silence' | { cutAfter: number } | { drip: true }

const HOST = Buffer.from('127.0.0.1')

/** A Kafka broker at `port` as seen through a proxy, which is also where the broker says that it is; each of its answers goes through `lie`. */
export async function kafkaProxy(port: number, lie: Lie): Promise<Fake> {
  let own = 0
  const proxy = await serve((client) => {
    const broker = createConnection(port, '127.0.0.1')
    broker.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.on('close', () => broker.destroy())
    const keys = new Map<number, number>()
    frames(client, (frame) => {
      keys.set(frame.readInt32BE(8), frame.readInt16BE(4))
      broker.write(frame)
    })
    frames(broker, (frame) => {
      const key = keys.get(frame.readInt32BE(4)) ?? -1
      const answer = lie(key, readdressed(frame, port, own))
      if (answer === 'silence') return
      if (answer === 'close') client.destroy()
      else if (Buffer.isBuffer(answer)) client.write(answer)
      else if ('cutAfter' in answer) client.end(frame.subarray(0, answer.cutAfter))
      else drip(client, frame)
    })
  })
  own = proxy.port
  return proxy
}

/** A byte a second. */
export function drip(client: Socket, bytes: Buffer): void {
  let sent = 0
  const timer = setInterval(() => {
    if (client.destroyed || sent >= bytes.length) clearInterval(timer)
    else client.write(bytes.subarray(sent, ++sent))
  }, 1_000)
  client.on('close', () => clearInterval(timer))
}

/** The whole frames of a stream, lengths included. */
function frames(socket: Socket, take: (frame: Buffer) => void): void {
  let rest = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const length = 4 + rest.readInt32BE(0)
      take(Buffer.from(rest.subarray(0, length)))
      rest = rest.subarray(length)
    }
  })
}

/** A frame with another port wherever it names the broker's address. */
function readdressed(frame: Buffer, from: number, to: number): Buffer {
  for (let at = frame.indexOf(HOST); at >= 0; at = frame.indexOf(HOST, at + 1)) {
    const port = at + HOST.length
    if (port + 4 <= frame.length && frame.readInt32BE(port) === from) frame.writeInt32BE(to, port)
  }
  return frame
}

/** How often each exit code was judged right. The runner of the tests shows a line that begins with `·`. */
const judged = new Map<number, number>()
process.on('exit', () => {
  const runs = [...judged.values()].reduce((sum, count) => sum + count, 0)
  const codes = [...judged].sort(([a], [b]) => a - b).map(([code, count]) => `${count} with ${code}`)
  if (runs > 0) process.stdout.write(`\n· ${runs} commands ended as they should: ${codes.join(', ')}\n`)
})

/**
 * Fails unless the command ended by itself with one of these exit codes, and named what it found, and a way out. That it shows no password
 * `runScript` sees to.
 */
export function judge(what: string, { exitCode, stdout, stderr }: Outcome, codes: number[]): void {
  const output = `${stdout}${stderr}`
  assert.ok(exitCode !== null && codes.includes(exitCode), `${what}: exit ${exitCode}\n${output}`)
  assert.not.match(output, /INTERNAL|this is a bug|\n +at /, what)
  if (exitCode !== 0) assert.match(output, /→/, `${what}: exit ${exitCode}\n${output}`)
  judged.set(exitCode ?? 0, (judged.get(exitCode ?? 0) ?? 0) + 1)
}

/** Whether the long form was asked for: `FAULTS=long`. */
export const isLong = process.env.FAULTS === 'long'

/** Numbers from 0 to 1 that FAULTS_SEED repeats; the seed is printed. @see Mulberry32 */
export function randomNumbers(): () => number {
  let state = Number(process.env.FAULTS_SEED ?? Date.now() % 1_000_000)
  process.stdout.write(`\n· FAULTS_SEED=${state} repeats this run\n`)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** So many of the items, in a random order. */
export function sampled<T>(items: readonly T[], count: number, random: () => number): T[] {
  const left = [...items]
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(Math.floor(random() * left.length), 1)[0] as T,
  )
}
