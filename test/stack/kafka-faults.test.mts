/**
 * Answers that a broker gives only briefly, simulated by a proxy in front of a real one: the leader moves, or the broker dies during a
 * request.
 */
import Decoder from 'kafkajs/src/protocol/decoder.js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/command.mts'
import { type Distort, kafkaProxy } from '../support/faults.mts'
import { sharedStack, type TestStack } from '../support/stack.mts'

const LIST_OFFSETS = 2
/** Milliseconds after which a command counts as hung: far longer than its deadline and any pause of a busy machine. */
const NO_END_MS = 120_000

let stack: TestStack

/** Returns the position of each partition's error code in a ListOffsets v7 answer. */
function errorsIn(answer: Buffer): number[] {
  const from = new Decoder(answer)
  const at = () => (from as unknown as { offset: number }).offset
  const errors: number[] = []
  // Length, correlation id, no tags, throttling.
  from.forward(13)
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
 * Runs a command with the broker behind a proxy that passes ListOffsets answers through `spoil`. Returns its exit code, and
 * `severity CODE subject` of its findings.
 */
async function outcome(spoil: (answer: Buffer) => ReturnType<Distort>, script: string, ...args: string[]) {
  const proxy = await kafkaProxy(stack.settings.KAFKA_LISTENER_PORT, (key, answer) =>
    key === LIST_OFFSETS ? spoil(answer) : answer,
  )
  const env = { ...stack.env, KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${proxy.port}` }
  try {
    const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env, timeoutMs: NO_END_MS })
    const { findings } = JSON.parse(stdout) as { findings: { severity: string; code: string; subject: string }[] }
    return [exitCode, ...findings.map(({ severity, code, subject }) => `${severity} ${code} ${subject}`)]
  } finally {
    await proxy.close()
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
const hangUp = () => 'close' as const

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
