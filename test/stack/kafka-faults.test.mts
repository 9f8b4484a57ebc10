/**
 * Answers that a broker gives only briefly, simulated by a proxy in front of a real one: the leader moves, or the broker dies during a
 * request.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import Decoder from 'kafkajs/src/protocol/decoder.js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/command.mts'
import { sharedStack, type TestStack } from '../support/stack.mts'

const LIST_OFFSETS = 2
const METADATA = 3
/** Milliseconds after which a command counts as hung: far longer than its deadline and any pause of a busy machine. */
const NO_END_MS = 120_000

let stack: TestStack

/** Returns the position of each partition's error code in a ListOffsets v7 answer. */
function errorsIn(answer: Buffer): number[] {
  const from = new Decoder(answer)
  const at = () => (from as unknown as { offset: number }).offset
  const errors: number[] = []
  // Correlation id, no tags, throttling.
  from.forward(9)
  for (let topics = from.readUVarInt() - 1; topics > 0; topics--) {
    from.readUVarIntString()
    for (let partitions = from.readUVarInt() - 1; partitions > 0; partitions--) {
      errors.push(at() + 4)
      // Partition, error, timestamp, offset, leader epoch, no tags.
      from.forward(4 + 2 + 8 + 8 + 4 + 1)
    }
    from.forward(1)
  }
  return errors
}

/**
 * Starts a proxy to the broker that advertises itself. `spoil` changes each ListOffsets answer, or returns undefined to close the
 * connection.
 */
async function proxy(spoil: (answer: Buffer) => Buffer | undefined): Promise<Server> {
  const port = Buffer.alloc(4)
  const real = stack.settings.KAFKA_LISTENER_PORT
  const relay = (client: Socket) => {
    const broker = connect(real, '127.0.0.1')
    const keys = new Map<number, number>()
    /** Calls `take` with each message of a stream, without its length. */
    const messages = (stream: Socket, take: (message: Buffer) => void) => {
      let received = Buffer.alloc(0)
      stream.on('data', (chunk) => {
        received = Buffer.concat([received, chunk])
        while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
          const length = received.readInt32BE(0)
          take(Buffer.from(received.subarray(4, 4 + length)))
          received = received.subarray(4 + length)
        }
      })
      for (const event of ['error', 'close']) {
        stream.on(event, () => {
          client.destroy()
          broker.destroy()
        })
      }
    }
    const pass = (to: Socket, message: Buffer) => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(message.length)
      to.write(Buffer.concat([length, message]))
    }
    messages(client, (request) => {
      keys.set(request.readInt32BE(4), request.readInt16BE(0))
      pass(broker, request)
    })
    messages(broker, (answer) => {
      const key = keys.get(answer.readInt32BE(0))
      if (key === METADATA) {
        const address = Buffer.concat([Buffer.from('\x0a127.0.0.1'), Buffer.alloc(4)])
        address.writeInt32BE(real, address.length - 4)
        const at = answer.indexOf(address)
        if (at >= 0) port.copy(answer, at + address.length - 4)
      }
      const passed = key === LIST_OFFSETS ? spoil(answer) : answer
      if (passed) pass(client, passed)
      else client.destroy()
    })
  }
  const server = createServer(relay)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port.writeInt32BE((server.address() as AddressInfo).port)
  return server
}

/** Runs a command through such a proxy. Returns its exit code, and `severity CODE subject` of its findings. */
async function outcome(spoil: (answer: Buffer) => Buffer | undefined, script: string, ...args: string[]) {
  const server = await proxy(spoil)
  const { port } = server.address() as AddressInfo
  const env = { ...stack.env, KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${port}` }
  try {
    const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env, timeoutMs: NO_END_MS })
    const { findings } = JSON.parse(stdout) as { findings: { severity: string; code: string; subject: string }[] }
    return [exitCode, ...findings.map(({ severity, code, subject }) => `${severity} ${code} ${subject}`)]
  } finally {
    server.close()
  }
}

const movedAway = (answer: Buffer) => {
  // 6 = NOT_LEADER_OR_FOLLOWER, without timestamp and offset.
  for (const at of errorsIn(answer)) {
    answer.writeInt16BE(6, at)
    answer.fill(0xff, at + 2, at + 18)
  }
  return answer
}
const hangUp = () => undefined

const faults = suite('Kafka faults')

faults.before(async () => {
  stack = await sharedStack()
})

faults('leaders that moved away make the lag unknown', async () => {
  const topics = ['iqfeed.trades.raw', 'iqfeed.quotes.raw', 'iqfeed.l2.raw', 'trading.signals', 'market.features']
  assert.equal(await outcome(movedAway, 'ingest.mts', 'status', '--timeout', '3'), [
    3,
    ...topics.map((topic) => `unknown INGEST_LAG ${topic}`),
  ])
})

faults('a connection closed on a request for offsets is reported as no answer', async () => {
  const silent = [3, 'unknown KAFKA_UNREACHABLE kafka']
  assert.equal(await outcome(hangUp, 'ingest.mts', 'status', '--timeout', '3'), silent)
  assert.equal(await outcome(hangUp, 'reset-kafka.mts', '--dry-run', '--timeout', '3'), silent)
})

faults('normal answers cause no finding', async () => {
  assert.equal(await outcome((answer) => answer, 'ingest.mts', 'status', '--timeout', '20'), [0])
})

faults.after(() => stack.stop())

faults.run()
