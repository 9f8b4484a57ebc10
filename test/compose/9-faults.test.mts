/** Faults of containers and volumes: health-check or the failing command names the cause, and following its hint fixes it without loss. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { reported } from './commands.mts'
import {
  BASE_ENV,
  compose,
  docker,
  HELPER,
  healthyAgain,
  output,
  removeStack,
  run,
  type Service,
  script,
  shell,
  TREE,
  up,
  volumes,
  writeEnv,
} from './engine.mts'
import { type Note, reportedSuite } from './suite.mts'
import { DEFAULT_ACCESS, prepare, readAll, STORES, startWriter, type Writer, writeSome } from './writer.mts'

const { test, run: runSuite } = reportedSuite('faults')
const REDIS = BASE_ENV.REDIS_IMAGE ?? 'redis:8.10.1-alpine'

/** Returns the finding with this code about this service, once health-check reports it. */
async function finding(code: string, service: Service, timeoutMs = 60_000): Promise<{ found: string; hint: string }> {
  let codes: string[] = []
  for (const end = Date.now() + timeoutMs; Date.now() < end; await delay(500)) {
    const { exitCode, findings } = await reported('health-check.mts')
    const one = findings.find((candidate) => candidate.code === code && candidate.subject.startsWith(service))
    codes = findings.map((candidate) => `${candidate.subject} ${candidate.code} (${candidate.found.slice(0, 300)})`)
    if (!one) continue
    assert.is(exitCode, 1)
    return one
  }
  throw new Error(`No finding ${service} ${code} within ${timeoutMs / 1000} s, but: ${codes.join(', ') || 'none'}`)
}

/** Runs the command at the end of a hint, verbatim. */
async function follow(hint: string, from = 0): Promise<void> {
  const { exitCode, stderr, stdout } = await shell(
    `set -e; ${hint.slice(from).replaceAll('docker-compose run', 'docker-compose run -T')}`,
  )
  assert.is(exitCode, 0, `${hint}: ${stderr.slice(-2000)}${stdout.slice(-500)}`)
}

async function allThere(acknowledged: Writer['acknowledged'], note: Note, access = DEFAULT_ACCESS): Promise<void> {
  const found = await readAll(access)
  for (const store of STORES)
    assert.equal(
      acknowledged[store].filter((id) => !found[store].has(id)),
      [],
      `${store} lost something`,
    )
  note(`nothing lost: ${STORES.map((store) => `${acknowledged[store].length} in ${store}`).join(', ')}`)
}

test('a password in .env that differs from the containers’ password', async (note) => {
  writeEnv()
  await removeStack()
  await up()
  await script('create-topics.mts')
  await prepare()
  const acknowledged = await writeSome(20)
  writeEnv({ CLICKHOUSE_PASSWORD: 'changed', REDIS_PASSWORD: 'changed' })
  const clickhouse = await finding('CLICKHOUSE_AUTH', 'clickhouse')
  const redis = await finding('REDIS_NO_PASSWORD', 'redis')
  note(`ClickHouse: ${clickhouse.found} → ${clickhouse.hint}`)
  note(`Redis: ${redis.found} → ${redis.hint}`)
  await follow('docker-compose up -d clickhouse; docker-compose up -d redis')
  await healthyAgain({})
  assert.is((await reported('health-check.mts')).exitCode, 0)
  const access = { ...DEFAULT_ACCESS, redis: { port: 6380, password: 'changed' } }
  access.clickhouse = { ...access.clickhouse, password: 'changed' }
  await allThere(acknowledged, note, access)
  writeEnv()
  const back = await finding('REDIS_AUTH', 'redis')
  note(`Redis, with the passwords swapped: ${back.found} → ${back.hint}`)
  await up()
})

test('ZooKeeper volumes of another cluster', async (note) => {
  writeEnv()
  await up()
  await prepare()
  await script('create-topics.mts')
  const acknowledged = await writeSome(20)
  await compose('down')
  await docker('volume', 'rm', 'l2_zookeeper_data', 'l2_zookeeper_logs')
  // Waits for Kafka, which cannot start.
  assert.is((await run(['docker', 'compose', 'up', '-d'])).exitCode, 1)
  const { found, hint } = await finding('KAFKA_CLUSTER_ID', 'kafka')
  note(`${found} → ${hint}`)
  await follow(hint, hint.indexOf('docker-compose stop kafka'))
  // The test topic is not a declared one. When it is recreated, it finds its old log.
  await prepare()
  await allThere(acknowledged, note)
  assert.is((await script('create-topics.mts', '--check')).exitCode, 0)
})

test('a taken port', async (note) => {
  await compose('down')
  const holder = spawn(process.execPath, [
    '-e',
    'require("net").createServer().listen(6380, "127.0.0.1", () => console.log())',
  ])
  await once(holder.stdout, 'data')
  try {
    assert.is((await run(['docker', 'compose', 'up', '-d'])).exitCode, 1)
    // health-check connects to the process that holds the port, which is not Redis.
    const { exitCode, findings } = await reported('check-ports.mts')
    assert.is(exitCode, 1)
    const taken = findings.find(({ subject, found }) => `${subject} ${found}`.includes('6380'))
    note(`${taken?.subject}: ${taken?.found} → ${taken?.hint}`)
    assert.match(`${taken?.found}`, String(holder.pid))
    assert.is((await script('check-ports.mts', '--write-env')).exitCode, 0)
    await up()
    assert.is((await reported('health-check.mts')).exitCode, 0)
    note(
      readFileSync(path.join(TREE, '.env'), 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('REDIS_PORT'))
        .join(),
    )
  } finally {
    holder.kill()
  }
  await compose('down')
  writeEnv()
})

/** Backs a named volume of the stack with a small in-memory disk. */
const smallDisk = (volume: string, size: string) =>
  docker(
    ...[
      'volume',
      'create',
      '--label',
      'com.docker.compose.project=l2',
      '--label',
      `com.docker.compose.volume=${volume}`,
    ],
    ...['--opt', 'type=tmpfs', '--opt', 'device=tmpfs', '--opt', `o=size=${size},mode=777`, `l2_${volume}`],
  )

test('a full disk under Kafka, ClickHouse and Redis', async (note) => {
  writeEnv()
  await removeStack()
  const volumes = ['kafka_data', 'clickhouse_data', 'redis_data']
  // ClickHouse reserves 512 MB.
  for (const volume of volumes) await smallDisk(volume, volume === 'clickhouse_data' ? '640m' : '96m')
  // An in-memory disk disappears as soon as no container uses it. One container therefore keeps all of them during the test, and fills and
  // empties them too.
  const mounts = volumes.flatMap((volume) => ['-v', `l2_${volume}:/disks/${volume}`])
  await docker(
    'run',
    '-d',
    '--name',
    'l2-test-disks',
    '--label',
    HELPER,
    '--user',
    '0',
    ...mounts,
    '--entrypoint',
    'sleep',
    REDIS,
    '900',
  )
  const inDisks = (line: string) =>
    run(['docker', 'exec', 'l2-test-disks', 'sh', '-c', `for disk in /disks/*; do ${line}; done`])
  let writer: Writer | undefined
  try {
    await up()
    await script('create-topics.mts')
    await prepare()
    const acknowledged = await writeSome(20)
    await inDisks('dd if=/dev/zero of=$disk/filler bs=64k')
    // Only a write detects a full disk. Writes acknowledged now do not count, because their pages may never reach the disk.
    writer = startWriter()
    for (const [code, service] of [
      ['DISK_FULL', 'kafka'],
      ['CLICKHOUSE_DISK', 'clickhouse'],
      ['REDIS_AOF_WRITE', 'redis'],
    ] as const) {
      const { found, hint } = await finding(code, service)
      note(`${service}: ${found} → ${hint}`)
    }
    await writer.stop()
    await inDisks('rm $disk/filler')
    // Free space is enough: Docker restarts Kafka, and the others never stopped.
    await healthyAgain({})
    const { findings } = await reported('health-check.mts', '--wait', '30')
    assert.equal(
      findings.filter(({ severity }) => severity === 'error'),
      [],
    )
    await allThere(acknowledged, note)
  } finally {
    await writer?.stop()
    await docker('rm', '--force', 'l2-test-disks')
  }
})

test('a broken init file', async (note) => {
  writeEnv()
  await removeStack()
  const init = path.join(TREE, 'clickhouse', 'init')
  const [first = ''] = readdirSync(init).sort()
  const last = readdirSync(init).sort().at(-1) ?? ''
  const broken = path.join(init, '005_broken.sql')
  writeFileSync(broken, 'CREATE TABLE IF NOT EXISTS broken (value NoSuchType) ENGINE = MergeTree ORDER BY value')
  await compose('up', '-d')
  const { found, hint } = await finding('CLICKHOUSE_INIT', 'clickhouse')
  note(`${found} → ${hint}`)
  assert.match(found, '005_broken.sql')
  assert.match(found, last.replace(/^\d+_|\.sql$/g, ''))
  assert.ok(first > '005_broken.sql')
  rmSync(broken)
  await follow(hint, hint.indexOf('npm run'))
  await healthyAgain({})
  assert.is((await reported('health-check.mts', '--only', 'clickhouse')).exitCode, 0)
})

test('removal leaves nothing of the stack behind', async () => {
  await removeStack()
  assert.is(await output(['docker', 'ps', '-aq', '--filter', 'label=com.docker.compose.project=l2']), '')
  assert.equal(await volumes(), [])
})

runSuite()
