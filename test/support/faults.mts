/** Faulty servers, because real services rarely fail in exactly the way a test needs. */

import type { AddressInfo } from 'node:net'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import * as assert from 'uvu/assert'
import { type Settings, VARIABLES } from '../../scripts/lib/settings/settings.mts'
import type { Outcome } from './command.mts'

/** Returns an environment with these settings, and without a Docker engine. */
export function envOf(settings: Settings, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const values = Object.keys(VARIABLES).map((name): [string, string] => [
    name,
    String(settings[name as keyof Settings]),
  ])
  return {
    ...process.env,
    ...Object.fromEntries(values),
    NO_COLOR: '1',
    DOCKER_HOST: 'unix:///nonexistent/docker.sock',
    ...more,
  }
}

export interface Fake {
  port: number
  close: () => Promise<void>
}

/** Starts a server on a free port of 127.0.0.1. `close` closes its connections too. */
export async function serve(accept: (socket: Socket) => void): Promise<Fake> {
  const open = new Set<Socket>()
  const server: Server = createServer((socket) => {
    open.add(socket)
    // Clients that disconnect are expected in these tests.
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

/** How to distort a broker's answer: other bytes, a closed connection, a truncated answer, no answer, or one byte per second. */
export type Distort = (
  key: number,
  frame: Buffer,
) => Buffer | 'close' | 'silence' | { cutAfter: number } | { drip: true }

const HOST = Buffer.from('127.0.0.1')

/** Starts a proxy in front of the Kafka broker at `port`, and advertises itself as the broker. Passes each answer through `distort`. */
export async function kafkaProxy(port: number, distort: Distort): Promise<Fake> {
  let ownPort = 0
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
      const answer = distort(key, readdressed(frame, port, ownPort))
      if (answer === 'silence') return
      if (answer === 'close') client.destroy()
      else if (Buffer.isBuffer(answer)) client.write(answer)
      else if ('cutAfter' in answer) client.end(frame.subarray(0, answer.cutAfter))
      else drip(client, frame)
    })
  })
  ownPort = proxy.port
  return proxy
}

/** Sends one byte per second. */
export function drip(client: Socket, bytes: Buffer): void {
  let sent = 0
  const timer = setInterval(() => {
    if (client.destroyed || sent >= bytes.length) clearInterval(timer)
    else client.write(bytes.subarray(sent, ++sent))
  }, 1_000)
  client.on('close', () => clearInterval(timer))
}

/** Calls `take` with each complete frame of a stream, including its length. */
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

/** Replaces the port wherever the frame contains the broker's address. */
function readdressed(frame: Buffer, from: number, to: number): Buffer {
  for (let at = frame.indexOf(HOST); at >= 0; at = frame.indexOf(HOST, at + 1)) {
    const port = at + HOST.length
    if (port + 4 <= frame.length && frame.readInt32BE(port) === from) frame.writeInt32BE(to, port)
  }
  return frame
}

/** Number of commands per verified exit code. The test runner prints lines that begin with `·`. */
const exitCounts = new Map<number, number>()
process.on('exit', () => {
  const runs = [...exitCounts.values()].reduce((sum, count) => sum + count, 0)
  const codes = [...exitCounts].sort(([a], [b]) => a - b).map(([code, count]) => `${count} with ${code}`)
  if (runs > 0) process.stdout.write(`\n· ${runs} commands exited as expected: ${codes.join(', ')}\n`)
})

/**
 * Fails unless the command exited by itself with one of these codes, without a stack trace, and with a hint for every failure. `runScript`
 * checks that the output shows no password.
 */
export function expectExit(what: string, { exitCode, stdout, stderr }: Outcome, codes: number[]): void {
  const output = `${stdout}${stderr}`
  assert.ok(exitCode !== null && codes.includes(exitCode), `${what}: exit ${exitCode}\n${output}`)
  assert.not.match(output, /INTERNAL|this is a bug|\n +at /, what)
  if (exitCode !== 0) assert.match(output, /→/, `${what}: exit ${exitCode}\n${output}`)
  exitCounts.set(exitCode ?? 0, (exitCounts.get(exitCode ?? 0) ?? 0) + 1)
}

/** Whether the long form is requested with `FAULTS=long`. */
export const isLong = process.env.FAULTS === 'long'

/** Returns a generator of numbers from 0 to 1, seeded with FAULTS_SEED. Prints the seed. @see Mulberry32 */
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

/** Returns `count` of the items, in random order. */
export function sampled<T>(items: readonly T[], count: number, random: () => number): T[] {
  const left = [...items]
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(Math.floor(random() * left.length), 1)[0] as T,
  )
}
