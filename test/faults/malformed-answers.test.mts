/**
 * Faulty servers that close connections, send truncated, random or slow answers or none at all, or speak another protocol. They are fakes,
 * because real servers rarely fail on request.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/command.mts'
import { endStacks, newStack, start } from '../support/embedded.mts'
import {
  type Distort,
  drip,
  envOf,
  expectExit,
  isLong,
  kafkaProxy,
  randomNumbers,
  sampled,
  serve,
} from '../support/faults.mts'
import { applyInitFiles } from '../support/stack.mts'

const PASSWORD = 'pass-"w0rd/&=%41'
const settings = await newStack({ REDIS_PASSWORD: 'pass-w0rd/&=%41', CLICKHOUSE_PASSWORD: PASSWORD })
const random = randomNumbers()

/** Milliseconds; longer than any deadline of a command with `--timeout 2` plus the time a busy machine needs to start it. */
const END_MS = 60_000

const run = (script: string, args: string[], env: NodeJS.ProcessEnv) =>
  runScript(script, args, { env: envOf(settings, env), timeoutMs: END_MS })

const KAFKA_COMMANDS: [script: string, args: string[]][] = [
  ['health-check.mts', ['--only', 'kafka', '--timeout', '2']],
  ['ingest.mts', ['status', '--timeout', '2']],
  ['create-topics.mts', ['--dry-run', '--timeout', '2']],
  ['reset-kafka.mts', ['--yes', '--dry-run', '--timeout', '2']],
  ['replay.mts', ['--generate', '--fast', '--count', '10', '--timeout', '2']],
]

/**
 * API keys of the commands' requests: produce, offsets, metadata, committed offsets, coordinator, groups, versions, configurations and
 * others.
 */
const KEYS = [0, 2, 3, 9, 10, 15, 16, 18, 22, 32, 35]

const garbled = (frame: Buffer) => Buffer.concat([frame.subarray(0, 8), randomBytes(frame.length - 8)])
const FAULTS: Record<string, (frame: Buffer) => ReturnType<Distort>> = {
  'closes the connection': () => 'close',
  'truncates its answer': (frame) => ({ cutAfter: Math.floor(frame.length / 2) }),
  'sends random bytes': garbled,
  'sends random bytes after the middle': (frame) => {
    const middle = Math.floor(frame.length / 2)
    return Buffer.concat([frame.subarray(0, middle), randomBytes(frame.length - middle)])
  },
  'does not answer': () => 'silence',
  'sends a byte per second': () => ({ drip: true }),
  'announces 2 GB': (frame) => Buffer.concat([Buffer.from([0x7f, 0xff, 0xff, 0xff]), frame.subarray(4)]),
}

const kafka = suite('Kafka with malformed answers')
kafka.before(async () => {
  await start(settings)
  await applyInitFiles(settings)
  expectExit('topics', await run('create-topics.mts', [], {}), [0])
})

kafka('every command ends by its deadline with a finding', async () => {
  const cases = KAFKA_COMMANDS.flatMap((command) =>
    KEYS.flatMap((key) => Object.keys(FAULTS).map((fault) => ({ command, key, fault }))),
  )
  const chosen = isLong ? cases : sampled(cases, 40, random)
  let asked = 0
  await inPairs(chosen, async ({ command: [script, args], key, fault }) => {
    let seen = false
    const proxy = await kafkaProxy(settings.KAFKA_LISTENER_PORT, (each, frame) => {
      if (each !== key) return frame
      seen = true
      return FAULTS[fault]?.(frame) ?? frame
    })
    const outcome = await run(script, args, { KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${proxy.port}` })
    await proxy.close()
    if (seen) asked++
    expectExit(`${script} ${args.join(' ')}, API ${key} ${fault}`, outcome, [0, 1, 2, 3])
    // Other faults may leave a valid answer.
    const fatal = ['closes the connection', 'truncates its answer', 'does not answer', 'announces 2 GB'].includes(fault)
    if (seen && fatal) assert.not.equal(outcome.exitCode, 0, `${script}, API ${key} ${fault}`)
  })
  assert.ok(asked > chosen.length / 5, `only ${asked} of ${chosen.length} cases saw their request`)
})

kafka('a leader that refuses its partitions makes the lag unknown', async () => {
  const refuse = (frame: Buffer) => {
    const bytes = Buffer.from(frame)
    // A partition in a ListOffsets v7 answer: index, error code 0, timestamp -1, then the offset. Error 6 is NOT_LEADER_OR_FOLLOWER.
    const time = Buffer.alloc(8, 0xff)
    for (let at = bytes.indexOf(time); at >= 2; at = bytes.indexOf(time, at + 16)) bytes.writeInt16BE(6, at - 2)
    return bytes
  }
  const proxy = await kafkaProxy(settings.KAFKA_LISTENER_PORT, (key, frame) => (key === 2 ? refuse(frame) : frame))
  const env = { KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${proxy.port}` }
  const status = await run('ingest.mts', ['status', '--timeout', '2'], env)
  expectExit('ingest status', status, [3])
  assert.match(status.stdout, /unknown lag: .*\(NOT_LEADER_OR_FOLLOWER\)/)
  const health = await run('health-check.mts', ['--only', 'kafka', '--timeout', '2'], env)
  expectExit('health', health, [1])
  assert.match(health.stdout, /refused by their leader \(NOT_LEADER_OR_FOLLOWER\)/)
  await proxy.close()
})

/** Behaviour of each server, whatever it receives. */
const SERVERS: Record<string, (socket: Socket) => void> = {
  'closes the connection at once': (socket) => socket.end(),
  'closes the connection after a request': (socket) => socket.once('data', () => socket.destroy()),
  'does not answer': () => {},
  'sends random bytes': (socket) => socket.on('data', () => socket.write(randomBytes(64))),
  'sends random bytes endlessly': (socket) => {
    const flood = () => {
      while (!socket.destroyed && socket.write(randomBytes(65_536)));
    }
    socket.once('data', flood).on('drain', flood)
  },
  'sends a byte per second': (socket) => socket.once('data', () => drip(socket, Buffer.alloc(600, '$'))),
  'echoes each request': (socket) => socket.on('data', (bytes) => socket.write(bytes)),
  'repeats the request in an error': (socket) =>
    socket.on('data', (bytes) => socket.write(`-ERR bad ${bytes.toString().replaceAll('\r\n', ' ')}\r\n`)),
  'is a web server': (socket) =>
    socket.on('data', () =>
      socket.end('HTTP/1.1 302 Found\r\nServer: nginx\r\nContent-Length: 0\r\nLocation: /\r\n\r\n'),
    ),
  'is an SSH server': (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'),
  'is a Redis that is loading its data': (socket) =>
    socket.on('data', () => socket.write('-LOADING Redis is loading the dataset in memory\r\n')),
  'sends only part of its answer': (socket) =>
    socket.once('data', () => socket.write('$1000\r\nredis_version:7.0.0\r\n')),
}

const others = suite('services with malformed answers')
const ports = {
  zookeeper: 'ZOOKEEPER_CLIENT_PORT',
  kafka: '',
  clickhouse: 'CLICKHOUSE_PORT',
  redis: 'REDIS_PORT',
} as const

for (const [fault, accept] of Object.entries(SERVERS)) {
  others(`a server that ${fault} is not healthy`, async () => {
    await inPairs(['zookeeper', 'kafka', 'clickhouse', 'redis'] as const, async (service) => {
      const fake = await serve(accept)
      const env =
        service === 'kafka'
          ? { KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${fake.port}` }
          : { [ports[service]]: String(fake.port) }
      expectExit(
        `health of ${service}`,
        await run('health-check.mts', ['--only', service, '--timeout', '2'], env),
        [1, 3],
      )
      if (service === 'clickhouse')
        expectExit('schema', await run('apply-schema.mts', ['--dry-run', '--timeout', '2'], env), [1, 3])
      if (service === 'kafka')
        expectExit('topics', await run('create-topics.mts', ['--dry-run', '--timeout', '2'], env), [3])
      await fake.close()
    })
  })
}
others.after(endStacks)

/** Calls `work` for two items at a time, one per core of the smallest supported machine. */
async function inPairs<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all([worker(), worker()])
}

kafka.run()
others.run()
