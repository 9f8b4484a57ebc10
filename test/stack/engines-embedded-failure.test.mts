/** Starts that cannot succeed: one error with the last log lines and the known cause, and nothing left running. */
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { verify, verifyChanged } from '../../scripts/lib/engines/embedded/install.mts'
import { readRecords } from '../../scripts/lib/engines/embedded/processes.mts'
import { whileRunning } from '../../scripts/lib/engines/embedded/stack.mts'
import type { EmbeddedName } from '../../scripts/lib/engines/service.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { BROKER, endStacks, failureOf, installed, newStack, pids, redisKey, start, stop } from '../support/embedded.mts'
import { freePorts, KAFKA_MODE } from '../support/stack.mts'

const failing = suite('failing embedded start')
const holder = createServer((socket) => socket.end())
let taken = ''

failing.before(async () => {
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
  taken = String((holder.address() as { port: number }).port)
})

failing.after(() => {
  holder.close()
  return endStacks()
})

interface Failing {
  title: string
  only: EmbeddedName[]
  env: () => NodeJS.ProcessEnv
  code: string
  /** A line of the service's log that the finding must contain. */
  line: RegExp
}

/** The first Java process of a start. */
const FIRST =
  KAFKA_MODE === 'kraft'
    ? ({ name: 'kafka', port: 'KAFKA_CONTROLLER_PORT', heap: 'KAFKA_HEAP' } as const)
    : ({ name: 'zookeeper', port: 'ZOOKEEPER_CLIENT_PORT', heap: 'ZOOKEEPER_HEAP' } as const)
const port = (name: string, only: EmbeddedName[]): Failing => {
  const env = () => ({ [name]: taken })
  return { title: `${name} is taken`, only, env, code: 'PORT_TAKEN', line: /./ }
}
const failures: Failing[] = [
  port('REDIS_PORT', ['redis']),
  port('KAFKA_LISTENER_PORT', BROKER),
  port('KAFKA_INTERNAL_PORT', BROKER),
  port(FIRST.port, BROKER),
  port('CLICKHOUSE_HTTP_PORT', ['clickhouse']),
  port('CLICKHOUSE_TCP_PORT', ['clickhouse']),
  {
    title: 'a Java heap is too small',
    only: BROKER,
    env: () => ({ KAFKA_HEAP: '1k' }),
    code: 'JAVA_HEAP',
    line: /Too small maximum heap/,
  },
  { title: 'a Java heap runs full', only: BROKER, env: () => ({ [FIRST.heap]: '4m' }), code: 'JAVA_HEAP', line: /./ },
  {
    title: 'a Java heap is too large',
    only: BROKER,
    env: () => ({ [FIRST.heap]: '99999g' }),
    code: 'JAVA_MEMORY',
    line: /Could not reserve enough space/,
  },
]

for (const { title, only, env, code, line } of failures) {
  failing(`reports that ${title}, and leaves nothing running`, async () => {
    const settings = await newStack(env())
    const finding = await failureOf(start(settings, only))
    assert.equal([finding.exitCode, finding.severity, finding.code], [1, 'error', code])
    assert.match(
      finding.found,
      new RegExp(`${settings.EMBEDDED_DATA_DIR}/logs/${finding.subject}.log (shows|ends with)\n      `),
    )
    assert.match(finding.found, line)
    assert.equal(readRecords(settings.EMBEDDED_DATA_DIR), [])
    assert.not.ok(existsSync(path.join(settings.EMBEDDED_DATA_DIR, 'run', 'lock')))
  })
}

failing('does not mistake another stack’s service for its own', async () => {
  const other = await newStack()
  await start(other, ['redis', FIRST.name, 'clickhouse'])
  for (const [name, variable] of [
    ['redis', 'REDIS_PORT'],
    [FIRST.name, FIRST.port],
    ['clickhouse', 'CLICKHOUSE_HTTP_PORT'],
  ] as const) {
    const settings = await newStack({ [variable]: String(other[variable]) })
    const { exitCode, code, subject } = await failureOf(start(settings, [name]))
    assert.equal([exitCode, code, subject], [1, 'PORT_TAKEN', name])
    assert.equal(readRecords(settings.EMBEDDED_DATA_DIR), [])
  }
  assert.equal(Object.keys(pids(other)).sort(), ['clickhouse', 'redis', FIRST.name].sort())
})

failing('leaves services running that ran before', async () => {
  const settings = await newStack({ CLICKHOUSE_TCP_PORT: taken })
  await start(settings, ['redis'])
  const before = pids(settings)
  assert.is((await failureOf(start(settings, ['redis', 'clickhouse']))).subject, 'clickhouse')
  assert.equal(pids(settings), before)
})

failing('keeps no CDS archive of a JVM that failed early', async () => {
  const settings = await newStack({ [FIRST.port]: taken })
  const without = { ...installed, archives: { folder: mkdtempSync(path.join(tmpdir(), 'l2-archives-')), existing: [] } }
  await failureOf(start(settings, [FIRST.name], without))
  const run = readdirSync(path.join(settings.EMBEDDED_DATA_DIR, 'run'))
  assert.equal(
    run.filter((file) => file.endsWith('.jsa')),
    [],
  )
  rmSync(without.archives.folder, { recursive: true })
})

failing('reports a program that cannot be run', async () => {
  const settings = await newStack()
  const { code, found } = await failureOf(start(settings, ['redis'], { ...installed, redisServer: '/no/redis-server' }))
  assert.is(code, 'SERVICE_START')
  assert.match(found, 'spawn /no/redis-server ENOENT')
})

failing('names the cause if two brokers share a folder', async () => {
  const settings = await newStack()
  await start(settings, BROKER)
  const file = path.join(settings.EMBEDDED_DATA_DIR, 'run', 'kafka.json')
  const record = readFileSync(file)
  rmSync(file)
  const [KAFKA_LISTENER_PORT = 0, KAFKA_INTERNAL_PORT = 0, KAFKA_CONTROLLER_PORT = 0] = await freePorts(3)
  const second = { ...settings, KAFKA_LISTENER_PORT, KAFKA_INTERNAL_PORT, KAFKA_CONTROLLER_PORT }
  assert.is((await failureOf(start(second, BROKER))).code, 'KAFKA_DATA_IN_USE')
  writeFileSync(file, record)
  await stop(settings)
})

const ofZookeeper = KAFKA_MODE === 'zookeeper' ? failing : failing.skip
ofZookeeper('names the cause when Kafka meets another ZooKeeper, and starts when its own is back', async () => {
  const settings = await newStack()
  const data = path.join(settings.EMBEDDED_DATA_DIR, 'zookeeper')
  await start(settings, BROKER)
  await stop(settings)
  renameSync(data, `${data}.away`)
  const { code, hint } = await failureOf(start(settings, BROKER))
  assert.is(code, 'KAFKA_CLUSTER_ID')
  assert.match(hint, `cd "${settings.EMBEDDED_DATA_DIR}/kafka"`)
  rmSync(data, { recursive: true })
  renameSync(`${data}.away`, data)
  assert.equal(await start(settings, BROKER), { zookeeper: 'started', kafka: 'started' })
  await stop(settings)
})

ofZookeeper('shows why ZooKeeper cannot load its data, and does not call it ready', async () => {
  const settings = await newStack()
  await start(settings, ['zookeeper'])
  await stop(settings)
  // As after a power failure.
  writeFileSync(path.join(settings.EMBEDDED_DATA_DIR, 'zookeeper/datalog/version-2/log.fff'), '')
  const { exitCode, subject, found } = await failureOf(start(settings, BROKER))
  assert.equal([exitCode, subject], [1, 'zookeeper'])
  assert.match(found, /^its process exited; .*zookeeper\.log shows\n.*EOFException/s)
  assert.equal(readRecords(settings.EMBEDDED_DATA_DIR), [])
})

failing('shows why Kafka cannot load its data', async () => {
  const settings = await newStack()
  await start(settings, BROKER)
  await stop(settings)
  mkdirSync(path.join(settings.EMBEDDED_DATA_DIR, 'kafka/lost+found'))
  const { exitCode, subject, found } = await failureOf(start(settings, BROKER))
  assert.equal([exitCode, subject], [1, 'kafka'])
  assert.match(found, /^its process exited; .*kafka\.log shows\n.*'lost\+found' is not in the form of topic-partition/s)
})

failing('stops starting when a service ends in the meantime', async () => {
  const settings = await newStack()
  await start(settings, ['redis'])
  const never = new Promise<never>(() => {})
  assert.is(await whileRunning(settings.EMBEDDED_DATA_DIR, Promise.resolve('done')), 'done')
  const watched = failureOf(whileRunning(settings.EMBEDDED_DATA_DIR, never))
  process.kill(pids(settings).redis as number, 'SIGKILL')
  const { exitCode, subject, found } = await watched
  assert.equal([exitCode, subject], [1, 'redis'])
  assert.match(found, /^its process exited after it was ready; .*redis\.log ends with\n/)
})

failing('refuses paths that Java and Kafka would split in two', async () => {
  const jars = ['/home/a:b/x.jar']
  const colon = await failureOf(start(await newStack(), BROKER, { ...installed, jars }))
  assert.equal([colon.exitCode, colon.code, colon.subject], [2, 'PATH_SEPARATOR', jars[0]])
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-a,b-'))
  const comma = await failureOf(start(await newStack({ EMBEDDED_DATA_DIR: folder }), BROKER))
  assert.equal([comma.exitCode, comma.code, comma.subject], [2, 'PATH_SEPARATOR', folder])
  assert.equal(readdirSync(folder), [])
})

failing('names the cause if the append-only file is damaged, in the middle or at its end', async () => {
  const settings = await newStack()
  await start(settings, ['redis'])
  await redisKey(settings, 'kept')
  await stop(settings)
  const file = path.join(settings.EMBEDDED_DATA_DIR, 'redis', 'appendonly.aof')
  const whole = readFileSync(file)
  writeFileSync(file, Buffer.concat([Buffer.from('*nonsense\r\n'), whole]))
  assert.is((await failureOf(start(settings, ['redis']))).code, 'REDIS_AOF')
  writeFileSync(file, whole)
  assert.equal(await start(settings, ['redis']), { redis: 'started' })
  assert.is(await redisKey(settings), 'kept')
})

const checksums = suite('checksums of the embedded parts')

/** Creates a folder of two files, and the checksums of their contents. */
function fetched() {
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-checksums-'))
  const pins: string[] = []
  for (const file of ['jars/a.jar', 'redis/redis-server']) {
    mkdirSync(path.join(folder, path.dirname(file)))
    writeFileSync(path.join(folder, file), file)
    pins.push(`${createHash('sha256').update(file).digest('hex')}  ${file}`)
  }
  return { folder, pins: `${pins.join('\n')}\n` }
}

checksums('match what is installed, by the pins of the repository', () => {
  const pins = path.join(ROOT, 'embedded', KAFKA_MODE === 'kraft' ? 'kraft' : '', 'jars.sha256')
  verify(path.dirname(path.dirname(installed.jars[0] as string)), readFileSync(pins, 'utf8'))
})

for (const [title, change, names] of [
  ['a changed file', (folder) => appendFileSync(path.join(folder, 'jars/a.jar'), '!'), 'jars/a.jar'],
  ['a truncated file', (folder) => truncateSync(path.join(folder, 'jars/a.jar'), 3), 'jars/a.jar'],
  ['a missing file', (folder) => rmSync(path.join(folder, 'redis/redis-server')), 'redis/redis-server'],
  ['a file more', (folder) => writeFileSync(path.join(folder, 'jars/b.jar'), ''), 'jars/b.jar'],
] as [string, (folder: string) => void, string][]) {
  checksums(`refuse ${title}`, async () => {
    const { folder, pins } = fetched()
    verify(folder, pins)
    change(folder)
    const { exitCode, code, found } = await failureOf((async () => verify(folder, pins))())
    assert.equal([exitCode, code, found], [1, 'CHECKSUM', `wrong checksum for ${names}`])
    rmSync(folder, { recursive: true })
  })

  checksums(`detect ${title} after they matched`, async () => {
    const { folder, pins } = fetched()
    for (let start = 1; start <= 2; start++) verifyChanged(folder, pins)
    change(folder)
    for (let start = 1; start <= 2; start++) {
      const { exitCode, code, found, hint } = await failureOf((async () => verifyChanged(folder, pins))())
      assert.equal([exitCode, code, found], [1, 'CHECKSUM', `wrong checksum for ${names}`])
      assert.match(hint, `rm -r '${folder}'`)
    }
    rmSync(folder, { recursive: true })
    rmSync(`${folder}.verified`)
  })
}

checksums('refuse changed pins', async () => {
  const { folder, pins } = fetched()
  const { found } = await failureOf((async () => verify(folder, pins.replace(/^./, 'z')))())
  assert.is(found, 'wrong checksum for jars/a.jar')
  rmSync(folder, { recursive: true })
})

checksums.run()
failing.run()
