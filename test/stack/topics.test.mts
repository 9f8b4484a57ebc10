/** The command create-topics, on a dedicated Kafka. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { runningEmbedded } from '../../scripts/lib/engines/embedded/processes.mts'
import { startEmbedded, stopEmbedded } from '../../scripts/lib/engines/embedded/stack.mts'
import { readSettings } from '../../scripts/lib/settings/settings.mts'
import { syncTopics } from '../../scripts/lib/topics/topics.mts'
import { type CommandOptions, runScript } from '../support/command.mts'
import { KafkaHelper, runAround, signalAt } from '../support/kafka.mts'
import { KAFKA_MODE, stackEnv } from '../support/stack.mts'

const env = await stackEnv()
const settings = readSettings(env)
const folder = mkdtempSync(path.join(tmpdir(), 'l2-topics-'))
const kafka = new KafkaHelper(settings)

const run = (args: string[], options: CommandOptions = {}) => runScript('create-topics.mts', args, { env, ...options })

interface Entry {
  name: string
  partitions?: number
  replication?: number
  config?: Record<string, string>
  key?: string
}

let files = 0

/** Writes a file that declares these topics, and returns the arguments that select it. */
function declaring(...topics: Entry[]): string[] {
  const file = path.join(folder, `topics-${++files}.yml`)
  const entries = topics.map((topic) => ({ partitions: 1, replication: 1, ...topic }))
  writeFileSync(file, JSON.stringify({ topics: entries }))
  return ['--file', file]
}

/** Returns everything in the cluster that a command could change, except what other tests of this file use. */
async function everything() {
  const { topics } = await kafka.admin((admin) => admin.fetchTopicMetadata())
  const sorted = topics.sort((a, b) => (a.name < b.name ? -1 : 1))
  const configs = await Promise.all(sorted.map(({ name }) => kafka.config(name)))
  return sorted.map(({ name, partitions }, index) => ({ name, partitions: partitions.length, config: configs[index] }))
}

const first = suite('create-topics, first run')

first('waits for a broker that starts late, creates what the file declares and verifies it', async () => {
  // One hour, so that the test fails unless the wait ends with the broker's first answer.
  const command = run(['--timeout', '3600', '--json'])
  await delay(1_000)
  await startEmbedded(settings, await install(settings.KAFKA_MODE, () => {}), () => {}, ['zookeeper', 'kafka'])
  const { exitCode, stdout, stderr } = await command
  assert.is(exitCode, 0, stderr)
  assert.match(stderr, /^Waiting for Kafka at 127\.0\.0\.1:\d+: connection refused\n/)
  const report = JSON.parse(stdout)
  assert.equal([report.version, report.exitCode, report.mode, report.findings], [1, 0, 'apply', []])
  assert.equal(report.done, [
    'iqfeed.l2.raw created',
    'iqfeed.trades.raw created',
    'iqfeed.quotes.raw created',
    'trading.signals created',
    'market.features created',
  ])
  const raw = { 'retention.ms': '86400000', 'segment.ms': '3600000', 'compression.type': 'lz4' }
  const derived = { 'retention.ms': '86400000', 'compression.type': 'lz4' }
  assert.equal(await everything(), [
    { name: 'iqfeed.l2.raw', partitions: 10, config: raw },
    { name: 'iqfeed.quotes.raw', partitions: 10, config: raw },
    { name: 'iqfeed.trades.raw', partitions: 10, config: raw },
    { name: 'market.features', partitions: 5, config: derived },
    { name: 'trading.signals', partitions: 5, config: derived },
  ])
})

first('has nothing to do the second time', async () => {
  const before = await everything()
  const { exitCode, stdout, stderr } = await run([])
  assert.equal([exitCode, stderr], [0, ''])
  assert.match(stdout, /^Cluster \S+, brokers: 1\nNothing to do\n$/)
  assert.equal((await run(['--dry-run'])).exitCode, 0)
  assert.equal((await run(['--check'])).exitCode, 0)
  assert.equal(await everything(), before)
})

first('is usable immediately: every partition accepts a record', async () => {
  await kafka.produce('market.features', 1)
  assert.equal(await kafka.highWatermarks('market.features'), [1, 1, 1, 1, 1])
})

first('has nothing to rebalance on a single broker', async () => {
  const before = await everything()
  for (const flags of [
    ['--rebalance', '--dry-run'],
    ['--rebalance', '--throttle-mb', '5'],
  ]) {
    const { exitCode, stdout } = await run([...flags, '--json'])
    const { findings, placement } = JSON.parse(stdout)
    assert.equal([exitCode, findings, placement.moves, placement.throttled], [0, [], [], []])
  }
  assert.equal(await everything(), before)
})

first.run()

const changes = suite('create-topics, plans and changes')

changes('shows the whole plan with --dry-run, changes nothing, and exits 1', async () => {
  await run(declaring({ name: 'd.big', partitions: 3 }, { name: 'd.small' }, { name: 'd.conf' }))
  const file = declaring(
    { name: 'd.new', partitions: 2 },
    { name: 'd.small', partitions: 3, key: 'symbol' },
    { name: 'd.conf', config: { 'retention.ms': '1000' } },
    { name: 'd.big', partitions: 1 },
  )
  const before = await everything()
  const { exitCode, stdout, stderr } = await run([...file, '--dry-run'])
  assert.equal(await everything(), before)
  assert.equal([exitCode, stderr], [1, ''])
  const lines = stdout.split('\n').map((line) => line.replace(/ {2,}/g, ' ').trim())
  assert.equal(lines.slice(1, 6), [
    '+ create d.new 2 partitions, replication 1',
    '^ grow d.small 1 → 3 partitions',
    '~ configure d.conf retention.ms: 86400000 (default) → 1000; the broker deletes records older than 0.00028 h (was 24 h)',
    '✗ cannot change d.big partitions: 3 → 1',
    '· not declared iqfeed.l2.raw left alone',
  ])
  assert.match(stdout, /Topics that would change: 3\n/)
  assert.match(stdout, /✗ d\.big: .*\[TOPIC_CANNOT_SHRINK\]\n {4}→ set "partitions: 3" there, or .*reset-kafka/)
  assert.match(stdout, /! d\.small: growing from 1 to 3 partitions moves keys .*symbol.*\[TOPIC_KEYS_MOVE\]/)
})

changes('reports with --check every difference as a finding, changes nothing, and exits 1', async () => {
  const file = declaring({ name: 'd.absent' }, { name: 'd.conf', config: { 'retention.ms': '1000' } })
  const before = await everything()
  const { exitCode, stdout } = await run([...file, '--check', '--json'])
  assert.equal(await everything(), before)
  const report = JSON.parse(stdout)
  assert.equal([exitCode, report.exitCode, report.mode], [1, 1, 'check'])
  assert.equal(
    report.findings.map(({ code, subject }: { code: string; subject: string }) => [code, subject]),
    [
      ['TOPIC_MISSING', 'd.absent'],
      ['TOPIC_CONFIG', 'd.conf retention.ms'],
      ['TOPIC_RETENTION_SHORTER', 'd.conf retention.ms'],
    ],
  )
})

changes('sets the keys in the file and keeps all others', async () => {
  const name = 'c.merge'
  await run(declaring({ name, config: { 'retention.ms': '1000', 'segment.ms': '2000' } }))
  const entries = {
    'retention.ms': '5',
    'segment.ms': '2000',
    'max.message.bytes': '4096',
    'cleanup.policy': 'compact',
  }
  const configEntries = Object.entries(entries).map(([key, value]) => ({ name: key, value }))
  const resources = [{ type: 2, name, configEntries }]
  await kafka.admin((admin) => admin.alterConfigs({ validateOnly: false, resources }))
  const { exitCode, stdout } = await run(declaring({ name, config: { 'retention.ms': '1000' } }))
  assert.is(exitCode, 0)
  assert.match(stdout, /~ configure +c\.merge +retention\.ms: 5 → 1000\n/)
  assert.equal(await kafka.config(name), { ...entries, 'retention.ms': '1000' })
})

/** Checks that a change which deletes records only causes a warning and is not made without permission. Returns the result of the run. */
async function warnsAndLeaves(file: string[], warned: RegExp, warning: string) {
  for (const mode of ['--dry-run', '--check']) {
    const { exitCode, stdout } = await run([...file, mode])
    assert.is(exitCode, 1)
    assert.match(stdout, warned)
  }
  const options = { file: file[1] as string, mode: 'apply', timeoutMs: 20_000, log: () => {} } as const
  const left = await syncTopics(settings, { ...options, mayShorten: false })
  assert.equal([left.done, left.findings.map(({ code }) => code)], [[], [warning]])
  return left
}

changes('shortens a retention only with a warning, and not if it may not', async () => {
  const name = 'c.shorter'
  const hours = (count: number) => declaring({ name, config: { 'retention.ms': `${count * 3_600_000}` } })
  await run(hours(168))
  const file = hours(24)
  const warned =
    /! c\.shorter retention\.ms: .*the broker deletes records older than 24 h \(was 168 h\).*\[TOPIC_RETENTION_SHORTER\]/
  await warnsAndLeaves(file, warned, 'TOPIC_RETENTION_SHORTER')
  assert.equal(await kafka.config(name), { 'retention.ms': '604800000' })
  const { exitCode, stdout } = await run(file)
  assert.is(exitCode, 0)
  assert.match(stdout, warned)
  assert.equal(await kafka.config(name), { 'retention.ms': '86400000' })
})

changes('changes a cleanup.policy that loses records only with a warning, and not if it may not', async () => {
  const name = 'c.policy'
  const policy = (value: string) => declaring({ name, config: { 'cleanup.policy': value } })
  await run(policy('compact'))
  await kafka.produce(name, 1)
  const file = policy('delete')
  const warned = /! c\.policy cleanup\.policy: .*the broker deletes records beyond .*\[TOPIC_CLEANUP_POLICY\]/
  const left = await warnsAndLeaves(file, warned, 'TOPIC_CLEANUP_POLICY')
  assert.equal(await kafka.config(name), { 'cleanup.policy': 'compact' })
  // The command in the warning's hint must be the one that makes the change.
  const hint = /\.\/scripts\/create-topics\.mts (.*) \(deletes them\)/.exec(left.findings[0]?.hint ?? '')?.[1] ?? ''
  const { exitCode, stdout } = await run(hint.split(' '))
  assert.is(exitCode, 0, hint)
  assert.match(stdout, warned)
  assert.equal(await kafka.config(name), { 'cleanup.policy': 'delete' })
})

changes('compares values as Kafka reads them: nothing to do for 0.50 where the cluster has 0.5', async () => {
  const config = { 'min.cleanable.dirty.ratio': '0.50', 'cleanup.policy': 'compact, delete', preallocate: 'FALSE' }
  const file = declaring({ name: 'c.same', config })
  assert.is((await run(file)).exitCode, 0)
  const { exitCode, stdout } = await run(file)
  assert.is(exitCode, 0)
  assert.match(stdout, /\nNothing to do\n/)
})

changes('adds partitions to a keyed topic and warns that its keys move', async () => {
  await run(declaring({ name: 'g.keyed' }, { name: 'g.plain' }))
  await kafka.produce('g.keyed', 2)
  const file = declaring({ name: 'g.keyed', partitions: 2, key: 'symbol' }, { name: 'g.plain', partitions: 2 })
  const { exitCode, stdout } = await run(file)
  assert.is(exitCode, 0)
  assert.match(stdout, /Changed in \S+ s: 2 of 2\n {2}g\.keyed grown from 1 to 2 partitions\n/)
  assert.equal(stdout.match(/TOPIC_KEYS_MOVE/g)?.length, 1)
  assert.equal(await kafka.highWatermarks('g.keyed'), [2, 0])
  assert.is((await run([...file, '--check'])).exitCode, 0)
})

changes('changes what it can besides what it cannot, and exits 1', async () => {
  await run(declaring({ name: 'i.shrink', partitions: 2 }))
  const { exitCode, stdout } = await run(declaring({ name: 'i.shrink' }, { name: 'i.new' }))
  assert.is(exitCode, 1)
  assert.match(stdout, /i\.new created\n/)
  const [, reset = ''] =
    /TOPIC_CANNOT_SHRINK\]\n.*\.\/scripts\/reset-kafka\.mts (.*) \(deletes its records/.exec(stdout) ?? []
  assert.equal((await kafka.highWatermarks('i.shrink')).length, 2)
  assert.is((await runScript('reset-kafka.mts', [...reset.split(' '), '--dry-run'], { env })).exitCode, 0, reset)
  assert.match((await run(declaring({ name: 'i.shrink' }))).stdout, /\nNothing can be changed\n/)
})

changes('touches only the topics named by --only', async () => {
  const file = declaring({ name: 'o.one' }, { name: 'o.two' }, { name: 'o.three' })
  assert.is((await run([...file, '--only', 'o.one', 'o.three'])).exitCode, 0)
  const names = (await everything()).map(({ name }) => name).filter((name) => name.startsWith('o.'))
  assert.equal(names, ['o.one', 'o.three'])
  assert.is((await run([...file, '--only', 'o.one', '--check'])).exitCode, 0)
})

changes('names what failed and what was done, and the next run completes it', async () => {
  // Each key is valid alone, so only the creation itself fails.
  const clash = { 'min.compaction.lag.ms': '100', 'max.compaction.lag.ms': '10' }
  const topics = [{ name: 'p.one' }, { name: 'p.bad', config: clash }, { name: 'p.two' }]
  const { exitCode, stdout } = await run([...declaring(...topics), '--json'])
  const report = JSON.parse(stdout)
  assert.is(exitCode, 1)
  assert.equal(report.done, ['p.one created', 'p.two created'])
  assert.equal(report.findings.length, 1)
  assert.equal([report.findings[0].code, report.findings[0].subject], ['TOPIC_NOT_CHANGED', 'p.bad'])
  assert.match(report.findings[0].found, /Kafka could not create the topic: .*min\.compaction\.lag\.ms/)
  const repaired = [
    { name: 'p.one' },
    { name: 'p.bad', config: { ...clash, 'max.compaction.lag.ms': '1000' } },
    { name: 'p.two' },
  ]
  const second = await run([...declaring(...repaired), '--json'])
  assert.equal([second.exitCode, JSON.parse(second.stdout).done], [0, ['p.bad created']])
})

changes('completes after a kill -9 before and after the broker has done its part', async () => {
  const moments = { before: 'k.before', after: 'k.after' }
  for (const [when, name] of Object.entries(moments)) {
    const file = declaring({ name, partitions: 2, config: { 'retention.ms': '1000' } })
    // The first CreateTopics request (API key 19) only validates.
    const killed = await run(file, { env: signalAt(env, `19:2:${when}:SIGKILL`) })
    assert.match(killed.stderr, new RegExp(`\\[at 19:2:${when}:SIGKILL\\]`))
    assert.is(killed.exitCode, null)
    const again = await run(file)
    assert.is(again.exitCode, 0, again.stdout + again.stderr)
    assert.equal(await kafka.config(name), { 'retention.ms': '1000' })
  }
})

changes('creates a topic while its deletion is in progress', async () => {
  const file = declaring({ name: 'e.again', partitions: 20 })
  await run(file)
  await kafka.produce('e.again', 1)
  const [{ exitCode, stdout }] = await kafka.admin((admin) => {
    const deleted = admin.deleteTopics({ topics: ['e.again'] })
    return Promise.all([run(file), deleted])
  })
  // The command saw the topic before, during or after its deletion. In each case, the next run leaves a new, empty topic.
  assert.is(exitCode, 0, stdout)
  assert.is((await run(file)).exitCode, 0)
  assert.equal(await kafka.highWatermarks('e.again'), Array(20).fill(0))
})

changes.run()

const exported = suite('create-topics --export')

exported('declares a manually created cluster, so that nothing is left to do', async () => {
  const configs: Record<string, Record<string, string>> = {
    'x.plain': {},
    null: { 'retention.ms': '1' },
    '-dash': { 'retention.ms': '-1', 'retention.bytes': '1000000', 'cleanup.policy': 'compact,delete' },
    '1e3': { 'retention.ms': '5400000', 'segment.ms': '60000', 'min.cleanable.dirty.ratio': '0.5' },
    _under: { 'max.message.bytes': '9223372', 'compression.type': 'zstd', 'compression.zstd.level': '-5' },
    'UPPER-case.9': {
      'message.timestamp.type': 'LogAppendTime',
      preallocate: 'TRUE',
      'unclean.leader.election.enable': 'false',
      'leader.replication.throttled.replicas': '*',
      'follower.replication.throttled.replicas': '0:1,1:1',
      // The broker's default, but set on the topic nevertheless.
      'min.insync.replicas': '1',
    },
  }
  const topics = Object.entries(configs).map(([topic, config], index) => ({
    topic,
    numPartitions: index + 1,
    replicationFactor: 1,
    configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
  }))
  await kafka.admin((admin) => admin.createTopics({ topics, waitForLeaders: true }))
  // Kafka's internal topics, which no declaration may contain.
  await kafka.commit('x-group', 'x.plain', 0)
  const before = await everything()
  const { exitCode, stdout, stderr } = await run(['--export'])
  assert.equal([exitCode, stderr], [0, ''])
  const file = path.join(folder, 'exported.yml')
  writeFileSync(file, stdout)
  const plan = JSON.parse((await run(['--file', file, '--dry-run', '--json'])).stdout)
  assert.equal(plan.findings, [])
  assert.equal(plan.plan, { create: [], grow: [], configure: [], impossible: [], undeclared: [] })
  assert.is((await run(['--file', file, '--check'])).exitCode, 0)
  // The repository's own declared topics survive a round trip.
  const shipped = await run(['--export', '--json', '--only', 'iqfeed.l2.raw'])
  assert.equal(JSON.parse(shipped.stdout).topics, [
    {
      name: 'iqfeed.l2.raw',
      partitions: 10,
      replication: 1,
      config: { 'compression.type': 'lz4', 'retention.ms': '86400000', 'segment.ms': '3600000' },
    },
  ])
  // Recreated from the file, they are as before.
  await kafka.admin((admin) => admin.deleteTopics({ topics: Object.keys(configs) }))
  assert.is((await run(['--file', file])).exitCode, 0)
  assert.equal(await everything(), before)
  await kafka.admin((admin) => admin.deleteTopics({ topics: Object.keys(configs) }))
})

exported('refuses what it cannot do', async () => {
  const missing = await run(['--export', '--only', 'no.such'])
  assert.equal([missing.exitCode, missing.stdout], [2, ''])
  assert.match(missing.stderr, /^✗ --only no\.such: found no such topic, expected .*iqfeed\.l2\.raw/)
  for (const flag of ['--dry-run', '--check', '--file=x.yml']) {
    const { exitCode, stderr } = await run(['--export', flag])
    assert.is(exitCode, 2)
    assert.match(stderr, 'found together, expected one of them')
  }
})

exported.run()

const wrong = suite('create-topics, wrong files and wrong use')

wrong('names every mistake of the file at once, and then every one that only the broker can find', async () => {
  const file = path.join(folder, 'wrong.yml')
  writeFileSync(
    file,
    `topics:
  - name: w.one
    partitions: none
    replication: 2
    config: { no.such.key: 1, compression.type: lz5, retention.ms: 100 }
  - name: iqfeed_l2.raw
    partitions: 1
    replication: 1
    config: { retention.ms: soon }
  - name: w.two
    partitions: many
    replication: 1
`,
  )
  const before = await everything()
  const mistakes = async () => {
    const { exitCode, stdout, stderr } = await run(['--file', file])
    assert.equal([exitCode, stdout], [2, ''])
    const lines = stderr.matchAll(/^✗ .*wrong\.yml:(\d+:\d+)((?: [\w.]+)*): .* \[(\w+)\]$/gm)
    return { stderr, found: [...lines].map(([, at, what, code]) => [at, what, code]) }
  }
  assert.equal((await mistakes()).found, [
    ['3:17', ' w.one partitions', 'YAML_VALUE'],
    ['11:17', ' w.two partitions', 'YAML_VALUE'],
  ])
  writeFileSync(file, readFileSync(file, 'utf8').replace('none', '1').replace('many', '1'))
  const { stderr, found } = await mistakes()
  assert.equal(found, [
    ['4:18', ' w.one replication', 'TOPIC_REPLICATION'],
    ['5:15', ' w.one no.such.key', 'TOPIC_CONFIG'],
    ['5:31', ' w.one compression.type', 'TOPIC_CONFIG'],
    ['6:11', ' iqfeed_l2.raw', 'TOPIC_COLLISION'],
    ['9:15', ' iqfeed_l2.raw retention.ms', 'TOPIC_CONFIG'],
  ])
  assert.match(stderr, /Kafka refuses "1": Unknown topic config name: no\.such\.key/)
  assert.match(stderr, /at most 1, the number of brokers/)
  assert.equal(await everything(), before)
})

wrong('names the mistakes of the file immediately, without a broker', async () => {
  const file = declaring({ name: 'bad name' })
  const { exitCode, stderr } = await run(file, { env: { ...env, KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' } })
  assert.is(exitCode, 2)
  assert.match(stderr, /^✗ .*: found "bad name", expected/)
})

wrong('refuses an undeclared name, and flags out of range or in conflict', async () => {
  const both = await run(['--check', '--dry-run'])
  assert.equal([both.exitCode, both.stderr.includes('--check --dry-run: found together')], [2, true])
  const { exitCode, stderr } = await run(['--only', 'no.such.topic'])
  assert.is(exitCode, 2)
  assert.match(stderr, /--only no\.such\.topic: found no declared topic, expected iqfeed\.l2\.raw /)
  assert.is((await run(['--timeout', '0'])).exitCode, 2)
  assert.is((await run(['--file', path.join(folder, 'absent.yml')])).exitCode, 2)
})

wrong('exits 3 and names the cause when no broker answers in time', async () => {
  // A name that cannot be resolved may belong to another machine.
  const at = (servers: string) =>
    run(['--timeout', '5', '--yes'], { env: { ...env, KAFKA_BOOTSTRAP_SERVERS: servers } })
  const refused = await at('127.0.0.1:1')
  assert.is(refused.exitCode, 3)
  assert.match(
    refused.stderr,
    /\? kafka: no answer from 127\.0\.0\.1:1 within 5 s \(connection refused\) \[KAFKA_UNREACHABLE\]\n {4}→ npm start/,
  )
  const unknown = await at('no-such-host.invalid:9092')
  assert.is(unknown.exitCode, 3)
  assert.match(unknown.stderr, /\(unknown host name\) .*\n {4}→ edit \.env: KAFKA_BOOTSTRAP_SERVERS=…\n$/)
})

wrong('exits 3 when the broker stops answering, and when it dies during a change', async () => {
  const pid = runningEmbedded(settings.EMBEDDED_DATA_DIR).find(({ name }) => name === 'kafka')?.pid
  assert.ok(pid)
  process.kill(pid, 'SIGSTOP')
  try {
    const silent = await run(['--timeout', '2'])
    assert.is(silent.exitCode, 3)
    assert.match(silent.stderr, / within 2 s \(timed out\) .*\n {4}→ \.\/scripts\/health-check\.mts\n$/)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  if (KAFKA_MODE === 'zookeeper') {
    // Without ZooKeeper, the broker still lists its topics, but not their configuration.
    const zookeeper = runningEmbedded(settings.EMBEDDED_DATA_DIR).find(({ name }) => name === 'zookeeper')?.pid
    assert.ok(zookeeper)
    process.kill(zookeeper, 'SIGSTOP')
    try {
      for (const script of ['create-topics.mts', 'reset-kafka.mts']) {
        const half = await runScript(script, ['--timeout', '2', ...(script === 'reset-kafka.mts' ? ['--yes'] : [])], {
          env,
        })
        assert.is(half.exitCode, 3)
        assert.match(half.stderr, /\(timed out\) \[KAFKA_UNREACHABLE\]\n {4}→ \.\/scripts\/health-check\.mts\n$/)
      }
    } finally {
      process.kill(zookeeper, 'SIGCONT')
    }
  }
  // Stopped just before it makes the change, the command finds the broker dead when it continues.
  const file = declaring({ name: 's.one' })
  const { exitCode, stderr } = await runAround('create-topics.mts', file, env, '19:1:before', async () => {
    process.kill(pid, 'SIGKILL')
  })
  assert.is(exitCode, 3)
  assert.match(stderr, /\((the connection was closed|connection refused)\) \[KAFKA_UNREACHABLE\]/)
})

wrong.after(async () => {
  await stopEmbedded(settings.EMBEDDED_DATA_DIR)
  rmSync(settings.EMBEDDED_DATA_DIR, { recursive: true })
  rmSync(folder, { recursive: true })
})

wrong.run()
