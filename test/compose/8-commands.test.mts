/** The project's commands against containers: what they do, and what they report about a container's state. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { reported } from './commands.mts'
import {
  BASE_ENV,
  CLEAN_ENV,
  compose,
  docker,
  HELPER,
  healthyAgain,
  inspect,
  removeStack,
  SERVICES,
  script,
  shell,
  TREE,
  up,
  writeEnv,
} from './engine.mts'
import { reportedSuite } from './suite.mts'

const { test, run } = reportedSuite('commands against containers')
const REDIS = BASE_ENV.REDIS_IMAGE ?? 'redis:8.10.1-alpine'

test('npm start starts the containers and creates tables and topics, and changes nothing when run again', async (note) => {
  writeEnv()
  await removeStack()
  const first = await reported('start.mts')
  assert.is(first.exitCode, 0, JSON.stringify(first.findings))
  assert.is(first.data.mode, 'docker')
  assert.is(first.data.wasRunning, false)
  note(`in ${((first.data.tookMs ?? 0) / 1000).toFixed(1)} s`)
  const second = await reported('start.mts')
  assert.is(second.exitCode, 0)
  assert.is(second.data.wasRunning, true)
})

test('npm start refuses files that the containers’ users cannot read, and its hint fixes their permissions', async () => {
  await shell('chmod -R o-rwx clickhouse kafka redis zookeeper')
  const { exitCode, findings } = await reported('start.mts')
  assert.equal(
    [exitCode, findings.map(({ code, subject }) => [code, subject])],
    [2, [['MOUNT_UNREADABLE', 'clickhouse']]],
  )
  assert.is((await shell(findings[0]?.hint ?? '')).exitCode, 0)
  assert.is((await reported('start.mts')).exitCode, 0)
})

test('create-topics keeps the topics that npm start created, and creates missing ones', async () => {
  assert.match((await script('create-topics.mts', '--check')).stdout, 'Nothing to do')
  await docker(
    'exec',
    // Its own heap size, not the broker's: two such heaps do not fit into the container.
    '--env',
    'KAFKA_HEAP_OPTS=-Xmx64m',
    'l2_kafka',
    '/opt/kafka/bin/kafka-topics.sh',
    '--bootstrap-server',
    'kafka:29092',
    '--delete',
    '--topic',
    'market.features',
  )
  assert.is((await script('create-topics.mts', '--check')).exitCode, 1)
  const { exitCode, stdout, stderr } = await script('create-topics.mts')
  assert.is(exitCode, 0, stderr)
  assert.match(stdout, 'market.features created')
})

test('health-check --deep reports every service healthy', async (note) => {
  const { exitCode, findings, data } = await reported('health-check.mts', '--deep', '--timeout', '30')
  assert.equal(findings, [])
  assert.is(exitCode, 0)
  assert.is(data.mode, 'docker')
  const healthy = data.services?.filter(({ state }) => state === 'healthy').map(({ service }) => service)
  for (const service of SERVICES) assert.ok(healthy?.includes(service), service)
  note(data.services?.map(({ service, summary }) => `${service}: ${summary}`).join(' · ') ?? '')
})

test('npm run ui serves its page beside Kafka UI, on another port', async () => {
  const ui = spawn(path.join(TREE, 'scripts/ui.mts'), ['--no-open'], {
    env: CLEAN_ENV,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [printed] = await once(ui.stdout, 'data')
  const url = String(printed).trim()
  assert.is(url, 'http://127.0.0.1:8090')
  const healthy = async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text()
    return SERVICES.every((service) => metrics.includes(`l2_service_state{service="${service}",state="healthy"} 1\n`))
  }
  const isHealthy = await waitUntil(healthy, { timeoutMs: 60_000, pollMs: 500 })
  ui.kill('SIGINT')
  const [exitCode] = await once(ui, 'exit')
  assert.equal([isHealthy, exitCode], [true, 0])
})

test('reset-kafka deletes and recreates the declared topics', async () => {
  const { exitCode, stdout, stderr } = await script('reset-kafka.mts', '--yes')
  assert.is(exitCode, 0, stderr)
  assert.match(stdout, 'Reset and verified')
})

test('check-ports reports the published ports as ours and names the containers', async () => {
  const { exitCode, stdout } = await script('check-ports.mts')
  assert.is(exitCode, 0)
  for (const [port, container] of [
    ['6380', 'l2_redis'],
    ['9092', 'l2_kafka'],
    ['8123', 'l2_clickhouse'],
    ['2181', 'l2_zookeeper'],
  ]) {
    assert.match(stdout, new RegExp(`127\\.0\\.0\\.1:${port} .*ours.*${container}`))
  }
})

test('health-check names a stopped container, and its hint starts it', async () => {
  await docker('stop', 'l2_redis')
  const { exitCode, findings } = await reported('health-check.mts')
  assert.is(exitCode, 1)
  assert.equal(
    findings.map(({ code, subject, hint }) => ({ code, subject, hint })),
    [{ code: 'CONTAINER_STATE', subject: 'redis', hint: 'docker-compose up -d' }],
  )
  assert.match(findings[0]?.found ?? '', 'its container state is exited (exit code 0)')
  await compose('up', '-d')
  await healthyAgain({})
  assert.is((await reported('health-check.mts')).exitCode, 0)
})

test('create-topics and reset-kafka name the stopped Kafka container, and change nothing', async () => {
  await docker('stop', 'l2_kafka')
  for (const [name, ...args] of [['create-topics.mts'], ['reset-kafka.mts', '--yes']] as [string, ...string[]][]) {
    const { exitCode, findings } = await reported(name, ...args, '--timeout', '2')
    assert.is(exitCode, 3)
    assert.equal(
      findings.map(({ code, hint }) => ({ code, hint })),
      [{ code: 'CONTAINER_STATE', hint: 'docker-compose up -d' }],
    )
  }
  await up()
})

test('npm stop stops the containers, but deletes neither them nor their data', async () => {
  assert.is((await script('stop.mts')).exitCode, 0)
  for (const service of SERVICES) assert.is((await inspect(service)).State.Status, 'exited', service)
  assert.is((await reported('start.mts')).exitCode, 0)
})

test('health-check names a paused container, and its hint resumes it', async () => {
  await docker('pause', 'l2_redis')
  const { exitCode, findings } = await reported('health-check.mts', '--only', 'redis', '--timeout', '2')
  await compose('unpause', 'redis')
  assert.is(exitCode, 1)
  assert.equal(
    findings.map(({ code, hint }) => ({ code, hint })),
    [{ code: 'CONTAINER_STATE', hint: 'docker-compose unpause redis' }],
  )
  await healthyAgain({})
})

test('health-check names a container that was killed for lack of memory', async (note) => {
  writeEnv({ CLICKHOUSE_MEMORY_LIMIT: '48m' })
  await compose('up', '-d')
  // The first kill follows within seconds. The container is then restarted and killed repeatedly.
  let codes: string[] = []
  for (let tries = 0; tries < 30 && !codes.includes('CONTAINER_OOM'); tries++) {
    await delay(1_000)
    const { findings } = await reported('health-check.mts', '--only', 'clickhouse')
    codes = findings.map(({ code }) => code)
    const killed = findings.find(({ code }) => code === 'CONTAINER_OOM')
    if (killed) {
      assert.is(killed.hint, 'raise CLICKHOUSE_MEMORY_LIMIT in .env, then: docker-compose up -d')
      note(killed.found)
    }
  }
  assert.ok(codes.includes('CONTAINER_OOM'), codes.join())
  writeEnv()
  await up()
  assert.is((await reported('health-check.mts')).exitCode, 0)
})

test('health-check --deep reports the memory use of containers, and warns of one near its limit', async (note) => {
  const LIMIT_MIB = 256
  writeEnv({ REDIS_MEMORY_LIMIT: `${LIMIT_MIB}m`, REDIS_MAX_MEMORY: '16mb' })
  await up()
  const deep = async () => {
    const { findings, data } = await reported('health-check.mts', '--deep', '--only', 'redis', '--timeout', '30')
    return { findings, percent: Number(data.services?.[0]?.details.memoryPercent) }
  }
  const idle = await deep()
  assert.equal(idle.findings, [])
  assert.ok(idle.percent > 0 && idle.percent < 50, `${idle.percent} %`)
  // Files in a memory file system count towards the container's memory, as its processes do.
  const fill = Math.round(((95 - idle.percent) / 100) * LIMIT_MIB)
  await docker('exec', 'l2_redis', 'sh', '-c', `head -c ${fill}m /dev/zero > /run/redis/fill`)
  const { findings, percent } = await deep()
  assert.ok(percent > 90, `${percent} %`)
  assert.equal(
    findings.map(({ severity, code, subject, hint }) => ({ severity, code, subject, hint })),
    [
      {
        severity: 'warning',
        code: 'CONTAINER_MEMORY',
        subject: 'redis container',
        hint: 'raise REDIS_MEMORY_LIMIT in .env, then: docker-compose up -d',
      },
    ],
  )
  note(`${idle.percent} %, then: ${findings[0]?.found}`)
  writeEnv()
  await up()
  assert.equal((await deep()).findings, [])
})

test('backup copies the database out of the container, and restore recovers it', async (note) => {
  const ask = async (query: string) =>
    (await docker('exec', 'l2_clickhouse', 'clickhouse-client', '--query', query)).trim()
  const rows = "SELECT count(), sum(cityHash64(*)) FROM l2_market_data.market_l2 WHERE symbol = 'BACKUP'"
  await ask(`INSERT INTO l2_market_data.market_l2 (symbol, timestamp, side, price, size, operation)
             SELECT 'BACKUP', '2026-01-05 14:30:00', 'bid', 450, number, 'insert' FROM numbers(1000)`)
  const before = await ask(rows)
  const folder = path.join(TREE, 'backups')
  assert.equal(
    (await reported('backup.mts', '--to', folder)).findings.map(({ code }) => code),
    ['BACKUP_RIGHT'],
  )
  writeEnv({ CLICKHOUSE_EXTRA_GRANTS: 'BACKUP' })
  await compose('up', '-d', '--wait', 'clickhouse')
  const made = await reported('backup.mts', '--to', folder)
  assert.equal([made.exitCode, made.findings], [0, []])
  assert.is(await docker('exec', 'l2_clickhouse', 'ls', '/var/lib/clickhouse/backups'), '')
  await ask('DROP DATABASE l2_market_data SYNC')
  const back = await reported('restore.mts', '--backup', 'latest', '--from', folder)
  assert.equal([back.exitCode, back.findings], [0, []])
  assert.is(await ask(rows), before)
  assert.is(await docker('exec', 'l2_clickhouse', 'ls', '/var/lib/clickhouse/backups'), '')
  note(before.replace('\t', ' rows, checksum '))
})

test('npm start with a broken Kafka UI exits with 1, and everything else works', async () => {
  await removeStack()
  writeEnv({ KAFKA_UI_MEMORY_LIMIT: '6m' })
  const { exitCode, findings } = await reported('start.mts')
  assert.equal([exitCode, findings.map(({ subject }) => subject.split(' ')[0])], [1, ['kafka-ui']])
  assert.match((await script('create-topics.mts', '--check')).stdout, 'Nothing to do')
  writeEnv()
  assert.is((await reported('start.mts')).exitCode, 0)
})

test('check-ports names the holder of a taken port: a process, and a container', async () => {
  await compose('down')
  const holder = spawn(process.execPath, [
    '-e',
    'require("net").createServer().listen(8123, "127.0.0.1", () => console.log())',
  ])
  await once(holder.stdout, 'data')
  await docker('run', '-d', '--name', 'l2-test-holder', '--label', HELPER, '-p', '127.0.0.1:6380:6379', REDIS)
  try {
    const { exitCode, findings } = await reported('check-ports.mts')
    assert.is(exitCode, 1)
    const of = (port: string) =>
      JSON.stringify(findings.filter(({ subject, found }) => `${subject} ${found}`.includes(port)))
    assert.match(of('8123'), String(holder.pid))
    assert.match(of('6380'), 'l2-test-holder')
  } finally {
    holder.kill()
    await docker('rm', '--force', 'l2-test-holder')
  }
})

run()
