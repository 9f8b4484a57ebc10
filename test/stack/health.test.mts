/** The command health-check: every finding on a real service with exactly that fault, and the same service without it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ClickHouseClient, createClient } from '@clickhouse/client'
import { Redis } from 'ioredis'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { lastLines, launch } from '../../scripts/lib/engines/embedded/processes.mts'
import type { EmbeddedName } from '../../scripts/lib/engines/service.mts'
import { attempt } from '../../scripts/lib/health/probe.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { syncTopics } from '../../scripts/lib/topics/topics.mts'
import { runScript } from '../support/command.mts'
import { installed, pids, start, stop } from '../support/embedded.mts'
import { KafkaHelper } from '../support/kafka.mts'
import { applyInitFiles, KAFKA_MODE, startStack, type TestStack } from '../support/stack.mts'

let stack: TestStack
let redis: Redis
let clickhouse: ClickHouseClient
let kafka: KafkaHelper

/** No engine answers there, whatever this machine has. */
const NO_DOCKER = { DOCKER_HOST: 'unix:///nonexistent/docker.sock', NO_COLOR: '1' }

const check = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  runScript('health-check.mts', args, { env: { ...stack.env, ...NO_DOCKER, ...env } })

interface Health {
  exitCode: number
  mode: string
  services: { service: string; state: string; summary: string; details: Record<string, unknown> }[]
  findings: Finding[]
}

/** Returns the object that `--json` prints, which must be all that is on stdout. */
async function health(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Health> {
  const { exitCode, stdout, stderr } = await check([...args, '--json'], env)
  assert.is(stderr, '')
  const object = JSON.parse(stdout)
  assert.equal([object.version, object.exitCode], [1, exitCode])
  return object
}

/** Returns the exit code, and `severity CODE subject: found[, expected …]` per finding, for one service. */
async function outcomeOf(service: string, env: NodeJS.ProcessEnv = {}, args: string[] = []): Promise<string[]> {
  const { exitCode, findings } = await health(['--only', service, ...args], env)
  for (const { hint } of findings) assert.ok(hint)
  const lines = findings.map(
    ({ severity, code, subject, found, expected }) =>
      `${severity} ${code} ${subject}: ${found}${expected === undefined ? '' : `, expected ${expected}`}`,
  )
  return [`exit ${exitCode}`, ...lines]
}

const GOOD = ['exit 0']

/** Returns ZooKeeper's expected state beside services in `state`. In KRaft mode, it is not part of the stack. */
const ofZookeeper = (state: string) => (KAFKA_MODE === 'kraft' ? 'skipped' : state)

async function healthyStack(): Promise<void> {
  stack = await startStack()
  await applyInitFiles(stack.settings)
  await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log: () => {} })
  redis = new Redis({ port: stack.settings.REDIS_PORT })
  clickhouse = createClient({
    url: `http://127.0.0.1:${stack.settings.CLICKHOUSE_HTTP_PORT}`,
    username: 'l2_user',
    password: stack.settings.CLICKHOUSE_PASSWORD,
    database: 'l2_market_data',
    // The server waits for open connections when it stops.
    keep_alive: { enabled: false },
  })
  kafka = new KafkaHelper(stack.settings)
}

const probes = suite('health-check')

probes.before(healthyStack)

probes.after(async () => {
  redis.disconnect()
  await clickhouse.close()
  await stack.stop()
})

probes('a good stack is healthy, and Kafka UI is not part of it', async () => {
  const { exitCode, mode, services, findings } = await health([])
  assert.equal([exitCode, mode, findings], [0, 'embedded', []])
  const states = services.map(({ service, state }) => `${service} ${state}`)
  const three = ['kafka healthy', 'clickhouse healthy', 'redis healthy']
  assert.equal(states, [`zookeeper ${ofZookeeper('healthy')}`, ...three, 'kafka-ui skipped'])
  const details = Object.fromEntries(services.map((each) => [each.service, each.details]))
  if (KAFKA_MODE === 'kraft') {
    assert.is(services[0]?.summary, 'not part of this target (KAFKA_MODE=kraft)')
    assert.equal([details.kafka?.quorumVoters, details.kafka?.quorumLag], [1, 0])
    assert.match(services[1]?.summary ?? '', /^1 broker, KRaft quorum of 1, 5 topics/)
  } else {
    assert.equal([details.zookeeper?.mode, details.zookeeper?.version], ['standalone', '3.8.6'])
    // Kafka's session. The probe's own connections do not count.
    assert.is(details.zookeeper?.sessions, 1)
    assert.is(services[0]?.summary, 'standalone, 1 session')
    assert.is(details.kafka?.quorumVoters, undefined)
  }
  assert.equal([details.kafka?.brokers, details.kafka?.topics, details.kafka?.offline], [1, 5, 0])
  assert.equal([details.redis?.maxMemoryPolicy, details.redis?.appendOnly], ['allkeys-lru', true])
})

probes('text and JSON report the same', async () => {
  await redis.config('SET', 'maxmemory', '1mb')
  const { services, findings } = await health([])
  const { exitCode, stdout } = await check([])
  await redis.config('SET', 'maxmemory', '2gb')
  assert.is(exitCode, 1)
  const lines = stdout.split('\n')
  for (const [index, { service, state }] of services.entries()) {
    assert.match(lines[index] as string, new RegExp(`^${service} +${state} `))
  }
  assert.is(findings.length, 1)
  const { code, subject, found, expected, hint } = findings[0] as Finding
  assert.is(lines[5], `✗ ${subject}: found ${found}, expected ${expected} [${code}]`)
  assert.equal(lines.slice(6), [`    → ${hint}`, ''])
})

for (const [key, bad, good, finding] of [
  ['maxmemory', '1mb', '2gb', 'REDIS_MAXMEMORY redis maxmemory: 1048576 B, expected 2147483648 B'],
  [
    'maxmemory-policy',
    'noeviction',
    'allkeys-lru',
    'REDIS_POLICY redis maxmemory-policy: noeviction, expected allkeys-lru',
  ],
  ['appendonly', 'no', 'yes', 'REDIS_AOF_OFF redis appendonly: no, expected yes'],
] as const) {
  probes(`Redis with another ${key} is unhealthy`, async () => {
    await redis.config('SET', key, bad)
    assert.equal(await outcomeOf('redis'), ['exit 1', `error ${finding}`])
    await redis.config('SET', key, good)
    assert.equal(await outcomeOf('redis'), GOOD)
  })
}

probes('Redis with a password that differs from .env, in either direction, is unhealthy', async () => {
  const refused = (word: string) => ['exit 1', `error REDIS_AUTH redis: login refused (${word})`]
  assert.equal(await outcomeOf('redis', { REDIS_PASSWORD: 'missing' }), [
    'exit 1',
    'error REDIS_NO_PASSWORD redis password: none, expected a password',
  ])
  await redis.config('SET', 'requirepass', 'asked')
  assert.equal(await outcomeOf('redis'), refused('NOAUTH'))
  assert.equal(await outcomeOf('redis', { REDIS_PASSWORD: 'wrong' }), refused('WRONGPASS'))
  assert.equal(await outcomeOf('redis', { REDIS_PASSWORD: 'asked' }), GOOD)
  await redis.config('SET', 'requirepass', '')
})

probes('Redis that evicted keys is a warning', async () => {
  await redis.config('SET', 'maxmemory', '4mb')
  for (let index = 0; index < 50; index++) await redis.set(`l2:evicted:${index}`, 'x'.repeat(100_000))
  await redis.config('SET', 'maxmemory', '2gb')
  const [exit, warning] = await outcomeOf('redis')
  assert.is(exit, 'exit 0')
  assert.match(warning as string, /^warning REDIS_EVICTED redis evicted keys: [1-9]\d*, expected 0$/)
  await redis.config('RESETSTAT')
  assert.equal(await outcomeOf('redis'), GOOD)
})

probes('ClickHouse with another password, user or database is unhealthy', async () => {
  const refused = (user: string) => [
    'exit 1',
    `error CLICKHOUSE_AUTH clickhouse: login as ${user} (CLICKHOUSE_USER, CLICKHOUSE_PASSWORD) refused`,
  ]
  assert.equal(await outcomeOf('clickhouse', { CLICKHOUSE_PASSWORD: 'wr-ong' }), refused('l2_user'))
  assert.equal(await outcomeOf('clickhouse', { CLICKHOUSE_USER: 'nobody' }), refused('nobody'))
  assert.equal(await outcomeOf('clickhouse', { CLICKHOUSE_DATABASE: 'nowhere' }), [
    'exit 1',
    'error CLICKHOUSE_DATABASE clickhouse: no database nowhere',
  ])
})

probes('ClickHouse without a table is unhealthy', async () => {
  await clickhouse.command({ query: 'DROP TABLE market_metrics SYNC' })
  const [exit, finding] = await outcomeOf('clickhouse')
  assert.is(exit, 'exit 1')
  assert.match(
    finding as string,
    /^error SCHEMA_MISSING market_metrics: no table, expected as clickhouse\/init declares it/,
  )
  await applyInitFiles(stack.settings)
  assert.equal(await outcomeOf('clickhouse'), GOOD)
})

probes('ClickHouse with a thousand parts in a partition is a warning', async () => {
  await clickhouse.command({ query: 'CREATE TABLE parts (a UInt32) ENGINE = MergeTree ORDER BY a' })
  await clickhouse.command({ query: 'SYSTEM STOP MERGES parts' })
  const settings =
    'max_block_size = 1, min_insert_block_size_rows = 1, min_insert_block_size_bytes = 1, max_insert_threads = 1'
  await clickhouse.command({ query: `INSERT INTO parts SELECT number FROM numbers(1001) SETTINGS ${settings}` })
  assert.equal(await outcomeOf('clickhouse'), [
    'exit 0',
    'warning CLICKHOUSE_PARTS clickhouse parts in one partition: 1001, expected at most 1000',
  ])
  await clickhouse.command({ query: 'DROP TABLE parts SYNC' })
  assert.equal(await outcomeOf('clickhouse'), GOOD)
})

probes('ClickHouse with a broken part is a warning', async () => {
  const query = `SELECT data_paths[1] AS folder FROM system.tables WHERE database = 'l2_market_data' AND name = 'market_l1'`
  const [table] = await (await clickhouse.query({ query, format: 'JSONEachRow' })).json<{ folder: string }>()
  mkdirSync(path.join(table?.folder as string, 'detached', 'broken-on-start_202611_1_1_0'))
  assert.equal(await outcomeOf('clickhouse'), [
    'exit 0',
    'warning CLICKHOUSE_BROKEN clickhouse broken parts: 1, expected none',
  ])
  const drop = `ALTER TABLE market_l1 DROP DETACHED PART 'broken-on-start_202611_1_1_0' SETTINGS allow_drop_detached = 1`
  await clickhouse.command({ query: drop })
  assert.equal(await outcomeOf('clickhouse'), GOOD)
})

probes('ClickHouse with a failing roll-up, which blocks its dependents, is unhealthy', async () => {
  const query =
    "CREATE MATERIALIZED VIEW failing REFRESH EVERY 1 HOUR ENGINE = Memory AS SELECT throwIf(1, 'out of luck') AS a"
  await clickhouse.command({ query })
  const warned = async () => (await outcomeOf('clickhouse')).length > 1 && outcomeOf('clickhouse')
  const [exit, found] = (await waitUntil(warned, { timeoutMs: 20_000, pollMs: 200 })) || []
  assert.is(exit, 'exit 1')
  assert.match(found as string, /^error CLICKHOUSE_REFRESH clickhouse failing: last refresh failed: .*out of luck/)
  await clickhouse.command({ query: 'DROP TABLE failing SYNC' })
  assert.equal(await outcomeOf('clickhouse'), GOOD)
})

probes('ClickHouse with a detached table or a failing mutation is unhealthy', async () => {
  await clickhouse.command({ query: 'DETACH TABLE market_metrics' })
  const detached = await health(['--only', 'clickhouse'])
  assert.is(detached.exitCode, 1)
  const [finding] = detached.findings.filter(({ code }) => code === 'CLICKHOUSE_DETACHED')
  assert.equal([finding?.subject, finding?.hint], ['clickhouse market_metrics', 'ATTACH TABLE market_metrics'])
  await clickhouse.command({ query: finding?.hint ?? '' })
  assert.equal(await outcomeOf('clickhouse'), GOOD)

  await clickhouse.command({ query: 'CREATE TABLE stuck (a String) ENGINE = MergeTree ORDER BY tuple()' })
  await clickhouse.command({ query: "INSERT INTO stuck VALUES ('no number')" })
  const update = 'ALTER TABLE stuck UPDATE a = toString(toUInt8(a)) WHERE 1 SETTINGS mutations_sync = 0'
  await clickhouse.command({ query: update })
  const fails = async () => (await outcomeOf('clickhouse')).length > 1 && outcomeOf('clickhouse')
  const [exit, found] = (await waitUntil(fails, { timeoutMs: 20_000, pollMs: 200 })) || []
  assert.is(exit, 'exit 1')
  assert.match(found as string, /^error CLICKHOUSE_MUTATION clickhouse stuck: mutation mutation_2.txt fails/)
  await clickhouse.command({ query: 'DROP TABLE stuck SYNC' })
  assert.equal(await outcomeOf('clickhouse'), GOOD)
})

probes('Redis that refuses writes (replica, full, cannot save) is unhealthy', async () => {
  await redis.call('REPLICAOF', '127.0.0.1', '1')
  const line = 'error REDIS_REPLICA redis role: replica of 127.0.0.1:1, expected master'
  assert.equal(await outcomeOf('redis'), ['exit 1', line])
  await redis.call('REPLICAOF', 'NO', 'ONE')
  assert.equal(await outcomeOf('redis'), GOOD)

  const folder = (await redis.config('GET', 'dir'))[1] as string
  // A snapshot cannot replace a folder.
  mkdirSync(path.join(folder, 'dump.rdb', 'held'), { recursive: true })
  await redis.config('SET', 'save', '3600 1')
  await redis.bgsave().catch(() => {})
  const failed = async () => (await outcomeOf('redis')).length > 1 && outcomeOf('redis')
  assert.equal(await waitUntil(failed, { timeoutMs: 20_000, pollMs: 200 }), [
    'exit 1',
    'error REDIS_SNAPSHOT redis last snapshot: err, expected ok',
  ])
  rmSync(path.join(folder, 'dump.rdb'), { recursive: true })
  await redis.config('SET', 'save', '')
  await redis.bgsave()
  const good = async () => (await outcomeOf('redis')).length === 1
  assert.ok(await waitUntil(good, { timeoutMs: 20_000, pollMs: 200 }))

  await redis.config('SET', 'maxmemory-policy', 'noeviction')
  await redis.config('SET', 'maxmemory', '1mb')
  await redis.set('l2:large', 'x'.repeat(1_100_000)).catch(() => {})
  const full = (await health(['--only', 'redis'])).findings.map(({ code }) => code)
  await redis.config('SET', 'maxmemory', '2gb')
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
  await redis.del('l2:large')
  assert.ok(full.includes('REDIS_FULL'), full.join())
  assert.equal(await outcomeOf('redis'), GOOD)
})

probes('Kafka without a declared topic, or with another configuration, is unhealthy', async () => {
  const configEntries = [
    { name: 'compression.type', value: 'gzip' },
    { name: 'retention.ms', value: '86400000' },
  ]
  await kafka.admin(async (admin) => {
    await admin.deleteTopics({ topics: ['market.features'] })
    const resources = [{ type: 2, name: 'trading.signals', configEntries }]
    await admin.alterConfigs({ validateOnly: false, resources })
  })
  const { exitCode, findings } = await health(['--only', 'kafka'])
  assert.is(exitCode, 1)
  const lines = findings.map(({ code, subject, found }) => `${code} ${subject} ${found}`).sort()
  assert.is(lines.length, 2)
  assert.match(lines[0] as string, /^TOPIC_CONFIG .*trading\.signals.*gzip/)
  assert.match(lines[1] as string, /^TOPIC_MISSING .*market\.features/)
  await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log: () => {} })
  assert.equal(await outcomeOf('kafka'), GOOD)
})

probes('a lagging consumer group is a warning, and far behind is unhealthy', async () => {
  const topic = 'l2-lag'
  await kafka.admin((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }))
  const behind = (severity: string, records: number, limit: number) =>
    `${severity} KAFKA_LAG kafka group l2-behind: ${records} records behind, expected at most ${limit}`
  await kafka.produce(topic, 1010)
  await kafka.commit('l2-behind', topic, 10)
  assert.equal(await outcomeOf('kafka'), GOOD)
  await kafka.commit('l2-behind', topic, 9)
  assert.equal(await outcomeOf('kafka'), ['exit 0', behind('warning', 1001, 1000)])
  assert.equal(await outcomeOf('kafka', {}, ['--lag-warning', '1001']), GOOD)
  assert.equal(await outcomeOf('kafka', {}, ['--lag-critical', '1000']), ['exit 1', behind('error', 1001, 1000)])
  assert.equal(await outcomeOf('kafka', {}, ['--lag-critical', '500']), ['exit 1', behind('error', 1001, 500)])
  await kafka.produce(topic, 8999)
  assert.equal(await outcomeOf('kafka'), ['exit 0', behind('warning', 10_000, 1000)])
  await kafka.produce(topic, 1)
  assert.equal(await outcomeOf('kafka'), ['exit 1', behind('error', 10_001, 10_000)])
  assert.equal(await outcomeOf('kafka', {}, ['--lag-warning', '20000']), ['exit 1', behind('error', 10_001, 10_000)])
  await kafka.admin(async (admin) => {
    await admin.deleteGroups(['l2-behind'])
    await admin.deleteTopics({ topics: [topic] })
  })
  assert.equal(await outcomeOf('kafka'), GOOD)
})

probes('records available to a group without commits count as lag', async () => {
  const topic = 'l2-uncommitted'
  await kafka.admin((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }))
  await kafka.produce(topic, 12_000)
  const behind = (severity: string, group: string, records: number, uncommitted: number, limit: number) =>
    `${severity} KAFKA_LAG kafka group ${group}: ${records} records behind, ${uncommitted} of them in partitions with nothing committed, counted from the first record, expected at most ${limit}`
  assert.equal(await outcomeOf('kafka'), GOOD)
  await kafka.whileReading('l2-silent', topic, async () => {
    assert.equal(await outcomeOf('kafka'), ['exit 0', behind('warning', 'l2-silent', 12_000, 12_000, 1000)])
  })
  await kafka.admin((admin) => admin.deleteGroups(['l2-silent']))

  await kafka.commit('l2-partly', topic, 12_000)
  await kafka.admin((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }))
  await kafka.produce(topic, 1000)
  assert.equal(await outcomeOf('kafka'), ['exit 0', behind('warning', 'l2-partly', 2000, 1000, 1000)])
  // Deleted records do not count as lag.
  await kafka.admin(async (admin) => {
    // kafkajs deletes records only of topics whose offsets it has fetched.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '999' }] })
  })
  const { services } = await health(['--only', 'kafka'])
  assert.equal(services[0]?.details.groups, [{ group: 'l2-partly', lag: 1001, uncommitted: 1, ahead: 0 }])
  await kafka.admin(async (admin) => {
    await admin.deleteGroups(['l2-partly'])
    await admin.deleteTopics({ topics: [topic] })
  })
  assert.equal(await outcomeOf('kafka'), GOOD)
})

probes('committed offsets above the end of a topic are not a lag of 0', async () => {
  const topic = 'l2-ahead'
  await kafka.admin((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true }))
  await kafka.produce(topic, 10)
  await kafka.commit('l2-ahead-group', topic, 10)
  assert.equal(await outcomeOf('kafka'), GOOD)
  await kafka.commit('l2-ahead-group', topic, 999_999)
  const { exitCode, findings, services } = await health(['--only', 'kafka'])
  assert.equal(
    [exitCode, ...findings.map(({ severity, code, subject }) => `${severity} ${code} ${subject}`)],
    [1, 'error KAFKA_GROUP_AHEAD kafka group l2-ahead-group'],
  )
  assert.match(
    findings[0]?.found ?? '',
    /^committed offsets up to 999989 records above the end of l2-ahead\/[01], l2-ahead\/[01]: /,
  )
  assert.is(
    findings[0]?.hint,
    'stop its consumers, then: ./scripts/consumer-groups.mts reset --group l2-ahead-group --topic l2-ahead --to latest',
  )
  assert.equal(services[0]?.details.groups, [
    { group: 'l2-ahead-group', lag: null, uncommitted: 0, ahead: 2 * 999_989 },
  ])
  await kafka.admin(async (admin) => {
    await admin.deleteGroups(['l2-ahead-group'])
    await admin.deleteTopics({ topics: [topic] })
  })
  assert.equal(await outcomeOf('kafka'), GOOD)
})

/** Everything that a check could leave behind. */
const everything = async () => ({
  topics: await kafka.admin(async (admin) => (await admin.listTopics()).sort()),
  groups: await kafka.admin(async (admin) => (await admin.listGroups()).groups.map(({ groupId }) => groupId).sort()),
  tables: await (await clickhouse.query({ query: 'SHOW TABLES', format: 'JSONEachRow' })).json(),
  keys: (await redis.keys('*')).sort(),
})

probes('--deep writes to each service and leaves nothing behind', async () => {
  const [before, commands] = [await everything(), await redis.info('commandstats')]
  assert.is((await health(['--deep'])).exitCode, 0)
  assert.equal(await everything(), before)
  const sets = (stats: string) => Number(/cmdstat_set:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  // One by the probe of Redis, one by the canary.
  assert.is(sets(await redis.info('commandstats')) - sets(commands), 2)
})

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  probes(`--deep leaves nothing behind when ${name} ends it`, async () => {
    const before = await everything()
    const child = spawn(path.join(ROOT, 'scripts', 'health-check.mts'), ['--deep', '--only', 'canary'], {
      env: { ...stack.env, ...NO_DOCKER },
    })
    const ended = once(child, 'close')
    const query = "SELECT 1 FROM system.tables WHERE name LIKE 'canary\\\\_%\\\\_queue'"
    const made = async () => (await (await clickhouse.query({ query, format: 'JSONEachRow' })).json()).length > 0
    assert.ok(await waitUntil(made, { timeoutMs: 30_000, pollMs: 10 }))
    child.kill(name)
    assert.equal(await ended, [null, name])
    assert.equal(await everything(), before)
  })
}

probes('--deep reports a failing write beside other findings', async () => {
  await redis.config('SET', 'maxmemory-policy', 'noeviction')
  await redis.config('SET', 'min-replicas-to-write', '1')
  const [exit, policy, write] = await outcomeOf('redis', {}, ['--deep'])
  await redis.config('SET', 'min-replicas-to-write', '0')
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
  assert.equal([exit, /^error (\w+)/.exec(policy as string)?.[1]], ['exit 1', 'REDIS_POLICY'])
  assert.match(write as string, /^error REDIS_WRITE redis scratch key: NOREPLICAS /)

  const limit = (value: string) =>
    kafka.admin((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: 4, name: '1', configEntries: [{ name: 'message.max.bytes', value }] }],
      }),
    )
  // The broker applies a change a moment after it was made.
  const outcomeOnce = (exit: string) =>
    waitUntil(
      async () => {
        const lines = await outcomeOf('kafka', {}, ['--deep'])
        return lines[0] === exit && lines
      },
      { timeoutMs: 20_000, pollMs: 100 },
    )
  await limit('10')
  const [, kafkaWrite, ...more] = (await outcomeOnce('exit 1')) || []
  await limit('1048588')
  assert.match(kafkaWrite as string, /^error KAFKA_WRITE kafka scratch topic: /)
  assert.equal(more, [])
  assert.equal(await outcomeOnce('exit 0'), GOOD)
})

probes('--deep bounds a write by its deadline, and still cleans up after it', async () => {
  let tidied = false
  const findings = await attempt('REDIS_WRITE', 'redis scratch key', { hint: 'wait', timeoutMs: 50 }, async () => {
    await delay(200)
    tidied = true
    throw new Error('too late to report')
  })
  assert.equal([findings.map(({ found }) => found), tidied], [['did not finish within 0.05 s'], false])
  await delay(250)
  assert.equal([findings.length, tidied], [1, true])
})

probes('--deep removes what a killed check left, and nothing of a running one', async () => {
  const [old, now] = [Date.now() - 3_600_000, Date.now()]
  const topics = [old, now].map((ms) => `health-check-${ms}-0`)
  const tables = [old, now].map((ms) => `health_check_${ms}_0`)
  const groups = [old, now].map((ms) => `l2-canary-${ms}_0`)
  await kafka.admin((admin) => admin.createTopics({ topics: topics.map((topic) => ({ topic })), waitForLeaders: true }))
  for (const table of tables) await clickhouse.command({ query: `CREATE TABLE ${table} (a UInt8) ENGINE = Memory` })
  // The groups' own topics are gone.
  for (const group of groups) await kafka.commit(group, 'trading.signals', 0)
  assert.is((await health(['--deep'])).exitCode, 0)
  const left = await kafka.admin(async (admin) => [
    (await admin.listTopics()).filter((topic) => topics.includes(topic)),
    (await admin.listGroups()).groups.map(({ groupId }) => groupId).filter((group) => groups.includes(group)),
  ])
  const query = "SELECT name FROM system.tables WHERE startsWith(name, 'health_check_')"
  const kept = await (await clickhouse.query({ query, format: 'JSONEachRow' })).json<{ name: string }>()
  assert.equal([...left, kept.map(({ name }) => name)], [[topics[1]], [groups[1]], [tables[1]]])
  await clickhouse.command({ query: `DROP TABLE ${tables[1]} SYNC` })
  await kafka.admin(async (admin) => {
    await admin.deleteTopics({ topics: [topics[1] as string] })
    await admin.deleteGroups([groups[1] as string])
  })
})

probes('a topic with a longer retention than declared is a warning, and stays unchanged', async () => {
  const configEntries = [
    { name: 'compression.type', value: 'lz4' },
    { name: 'retention.ms', value: '604800000' },
  ]
  const resources = [{ type: 2, name: 'trading.signals', configEntries }]
  await kafka.admin((admin) => admin.alterConfigs({ validateOnly: false, resources }))
  const [exit, warning, ...more] = await outcomeOf('kafka')
  assert.equal([exit, more], ['exit 0', []])
  assert.match(warning as string, /^warning TOPIC_RETENTION_SHORTER trading\.signals retention\.ms: 604800000; with /)
  await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log: () => {} })
  assert.equal(await outcomeOf('kafka'), GOOD)
})

probes('--only contacts no other service', async () => {
  const { services } = await health(['--only', 'redis', 'zookeeper'], {
    KAFKA_BOOTSTRAP_SERVERS: 'no-such-host.invalid:1',
  })
  assert.equal(
    services.map(({ service, state }) => `${service} ${state}`),
    [`zookeeper ${ofZookeeper('healthy')}`, 'redis healthy'],
  )
})

probes('unknown services and flags are refused', async () => {
  const { exitCode, findings } = await health(['--only', 'redis', 'mysql', 'kafak'])
  assert.equal([exitCode, findings[0]?.code, findings[0]?.found], [2, 'USAGE', 'mysql, kafak'])
  assert.is((await check(['--wiat', '1'])).exitCode, 2)
  assert.is((await check(['--timeout', '0'])).exitCode, 2)
  for (const [flags, subject] of [
    [['--watch', '--wait', '5'], '--watch --wait'],
    [['--watch', '--json'], '--watch --json'],
    [['--lag-warning', '20000', '--lag-critical', '10000'], '--lag-warning'],
    [['--only', 'canary', 'redis'], '--only canary redis --deep'],
  ] as const) {
    const { exitCode, stdout, stderr } = await check([...flags])
    assert.equal([exitCode, `${stdout}${stderr}`.includes(subject)], [2, true])
  }
  const help = await check(['--help'])
  assert.equal([help.exitCode, help.stderr], [0, ''])
  assert.match(help.stdout, '--lag-warning RECORDS')
  assert.match(help.stdout, '(default 10000)')
})

probes('an unknown host exits 3, unless something else is known to be bad', async () => {
  const unknown = (service: string, address: string) => [
    'exit 3',
    `unknown NO_ANSWER ${service}: no answer from ${address} (unknown host name)`,
  ]
  const { CLICKHOUSE_HTTP_PORT: http, REDIS_PORT: port } = stack.settings
  const host = 'no-such-host.invalid'
  assert.equal(await outcomeOf('redis', { REDIS_HOST: host }), unknown('redis', `${host}:${port}`))
  assert.equal(await outcomeOf('clickhouse', { CLICKHOUSE_HOST: host }), unknown('clickhouse', `${host}:${http}`))
  assert.equal(await outcomeOf('kafka', { KAFKA_BOOTSTRAP_SERVERS: `${host}:9092` }), unknown('kafka', `${host}:9092`))
  const states = (await health([], { REDIS_HOST: host })).services.map(({ state }) => state)
  assert.equal(states, [ofZookeeper('healthy'), 'healthy', 'healthy', 'unknown', 'skipped'])
  const both = await health(['--only', 'redis', 'clickhouse'], { REDIS_HOST: host, CLICKHOUSE_PASSWORD: 'wr-ong' })
  assert.is(both.exitCode, 1)
})

probes('an ingest that ClickHouse does not report is neither off nor healthy', async () => {
  assert.equal(await outcomeOf('ingest'), GOOD)
  assert.equal(await outcomeOf('ingest', { CLICKHOUSE_PORT: '1' }), [
    'exit 3',
    'unknown INGEST_UNTOLD ingest: cannot determine whether it is on: no answer from ClickHouse at 127.0.0.1:1 (connection refused)',
  ])
  const [exit, refusal] = await outcomeOf('ingest', { CLICKHOUSE_PASSWORD: 'wr-ong' })
  assert.is(exit, 'exit 1')
  assert.match(refusal as string, /^error CLICKHOUSE_AUTH clickhouse: login as l2_user .* refused$/)
  // In addition to ClickHouse's own probe, which already reports it.
  const { services, findings } = await health([], { CLICKHOUSE_PORT: '1' })
  assert.equal([services.map(({ service }) => service).includes('ingest'), findings.length], [false, 1])
})

probes('services that hang are unhealthy, and healthy when they continue', async () => {
  const running = Object.values(pids(stack.settings))
  for (const pid of running) process.kill(pid, 'SIGSTOP')
  const { exitCode, services, findings } = await health(['--timeout', '0.5'])
  for (const pid of running) process.kill(pid, 'SIGCONT')
  assert.is(exitCode, 1)
  assert.equal(
    services.map(({ state }) => state),
    [ofZookeeper('unhealthy'), 'unhealthy', 'unhealthy', 'unhealthy', 'skipped'],
  )
  assert.equal(
    findings.map(({ code }) => code),
    running.map(() => 'NO_ANSWER'),
  )
  for (const { found } of findings) assert.match(found, /^no answer from [^;]* \(timed out( after [^)]*)?\)/)
  assert.is((await check(['--wait', '30'])).exitCode, 0)
})

probes('no output contains a password', async () => {
  const env = { REDIS_PASSWORD: 'wrong-secret', CLICKHOUSE_PASSWORD: 'wrong-secret' }
  for (const args of [[], ['--json'], ['--deep']]) {
    const { stdout, stderr } = await check(args, env)
    assert.match(stdout, 'CLICKHOUSE_AUTH')
    assert.not.match(`${stdout}${stderr}`, 'wrong-secret')
  }
})

const alone = suite('health-check of single, missing and starting services')
const stacks: TestStack[] = []

/** Stops all of them, after the last suite that uses them. */
const end = async () => {
  for (const each of stacks) await each.stop()
}

/** Starts only these services of a new stack, which is then checked. */
async function use(only: EmbeddedName[], overrides: NodeJS.ProcessEnv = {}): Promise<void> {
  stack = await startStack(only, overrides)
  stacks.push(stack)
}

alone('a missing stack refuses connections', async () => {
  await use([])
  const { exitCode, mode, services, findings } = await health([])
  assert.equal([exitCode, mode], [1, 'unknown'])
  assert.equal([...new Set(services.map(({ state }) => state))], [...new Set([ofZookeeper('unhealthy'), 'unhealthy'])])
  for (const { code, found, hint } of findings) {
    assert.equal([code, hint], ['NO_ANSWER', 'npm start'])
    assert.match(found, /^no answer from .*\d \(connection refused\)$/)
  }
})

alone('Kafka UI is healthy when it reports that it is up', async () => {
  // A fake, because Kafka UI is only available as an image. These are its health endpoint's answers.
  let answer = { status: 200, body: '{"status":"UP","groups":["liveness","readiness"]}' }
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/actuator/health' ? answer.status : 404
    response.end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(stack.settings.KAFKA_UI_PORT, '127.0.0.1', resolve))
  assert.equal(await outcomeOf('kafka-ui'), GOOD)
  answer = { status: 503, body: '{"status":"DOWN"}' }
  assert.equal(await outcomeOf('kafka-ui'), [
    'exit 1',
    'error KAFKA_UI_DOWN kafka-ui: 503 {"status":"DOWN"}, expected 200 with status UP',
  ])
  server.close()
})

alone('--wait ends healthy when the service comes up', async () => {
  let coming: Promise<unknown> | undefined
  const watch = (stderr: string) => {
    if (/^Waiting up to 60 s/m.test(stderr)) coming ??= start(stack.settings, ['redis'])
  }
  const env = { ...stack.env, ...NO_DOCKER }
  const { exitCode, stdout } = await runScript('health-check.mts', ['--only', 'redis', '--wait', '60'], { env, watch })
  await coming
  assert.is(exitCode, 0)
  assert.match(stdout, /^redis +healthy [^\n]*\n$/)
})

alone('--wait times out and says why', async () => {
  const { exitCode, stdout, stderr } = await check(['--only', 'redis', 'kafka', '--wait', '1'])
  assert.equal([exitCode, stderr], [1, 'Waiting up to 1 s for the stack to become healthy\n'])
  assert.match(stdout, /^kafka +unhealthy .*\nredis +healthy .*\n✗ kafka: no answer from 127/)
})

alone('--wait keeps to its time despite a service that hangs', async () => {
  const pid = pids(stack.settings).redis as number
  process.kill(pid, 'SIGSTOP')
  const startMs = performance.now()
  const { exitCode } = await check(['--only', 'redis', '--wait', '2'])
  const tookMs = performance.now() - startMs
  process.kill(pid, 'SIGCONT')
  // Without a limit, each of the two checks would take the 5 s of --timeout.
  assert.equal([exitCode, tookMs < 5_000], [1, true])
})

alone('--watch repeats, with findings, until it is ended', async () => {
  const child = spawn(path.join(ROOT, 'scripts', 'health-check.mts'), ['--only', 'redis', 'kafka', '--watch'], {
    env: { ...stack.env, ...NO_DOCKER },
  })
  let stdout = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
    if (stdout.split('✗ kafka').length > 2) child.kill('SIGINT')
  })
  const [exitCode, signal] = await once(child, 'close')
  assert.equal([exitCode, signal], [null, 'SIGINT'])
  assert.match(stdout, /^\d{4}-\d\d-\d\dT[^\n]*\nkafka +unhealthy [^\n]*\nredis +healthy /)
})

alone('--watch ends when its reader is gone', async () => {
  const child = spawn(path.join(ROOT, 'scripts', 'health-check.mts'), ['--only', 'redis', 'kafka', '--watch'], {
    env: { ...stack.env, ...NO_DOCKER },
  })
  child.stdout.once('data', () => child.stdout.destroy())
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const [exitCode, signal] = await once(child, 'exit')
  clearTimeout(timer)
  assert.equal([exitCode, signal], [1, null])
})

alone('a killed service shows the end of its log', async () => {
  process.kill(pids(stack.settings).redis as number, 'SIGKILL')
  const [exit, finding] = await outcomeOf('redis', {}, ['--timeout', '2'])
  assert.is(exit, 'exit 1')
  assert.match(
    finding as string,
    /^error NO_ANSWER redis: no answer from [^;]*; its log ends with ".*Ready to accept connections"/,
  )
  await start(stack.settings, ['redis'])
  assert.equal(await outcomeOf('redis'), GOOD)
})

alone('a service that ended for a known cause is reported with it', async () => {
  await use([])
  const { EMBEDDED_DATA_DIR: folder } = stack.settings
  const taken = String((stacks[0] as TestStack).settings.REDIS_PORT)
  const launched = { command: installed.redisServer, args: ['--port', taken], env: {} }
  const { log } = launch(folder, { name: 'redis', ...launched })
  await waitUntil(async () => lastLines(log, 9).join().includes('aborting'), { timeoutMs: 10_000, pollMs: 20 })
  const { findings } = await health(['--only', 'redis'])
  assert.equal(
    findings.map(({ code, hint }) => [code, hint]),
    [['PORT_TAKEN', 'npm run ports']],
  )
  assert.match(findings[0]?.found as string, /\(connection refused\); its log shows a port held by another program$/)
})

alone('Redis that is still loading its append-only file is reported as such', async () => {
  await use([])
  const folder = path.join(stack.settings.EMBEDDED_DATA_DIR, 'redis')
  mkdirSync(folder)
  const resp = (...words: string[]) =>
    [`*${words.length}`, ...words.flatMap((word) => [`$${word.length}`, word]), ''].join('\r\n')
  // Redis checks its clients every 1,024 commands. The scripts make it do so a few times a second, for several seconds.
  const pause = resp('EVAL', 'local i = 0 while i < 2e7 do i = i + 1 end', '0')
  const commands = `${resp('SET', 'l2:test', 'x').repeat(1024)}${pause}`.repeat(15)
  writeFileSync(path.join(folder, 'appendonly.aof'), `${resp('SELECT', '0')}${commands}`)
  const coming = start(stack.settings, ['redis'])
  let seen: string[] = []
  const loading = async () => {
    seen = await outcomeOf('redis')
    return seen[1]?.includes('REDIS_LOADING')
  }
  await waitUntil(loading, { timeoutMs: 60_000, pollMs: 20 })
  assert.equal(seen, ['exit 1', 'error REDIS_LOADING redis: loading its append-only file'])
  assert.equal(await coming, { redis: 'started' })
  assert.equal(await outcomeOf('redis'), GOOD)
})

alone('a killed embedded stack has no Kafka UI', async () => {
  process.kill(pids(stack.settings).redis as number, 'SIGKILL')
  const { mode, services } = await health(['--only', 'redis', 'kafka-ui'])
  assert.equal([mode, ...services.map(({ state }) => state)], ['embedded', 'unhealthy', 'skipped'])
})

alone('a stopped embedded stack has no Kafka UI', async () => {
  await start(stack.settings, ['redis'])
  await stop(stack.settings)
  const { exitCode, mode, services } = await health([])
  const states = [ofZookeeper('unhealthy'), 'unhealthy', 'unhealthy', 'unhealthy', 'skipped']
  assert.equal([exitCode, mode, ...services.map(({ state }) => state)], [1, 'embedded', ...states])
})

alone('a refused login does not explain a service that does not answer', async () => {
  await use(['clickhouse'])
  assert.match((await outcomeOf('clickhouse', { CLICKHOUSE_PASSWORD: 'wr-ong' }))[1] as string, 'CLICKHOUSE_AUTH')
  process.kill(pids(stack.settings).clickhouse as number, 'SIGKILL')
  const { findings } = await health(['--only', 'clickhouse'])
  assert.equal(
    findings.map(({ code }) => code),
    ['NO_ANSWER'],
  )
})

alone('Kafka whose advertised address does not answer is unhealthy', async () => {
  await use(['zookeeper', 'kafka'], { KAFKA_ADVERTISED_HOST: '127.0.0.9' })
  const port = stack.settings.KAFKA_LISTENER_PORT
  const { exitCode, findings } = await health(['--only', 'kafka'])
  assert.is(exitCode, 1)
  const advertised = findings.filter(({ code }) => code === 'KAFKA_ADVERTISED')
  assert.equal(
    advertised.map(({ subject, found }) => `${subject}: ${found}`),
    [`kafka broker 1: advertised as 127.0.0.9:${port}, where no broker answers`],
  )
})

const contained = suite('health-check of containers')

/** Creates a fake `docker` with one container, of Redis. The test needs no more of an engine than these answers. */
function fakeDocker(state: Record<string, unknown>, percent: string): NodeJS.ProcessEnv {
  const folder = mkdtempSync(path.join(stack.settings.EMBEDDED_DATA_DIR, 'docker-'))
  const container = {
    Id: 'abc',
    Name: '/l2_redis',
    RestartCount: 0,
    Config: { Labels: { 'com.docker.compose.service': 'redis' } },
    State: {
      Status: 'running',
      ExitCode: 0,
      OOMKilled: false,
      Error: '',
      StartedAt: '2026-01-01T00:00:00Z',
      FinishedAt: '2026-01-01T01:00:00Z',
      ...state,
    },
  }
  const answers = {
    ps: 'echo abc',
    inspect: `printf '%s' '${JSON.stringify([container])}'`,
    events: 'true',
    stats: `printf 'l2_redis\\t%s\\t1.9GiB / 2GiB\\n' '${percent}'`,
    // The last seven lines, of which the finding shows as many as it requests.
    logs: 'seq -f "line %g" 1 7 | tail -n "$3"',
  }
  const cases = Object.entries(answers).map(([name, answer]) => `${name}) ${answer};;`)
  writeFileSync(path.join(folder, 'docker'), `#!/bin/sh\ncase "$1" in\n${cases.join('\n')}\nesac\n`, { mode: 0o755 })
  return { PATH: `${folder}:${process.env.PATH}`, EMBEDDED_DATA_DIR: folder }
}

contained('warns of a container with little memory left, with --deep', async () => {
  await use(['redis'])
  const env = fakeDocker({}, '95.20%')
  assert.equal(await outcomeOf('redis', env), GOOD)
  assert.equal(await outcomeOf('redis', env, ['--deep']), [
    'exit 0',
    'warning CONTAINER_MEMORY redis container: 95.2 % of its limit in use (1.9GiB / 2GiB), expected at most 90 %',
  ])
  const { findings, services } = await health(['--only', 'redis', '--deep'], fakeDocker({}, '90.00%'))
  assert.equal([findings, services[0]?.details.memoryPercent, services[0]?.details.memory], [[], 90, '1.9GiB / 2GiB'])
})

contained('a stopped container is unhealthy, whatever answers on its port', async () => {
  const Health = { Status: 'unhealthy', Log: [{ Output: 'old' }] }
  for (const [Status, fix] of [
    ['exited', 'docker-compose up -d'],
    ['paused', 'docker-compose unpause redis'],
  ]) {
    const { exitCode, findings } = await health(['--only', 'redis'], fakeDocker({ Status, Health }, '0%'))
    assert.is(exitCode, 1)
    assert.equal(
      findings.map(({ code, subject, found, expected, hint }) => [code, subject, found, expected, hint]),
      [
        [
          'CONTAINER_STATE',
          'redis container',
          `${Status}, though its port answers`,
          'running',
          `npm run ports, then: ${fix}`,
        ],
      ],
    )
  }
})

contained(
  'reports the health check of a container that does not answer, and after --wait the end of its log',
  async () => {
    const Health = { Status: 'unhealthy', Log: [{ Output: 'Could not connect to Redis\n' }] }
    const env = { ...fakeDocker({ Health }, '5%'), REDIS_PORT: '1' }
    const [exit, finding] = await outcomeOf('redis', env)
    assert.is(exit, 'exit 1')
    assert.match(
      finding as string,
      /\(connection refused\); its health check reports "Could not connect to Redis"; its log ends with "line 7"/,
    )
    const { exitCode, stderr } = await check(['--only', 'redis', '--wait', '1'], env)
    const lines = [3, 4, 5, 6, 7].map((line) => `  line ${line}`)
    assert.equal([exitCode, stderr.split('\n').slice(1)], [1, ['The log of redis ends with', ...lines, '']])
  },
)

contained('a container that never ran is unhealthy', async () => {
  for (const FinishedAt of ['0001-01-01T00:00:00Z', '']) {
    const env = { ...fakeDocker({ Status: 'created', FinishedAt, Health: null }, '0%'), REDIS_PORT: '1' }
    const { exitCode, findings } = await health(['--only', 'redis'], env)
    assert.equal([exitCode, findings.map(({ code }) => code)], [1, ['CONTAINER_STATE']])
    assert.match(findings[0]?.found ?? '', /its container state is created; its log ends with "line 7"$/)
  }
})

contained('--wait keeps to its time despite a docker that hangs', async () => {
  const env = fakeDocker({}, '0%')
  writeFileSync(path.join(env.EMBEDDED_DATA_DIR as string, 'docker'), '#!/bin/sh\nexec sleep 60\n')
  const startMs = performance.now()
  const { exitCode } = await check(['--only', 'redis', '--wait', '2'], { ...env, REDIS_PORT: '1' })
  // Far below the 60 s that this docker takes, far above what a busy machine needs.
  assert.equal([exitCode, performance.now() - startMs < 45_000], [1, true])
})

contained.after(end)

probes.run()
alone.run()
contained.run()
