/** Servers that close, cut, garble, drip, fall silent or answer another protocol: fakes, since real ones seldom do so when asked. */
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
  isLong,
  judge,
  kafkaProxy,
  randomNumbers,
  sampled,
  serve,
} from '../support/faults.mts'
import { applyInitFiles } from '../support/stack.mts'

const PASSWORD = 'pass-"w0rd/&=%41'
const settings = await newStack({ REDIS_PASSWORD: 'pass-w0rd/&=%41', CLICKHOUSE_PASSWORD: PASSWORD })
const random = randomNumbers()

/** Longer than every deadline of a command with `--timeout 2`, with the time that a busy machine takes to start it. */
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

/** The requests of the commands: produce, offsets, metadata, offsets committed, coordinator, groups, versions, configurations and so on. */
const KEYS = [0, 2, 3, 9, 10, 15, 16, 18, 22, 32, 35]

const garbled = (frame: Buffer) => Buffer.concat([frame.subarray(0, 8), randomBytes(frame.length - 8)])
const LIES: Record<string, (frame: Buffer) => ReturnType<Distort>> = {
  closes: () => 'close',
  'cuts in the middle': (frame) => ({ cutAfter: Math.floor(frame.length / 2) }),
  'sends random bytes': garbled,
  'sends random bytes from the middle on': (frame) => {
    const middle = Math.floor(frame.length / 2)
    return Buffer.concat([frame.subarray(0, middle), randomBytes(frame.length - middle)])
  },
  'says nothing': () => 'silence',
  drips: () => ({ drip: true }),
  'announces 2 GB': (frame) => Buffer.concat([Buffer.from([0x7f, 0xff, 0xff, 0xff]), frame.subarray(4)]),
}

const kafka = suite('Kafka that lies')
kafka.before(async () => {
  await start(settings)
  await applyInitFiles(settings)
  judge('topics', await run('create-topics.mts', [], {}), [0])
})

kafka('every command ends by its deadline with a finding', async () => {
  const cases = KAFKA_COMMANDS.flatMap((command) =>
    KEYS.flatMap((key) => Object.keys(LIES).map((distort) => ({ command, key, distort }))),
  )
  const chosen = isLong ? cases : sampled(cases, 40, random)
  let asked = 0
  await inPairs(chosen, async ({ command: [script, args], key, distort }) => {
    let met = false
    const proxy = await kafkaProxy(settings.KAFKA_LISTENER_PORT, (each, frame) => {
      if (each !== key) return frame
      met = true
      return LIES[distort]?.(frame) ?? frame
    })
    const outcome = await run(script, args, { KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${proxy.port}` })
    await proxy.close()
    if (met) asked++
    judge(`${script} ${args.join(' ')}, API ${key} ${distort}`, outcome, [0, 1, 2, 3])
    // A reset's dry run and a replay have no other answers than these; what was not asked or survives garbling may be good.
    const fatal = ['closes', 'cuts in the middle', 'says nothing', 'announces 2 GB'].includes(distort)
    if (met && fatal) assert.not.equal(outcome.exitCode, 0, `${script}, API ${key} ${distort}`)
  })
  assert.ok(asked > chosen.length / 5, `only ${asked} of ${chosen.length} cases met their request`)
})

kafka('a leader that refuses its partitions makes the lag unknown', async () => {
  const refuse = (frame: Buffer) => {
    const bytes = Buffer.from(frame)
    // Each partition's answer of ListOffsets version 7: index, error 0, no time, then the offset: error 6 is NOT_LEADER_OR_FOLLOWER.
    const time = Buffer.alloc(8, 0xff)
    for (let at = bytes.indexOf(time); at >= 2; at = bytes.indexOf(time, at + 16)) bytes.writeInt16BE(6, at - 2)
    return bytes
  }
  const proxy = await kafkaProxy(settings.KAFKA_LISTENER_PORT, (key, frame) => (key === 2 ? refuse(frame) : frame))
  const env = { KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${proxy.port}` }
  const status = await run('ingest.mts', ['status', '--timeout', '2'], env)
  judge('ingest status', status, [3])
  assert.match(status.stdout, /unknown lag: .*\(NOT_LEADER_OR_FOLLOWER\)/)
  const health = await run('health-check.mts', ['--only', 'kafka', '--timeout', '2'], env)
  judge('health', health, [1])
  assert.match(health.stdout, /refused by their leader \(NOT_LEADER_OR_FOLLOWER\)/)
  await proxy.close()
})

/** What a server says to whatever it is sent. */
const SERVERS: Record<string, (socket: Socket) => void> = {
  'closes at once': (socket) => socket.end(),
  'closes when asked': (socket) => socket.once('data', () => socket.destroy()),
  'says nothing': () => {},
  'sends random bytes': (socket) => socket.on('data', () => socket.write(randomBytes(64))),
  'sends random bytes for ever': (socket) => {
    const flood = () => {
      while (!socket.destroyed && socket.write(randomBytes(65_536)));
    }
    socket.once('data', flood).on('drain', flood)
  },
  drips: (socket) => socket.once('data', () => drip(socket, Buffer.alloc(600, '$'))),
  'echoes what it is sent': (socket) => socket.on('data', (bytes) => socket.write(bytes)),
  'repeats it in an error': (socket) =>
    socket.on('data', (bytes) => socket.write(`-ERR bad ${bytes.toString().replaceAll('\r\n', ' ')}\r\n`)),
  'is a web server': (socket) =>
    socket.on('data', () =>
      socket.end('HTTP/1.1 302 Found\r\nServer: nginx\r\nContent-Length: 0\r\nLocation: /\r\n\r\n'),
    ),
  'is an SSH server': (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'),
  'is a Redis that loads': (socket) =>
    socket.on('data', () => socket.write('-LOADING Redis is loading the dataset in memory\r\n')),
  'says a part of its answer': (socket) => socket.once('data', () => socket.write('$1000\r\nredis_version:7.0.0\r\n')),
}

const others = suite('other services that distort')
const ports = {
  zookeeper: 'ZOOKEEPER_CLIENT_PORT',
  kafka: '',
  clickhouse: 'CLICKHOUSE_PORT',
  redis: 'REDIS_PORT',
} as const

for (const [distort, accept] of Object.entries(SERVERS)) {
  others(`a server that ${distort} is not healthy`, async () => {
    await inPairs(['zookeeper', 'kafka', 'clickhouse', 'redis'] as const, async (service) => {
      const fake = await serve(accept)
      const env =
        service === 'kafka'
          ? { KAFKA_BOOTSTRAP_SERVERS: `127.0.0.1:${fake.port}` }
          : { [ports[service]]: String(fake.port) }
      judge(`health of ${service}`, await run('health-check.mts', ['--only', service, '--timeout', '2'], env), [1, 3])
      if (service === 'clickhouse')
        judge('schema', await run('apply-schema.mts', ['--dry-run', '--timeout', '2'], env), [1, 3])
      if (service === 'kafka')
        judge('topics', await run('create-topics.mts', ['--dry-run', '--timeout', '2'], env), [3])
      await fake.close()
    })
  })
}
others.after(endStacks)

/** Two at a time, as many as the smallest supported machine has cores. */
async function inPairs<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all([worker(), worker()])
}

kafka.run()
others.run()
