/** Three real brokers (KRaft): topics with three copies, and what health-check says while brokers go and come back. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile, runScript } from '../support/command.mts'
import { installed } from '../support/embedded.mts'
import { freePorts, stackEnv } from '../support/stack.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2-brokers-'))
const [controller = 0, ...ports] = await freePorts(4)
const IDS = [1, 2, 3] as const
type Id = (typeof IDS)[number]
const running = new Map<Id, ChildProcess>()
const java = [
  ...['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', installed.jars.join(':')],
  `-Dlog4j.configuration=file:${path.join(ROOT, 'kafka/log4j.properties')}`,
]

/** The first is the controller too, and stays. */
function configure(id: Id): string {
  const data = path.join(folder, String(id))
  mkdirSync(data, { recursive: true })
  const listener = `PLAINTEXT://127.0.0.1:${ports[id - 1]}`
  const properties = {
    'process.roles': id === 1 ? 'broker,controller' : 'broker',
    'node.id': id,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    listeners: id === 1 ? `${listener},CONTROLLER://127.0.0.1:${controller}` : listener,
    'advertised.listeners': listener,
    'log.dirs': path.join(data, 'log'),
    // As services of others have it.
    'default.replication.factor': 3,
    'min.insync.replicas': 2,
    'offsets.topic.replication.factor': 3,
    'offsets.topic.num.partitions': 1,
    'auto.create.topics.enable': 'false',
    // So that who leads is what the test made of it.
    'auto.leader.rebalance.enable': 'false',
    'group.initial.rebalance.delay.ms': 0,
    'broker.session.timeout.ms': 6000,
  }
  const file = path.join(data, 'server.properties')
  writeFileSync(
    file,
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  return file
}

async function start(id: Id): Promise<void> {
  const log = path.join(folder, `${id}.log`)
  const child = spawn(installed.java, [...java, 'kafka.Kafka', path.join(folder, String(id), 'server.properties')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.set(id, child)
  const output = createWriteStream(log)
  child.stdout.pipe(output)
  const isUp = async () => child.exitCode === null && /Kafka Server started/.test(readFileSync(log, 'utf8'))
  await once(output, 'open')
  assert.ok(
    await waitUntil(isUp, { timeoutMs: 90_000, pollMs: 200 }),
    `broker ${id}: ${readFileSync(log, 'utf8').slice(-3000)}`,
  )
}

async function stop(id: Id): Promise<void> {
  const child = running.get(id)
  if (!child) return
  child.kill('SIGKILL')
  await once(child, 'exit')
  running.delete(id)
}

for (const id of IDS) {
  const format = ['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', configure(id)]
  const formatted = await runFile(installed.java, [...java, ...format])
  assert.is(formatted.exitCode, 0, formatted.stdout + formatted.stderr)
}
await Promise.all(IDS.map(start))

const env = {
  ...(await stackEnv({ KAFKA_REPLICATION_FACTOR: '3', KAFKA_MIN_INSYNC_REPLICAS: '2' })),
  NO_COLOR: '1',
  DOCKER_HOST: 'unix:///nonexistent/docker.sock',
  KAFKA_BOOTSTRAP_SERVERS: ports.map((port) => `127.0.0.1:${port}`).join(),
}
async function run(script: string, args: string[], values: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env: { ...env, ...values } })
  const report = JSON.parse(stdout)
  return { exitCode, report, codes: report.findings.map(({ severity, code }: Finding) => `${severity} ${code}`) }
}
const health = (...args: string[]) => run('health-check.mts', ['--only', 'kafka', ...args])
/** The health as soon as it has these findings; its last state where it never has. */
async function healthWith(...codes: string[]) {
  let last = await health()
  const has = async () => {
    last = await health()
    return last.codes.join() === codes.join()
  }
  await waitUntil(has, { timeoutMs: 60_000, pollMs: 500 })
  return last
}

const brokers = suite('three brokers')

brokers('refuse more copies than brokers, with the line of each topic', async () => {
  const { exitCode, report } = await run('create-topics.mts', ['--dry-run'], { KAFKA_REPLICATION_FACTOR: '4' })
  assert.equal([exitCode, report.findings.length, report.findings[0].code], [2, 5, 'TOPIC_REPLICATION'])
  assert.is(report.findings[0].expected, 'at most 3, the number of brokers')
})

brokers('take topics with three copies, a canary, and a reset', async () => {
  assert.equal((await run('create-topics.mts', [])).codes, [])
  const { exitCode, report, codes } = await health('--deep')
  assert.equal([exitCode, codes], [0, []])
  const [{ summary, details }] = report.services
  assert.is(summary, '3 brokers, 5 topics')
  assert.equal([details.brokers, details.knownBrokers, details.underReplicated, details.underMinInSync], [3, 3, 0, 0])
  assert.equal((await run('reset-kafka.mts', ['--only', 'trading.signals', '--yes'])).exitCode, 0)
  assert.equal((await run('create-topics.mts', ['--dry-run'])).report.plan.create, [])
  assert.equal((await healthWith()).codes, [])
})

brokers('serve with one down, and refuse writes with two', async () => {
  await stop(3)
  const one = await healthWith('warning KAFKA_BROKERS_DOWN', 'warning KAFKA_UNDER_REPLICATED')
  assert.equal([one.exitCode, one.codes], [0, ['warning KAFKA_BROKERS_DOWN', 'warning KAFKA_UNDER_REPLICATED']])
  assert.is(one.report.findings[0].found, '2 of 3 are up; down: 3')
  assert.match(one.report.services[0].summary, /^2 of 3 brokers, 5 topics/)
  await stop(2)
  const codes = ['warning KAFKA_BROKERS_DOWN', 'error KAFKA_UNDER_MIN_ISR', 'warning KAFKA_UNDER_REPLICATED']
  const two = await healthWith(...codes)
  assert.equal([two.exitCode, two.codes], [1, codes])
  assert.match(two.report.findings[1].found, /^40: .*; what is sent with acks=all is refused$/)
})

brokers('are named while they do not lead what they should', async () => {
  await Promise.all(([2, 3] as const).map(start))
  const { exitCode, codes, report } = await healthWith('warning KAFKA_LEADERS')
  assert.equal([exitCode, codes], [0, ['warning KAFKA_LEADERS']])
  assert.equal(report.services[0].details.underReplicated, 0)
})

brokers.after(async () => {
  for (const id of IDS) await stop(id)
  rmSync(folder, { recursive: true, force: true })
})
brokers.run()
