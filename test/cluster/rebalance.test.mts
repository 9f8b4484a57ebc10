/**
 * Three real brokers (KRaft unless KAFKA_MODE says otherwise) during a replay: a broker joins, topics grow from one replica to three, a
 * broker dies during a rebalance, the rebalance itself is interrupted and killed, and the machine of the controller fails. No acknowledged
 * message may be lost.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { readUntil, waitUntil } from '../../scripts/lib/common/wait.mts'
import { openCluster } from '../../scripts/lib/kafka/cluster.mts'
import { describeQuorum } from '../../scripts/lib/kafka/cluster-requests.mts'
import { kafkaMode } from '../../scripts/lib/settings/readers.mts'
import { readSettings } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../support/command.mts'
import { KafkaHelper, runAround, signalAt } from '../support/kafka.mts'
import { stackEnv } from '../support/stack.mts'
import { brokersOf } from './brokers.mts'

const IDS = [1, 2, 3]
const TOPICS = ['iqfeed.l2.raw', 'iqfeed.trades.raw', 'iqfeed.quotes.raw', 'trading.signals', 'market.features']
const RAW = TOPICS.slice(0, 3)
/** After the answer to the first AlterPartitionReassignments (API key 45). */
const SUBMITTED = '45:1:after'

const mode = kafkaMode(process.env.KAFKA_MODE || 'kraft')
const brokers = await brokersOf(mode, IDS, IDS)
await brokers.start(1, 2)
const env = {
  ...(await stackEnv(brokers.env)),
  NO_COLOR: '1',
  DOCKER_HOST: 'unix:///nonexistent/docker.sock',
}
const settings = readSettings(env)
const kafka = new KafkaHelper(settings)
const THREE = { KAFKA_REPLICATION_FACTOR: '3', KAFKA_MIN_INSYNC_REPLICAS: '2' }

async function run(script: string, args: string[], values: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env: { ...env, ...values } })
  const report = JSON.parse(stdout)
  return { exitCode, report, codes: report.findings.map(({ severity, code }: Finding) => `${severity} ${code}`) }
}
const topics = (args: string[], values: NodeJS.ProcessEnv = {}) => run('create-topics.mts', args, values)
const health = (values: NodeJS.ProcessEnv = {}) => run('health-check.mts', ['--only', 'kafka'], values)
/** Returns the health report once it has these findings, or the last one if it never does. */
const healthWith = (...codes: string[]) =>
  readUntil(
    () => health(THREE),
    (report) => report.codes.join() === codes.join(),
    { timeoutMs: 60_000, pollMs: 500 },
  )

/** Returns the number of replicas and leaders per topic and broker, as kafkajs reports them. */
async function placement() {
  const metadata = await kafka.admin((admin) => admin.fetchTopicMetadata({ topics: TOPICS }))
  const partitionsOf = (topic: string) => metadata.topics.find(({ name }) => name === topic)?.partitions ?? []
  return TOPICS.map(partitionsOf).map((partitions) => ({
    copies: IDS.map((id) => partitions.filter(({ replicas }) => replicas.includes(id)).length).sort(),
    leaders: IDS.map((id) => partitions.filter(({ leader }) => leader === id).length).sort(),
  }))
}
const even = (ofTen: number[], ofFive: number[]) => [ofTen, ofTen, ofTen, ofFive, ofFive]
const EVEN_LEADERS = even([3, 3, 4], [1, 2, 2])
const WHOLE = even([10, 10, 10], [5, 5, 5]).map((copies, topic) => ({ copies, leaders: EVEN_LEADERS[topic] ?? [] }))
/** Waits until the placement is as expected, because brokers learn of a change at different times. */
async function placed(expected: Awaited<ReturnType<typeof placement>>): Promise<void> {
  let last: typeof expected = []
  const isThere = async () => {
    last = await placement()
    return JSON.stringify(last) === JSON.stringify(expected)
  }
  await waitUntil(isThere, { timeoutMs: 20_000, pollMs: 250 })
  assert.equal(last, expected)
}

/** Lists the remaining replication throttles: topic or broker, and the configuration key. */
async function throttles(): Promise<string[]> {
  const resources = [...TOPICS.map((name) => ({ type: 2, name })), ...IDS.map((id) => ({ type: 4, name: String(id) }))]
  const described = await kafka.admin((admin) => admin.describeConfigs({ resources, includeSynonyms: false }))
  return described.resources.flatMap(({ resourceName, configEntries }) =>
    configEntries
      .filter(({ configName, configValue, isDefault }) => /throttled/.test(configName) && configValue && !isDefault)
      .map(({ configName }) => `${resourceName} ${configName}`),
  )
}

/** Waits until no broker reports a replication throttle. */
async function unthrottled(): Promise<void> {
  let last: string[] = []
  const isFree = async () => {
    last = await throttles()
    return last.length === 0
  }
  await waitUntil(isFree, { timeoutMs: 20_000, pollMs: 250 })
  assert.equal(last, [])
}

/** Returns the id of the active controller. */
async function controller(): Promise<number> {
  const cluster = await openCluster(settings, { timeoutMs: 20_000 })
  try {
    return mode === 'zookeeper' ? cluster.metadata.controllerId : (await cluster.send(describeQuorum)).leader
  } finally {
    cluster.close()
  }
}

const rebalance = suite('rebalance under a replay')

assert.equal((await topics([])).codes, [])
assert.is((await run('replay.mts', ['--generate', '--fast', '--count', '30000', '--seed', '7'])).exitCode, 0)
let replayPid = 0
const replay = runScript('replay.mts', ['--generate', '--rate', '300', '--count', '1000000', '--json'], {
  env,
  watch: (_, pid) => {
    replayPid = pid
  },
})

rebalance('moves a share to a new broker only when asked', async () => {
  await brokers.start(3)
  // Brokers learn of the new one at different times.
  const known = async () => (await topics(['--dry-run'])).report.brokers === 3
  assert.ok(await waitUntil(known, { timeoutMs: 30_000, pollMs: 250 }))
  const shown = await topics(['--dry-run'])
  assert.equal([shown.exitCode, shown.codes], [0, TOPICS.map(() => 'warning TOPIC_UNEVEN')])
  assert.is(shown.report.findings[0].hint, './scripts/create-topics.mts --rebalance')
  assert.is((await topics([])).exitCode, 0)
  assert.equal(
    (await placement()).map(({ copies }) => copies),
    even([0, 5, 5], [0, 2, 3]),
  )
  const planned = await topics(['--rebalance', '--dry-run'])
  assert.equal([planned.exitCode, planned.codes], [1, []])
  const moves: { from: number[]; to: number[]; bytes: number }[] = planned.report.placement.moves
  assert.ok(moves.length >= 11 && moves.length <= 15, `${moves.length} moves`)
  assert.ok(moves.every(({ from, to }) => from.length === 1 && to.join() === '3'))
  assert.ok(moves.some(({ bytes }) => bytes > 0))
  // Slow enough that no replica with records is complete before its target broker is killed.
  const slow = ['--rebalance', '--throttle-mb', '0.001', '--timeout', '10', '--json']
  const dies = await runAround('create-topics.mts', slow, env, SUBMITTED, () => brokers.kill(3))
  const [under]: Finding[] = JSON.parse(dies.stdout).findings
  assert.equal([dies.exitCode, under?.code], [1, 'REBALANCE_UNDER_WAY'])
  assert.match(
    under?.found ?? '',
    /without progress for 10 s; down: 3; the brokers continue, throttled, once all are up$/,
  )
  assert.is(under?.hint, 'start the brokers that are down, then: ./scripts/create-topics.mts --rebalance')
  const down = (await health()).report.findings.find(({ code }: Finding) => code === 'KAFKA_BROKERS_DOWN')
  assert.is(down?.found, '2 of 3 are up; down: 3')
  assert.equal((await topics(['--rebalance'])).codes, ['error KAFKA_BROKERS_DOWN'])
  await brokers.start(3)
  const done = await topics(['--rebalance', '--throttle-mb', '500'])
  assert.equal([done.exitCode, done.codes], [0, []])
  await unthrottled()
  await placed(EVEN_LEADERS.map((counts) => ({ copies: counts, leaders: counts })))
  const again = await topics(['--rebalance', '--dry-run'])
  assert.equal([again.exitCode, again.report.placement.moves, again.codes], [0, [], []])
})

rebalance('refuses a throttle without a rebalance', async () => {
  const { exitCode, codes } = await topics(['--throttle-mb', '5'])
  assert.equal([exitCode, codes], [2, ['error USAGE']])
})

rebalance('keeps the replication factor until asked, and Ctrl-C cancels unfinished moves', async () => {
  const plain = await topics([], THREE)
  assert.equal([plain.exitCode, plain.codes], [1, TOPICS.map(() => 'error TOPIC_REPLICATION')])
  assert.is((await kafka.config('iqfeed.l2.raw'))['min.insync.replicas'], undefined)
  const slow = ['--rebalance', '--throttle-mb', '0.05']
  const stopped = await topics(slow, signalAt(THREE, `${SUBMITTED}:SIGINT`))
  assert.equal([stopped.exitCode, stopped.codes.at(-1)], [1, 'error REBALANCE_STOPPED'])
  await unthrottled()
  const { report } = await topics(['--rebalance', '--dry-run'], THREE)
  assert.equal(report.placement.moving, [])
  assert.ok(report.placement.moves.length > 0)
})

rebalance('resumes after a kill and leaves no throttle', async () => {
  const slow = ['--rebalance', '--throttle-mb', '0.05']
  const killed = await runScript('create-topics.mts', slow, {
    env: signalAt({ ...env, ...THREE }, `${SUBMITTED}:SIGKILL`),
  })
  assert.is(killed.exitCode, null)
  const left = await throttles()
  assert.ok(left.includes('iqfeed.l2.raw leader.replication.throttled.replicas'), left.join())
  assert.ok(left.includes('3 follower.replication.throttled.rate'), left.join())
  assert.ok((await health(THREE)).codes.includes('warning TOPIC_THROTTLED'))
  const shown = await topics(['--rebalance', '--dry-run'], THREE)
  assert.is(shown.exitCode, 1)
  assert.ok(shown.report.placement.moving.length > 0)
  const resumed = await topics(['--rebalance', '--throttle-mb', '500'], THREE)
  assert.equal([resumed.exitCode, resumed.codes], [0, []])
  await unthrottled()
  await placed(WHOLE)
  assert.is((await kafka.config('iqfeed.l2.raw'))['min.insync.replicas'], '2')
  assert.equal((await healthWith()).codes, [])
})

rebalance('completes after the controller failed', async () => {
  const failed = await controller()
  await brokers.kill(failed)
  const codes = ['warning KAFKA_BROKERS_DOWN', 'warning KAFKA_UNDER_REPLICATED']
  const down = await healthWith(...codes)
  assert.equal([down.codes, down.report.findings[0].found], [codes, `2 of 3 are up; down: ${failed}`])
  assert.ok([1, 2, 3].filter((id) => id !== failed).includes(await controller()))
  const refused = await topics(['--rebalance'], THREE)
  assert.equal([refused.exitCode, refused.codes], [1, ['error KAFKA_BROKERS_DOWN']])
  await brokers.start(failed)
  const back = await healthWith('warning KAFKA_LEADERS')
  assert.equal(back.codes, ['warning KAFKA_LEADERS'])
  assert.is((await topics(['--rebalance'], THREE)).exitCode, 0)
  await placed(WHOLE)
  assert.equal((await healthWith()).codes, [])
})

rebalance('has lost nothing acknowledged', async () => {
  process.kill(replayPid, 'SIGINT')
  const { exitCode, stdout, stderr } = await replay
  assert.is(exitCode, 1, stderr)
  const sent: Record<string, { acknowledged: number }> = JSON.parse(stdout).topics
  let acknowledged = 0
  const found = new Set<string>()
  for (const topic of RAW) {
    acknowledged += sent[topic]?.acknowledged ?? 0
    const read = await runScript('tail-topic.mts', [topic, '--from', 'earliest', '--json'], { env })
    assert.is(read.exitCode, 0, read.stderr)
    for (const line of read.stdout.trim().split('\n').slice(0, -1)) found.add(`${topic} ${JSON.parse(line).value}`)
  }
  assert.ok(acknowledged > 5_000, `${acknowledged} acknowledged`)
  assert.ok(found.size >= 30_000 + acknowledged, `found ${found.size}, expected 30000 and ${acknowledged}`)
})

rebalance.after(async () => {
  try {
    if (replayPid > 0) process.kill(replayPid, 'SIGKILL')
  } catch {
    // ESRCH: the process has already exited.
  }
  await brokers.end()
})
rebalance.run()
