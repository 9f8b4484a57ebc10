/**
 * KAFKA_MODE=kraft: the data folder is formatted once and keeps its records. Each mode refuses the data folder of the other. The commands
 * work as with ZooKeeper. Also runs the container's command of docker-compose.kraft.yml on the same jars.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { interpolate } from '../../scripts/lib/settings/interpolate.mts'
import { ROOT, readSettings, type Settings } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../support/command.mts'
import { ALL, endStacks, failureOf, newStack, pids, start, stop } from '../support/embedded.mts'
import { KafkaHelper } from '../support/kafka.mts'
import { cleanEnv, hasCompose, projectFolder } from '../support/project.mts'
import { applyInitFiles, stackEnv } from '../support/stack.mts'

const kraft = await install('kraft', () => {})
const zookeeper = await install('zookeeper', () => {})
const BROKER = ['zookeeper', 'kafka'] as const

const folderOf = (settings: Settings) => path.join(settings.EMBEDDED_DATA_DIR, 'kafka')
const metaOf = (settings: Settings) => readFileSync(path.join(folderOf(settings), 'meta.properties'), 'utf8')

const embedded = suite('KAFKA_MODE=kraft')

embedded.after(endStacks)

embedded(
  'formats the folder at the first start, without ZooKeeper, and keeps records, offsets and cluster id',
  async () => {
    const settings = await newStack({ KAFKA_MODE: 'kraft' })
    assert.equal(await start(settings, [...BROKER], kraft), { kafka: 'started' })
    assert.equal(Object.keys(pids(settings)), ['kafka'])
    assert.not.ok(existsSync(path.join(settings.EMBEDDED_DATA_DIR, 'zookeeper')))
    const meta = metaOf(settings)
    assert.match(meta, /^version=1$/m)
    assert.match(meta, /^cluster\.id=[A-Za-z0-9]{22}$/m)
    const kafka = new KafkaHelper(settings)
    await kafka.admin((admin) =>
      admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 2 }], waitForLeaders: true }),
    )
    await kafka.produce('kept', 5)
    await kafka.commit('reader', 'kept', 3)
    assert.equal(await stop(settings), [{ name: 'kafka', how: 'stopped' }])
    // The voter's address is configuration: the controller may move.
    const [port] = [settings.KAFKA_CONTROLLER_PORT + 1]
    const moved = { ...settings, KAFKA_CONTROLLER_PORT: port }
    assert.equal(await start(moved, [...BROKER], kraft), { kafka: 'started' })
    assert.is(metaOf(settings), meta)
    assert.equal(await kafka.highWatermarks('kept'), [5, 5])
    assert.equal(await kafka.committed('reader', 'kept'), [3, 3])
    process.kill(pids(settings).kafka as number, 'SIGKILL')
    assert.equal(await start(moved, [...BROKER], kraft), { kafka: 'started' })
    assert.is(metaOf(settings), meta)
    assert.equal(await kafka.highWatermarks('kept'), [5, 5])
  },
)

embedded('formats again after an interrupted formatting, and never otherwise', async () => {
  const settings = await newStack({ KAFKA_MODE: 'kraft' })
  mkdirSync(`${folderOf(settings)}.new/half`, { recursive: true })
  mkdirSync(folderOf(settings))
  writeFileSync(path.join(folderOf(settings), '.lock'), '')
  assert.equal(await start(settings, [...BROKER], kraft), { kafka: 'started' })
  assert.not.ok(existsSync(`${folderOf(settings)}.new`))
  await stop(settings)
  const files = () => readdirSync(folderOf(settings)).sort()
  rmSync(path.join(folderOf(settings), 'meta.properties'))
  const before = files()
  const { exitCode, code, found } = await failureOf(start(settings, [...BROKER], kraft))
  assert.equal([exitCode, code], [2, 'KAFKA_MODE'])
  assert.match(found, /^partitions without meta\.properties/)
  assert.equal([files(), pids(settings)], [before, {}])
})

embedded('refuses data of the other mode in both directions, and changes nothing', async () => {
  const withZookeeper = await newStack({ KAFKA_MODE: 'zookeeper' })
  assert.equal(await start(withZookeeper, [...BROKER], zookeeper), { zookeeper: 'started', kafka: 'started' })
  await stop(withZookeeper)
  const inKraft: Settings = { ...withZookeeper, KAFKA_MODE: 'kraft' }
  const meta = metaOf(withZookeeper)
  const folder = folderOf(withZookeeper)
  const refused = await failureOf(start(inKraft, ALL, kraft))
  assert.equal(refused, {
    exitCode: 2,
    severity: 'error',
    code: 'KAFKA_MODE',
    subject: folder,
    found: 'data of Kafka with ZooKeeper, which KRaft mode cannot use',
    hint: `to use it, set KAFKA_MODE=zookeeper in .env; to start with an empty folder and keep this one: npm stop; mv '${folder}' '${folder}-zookeeper'; npm start (docs/kraft.md)`,
  })
  assert.equal([pids(inKraft), metaOf(inKraft)], [{}, meta])
  // What Kafka's own migration leaves behind (docs/kraft.md). Neither mode starts with it.
  const metadata = path.join(folder, '__cluster_metadata-0')
  mkdirSync(metadata)
  for (const [settings, installed] of [
    [inKraft, kraft],
    [withZookeeper, zookeeper],
  ] as const) {
    const { exitCode, code, found, hint } = await failureOf(start(settings, ALL, installed))
    assert.equal([exitCode, code, pids(settings)], [2, 'KAFKA_MODE', {}])
    assert.match(found, /^data of a broker that was migrated to KRaft/)
    assert.match(hint, /start it with its controller; .* mv '.+' '.+-migrated'; npm start/)
  }
  rmdirSync(metadata)
  assert.equal(await start(withZookeeper, [...BROKER], zookeeper), { zookeeper: 'started', kafka: 'started' })
  await stop(withZookeeper)
  const settings = await newStack({ KAFKA_MODE: 'kraft' })
  await start(settings, [...BROKER], kraft)
  await stop(settings)
  const back = await failureOf(start({ ...settings, KAFKA_MODE: 'zookeeper' }, ALL, zookeeper))
  assert.equal([back.exitCode, back.code, pids(settings)], [2, 'KAFKA_MODE', {}])
  assert.is(back.found, 'data of Kafka in KRaft mode, which Kafka 3.9 with ZooKeeper cannot use')
  // The broker's own error, where nothing checks the folder first, as in the container.
  writeFileSync(path.join(folder, 'meta.properties'), metaOf(settings))
  await start(withZookeeper, ['zookeeper'], zookeeper)
  const broker = spawnSync(
    zookeeper.java,
    [
      ...['-Xmx64m', `-Dlog4j.configuration=file:${path.join(ROOT, 'kafka/log4j.properties')}`],
      ...['-cp', zookeeper.jars.join(':'), 'kafka.Kafka', path.join(ROOT, 'kafka/server.properties')],
      ...['--override', `log.dirs=${folder}`],
      ...['--override', `zookeeper.connect=127.0.0.1:${withZookeeper.ZOOKEEPER_CLIENT_PORT}`],
    ],
    { encoding: 'utf8', timeout: 60_000 },
  )
  assert.match(`${broker.stdout}${broker.stderr}`, /ZK-based brokers that are not migrating/)
})

embedded('creates topics, plays and stores messages, and resets', async () => {
  const env = await stackEnv({ KAFKA_MODE: 'kraft' })
  const settings = readSettings(env)
  const from = await newStack(env)
  assert.equal(Object.keys(await start(from, ALL, kraft)).sort(), ['clickhouse', 'kafka', 'redis'])
  await applyInitFiles(settings)
  const run = async (script: string, ...args: string[]) => {
    const { exitCode, stdout, stderr } = await runScript(script, args, {
      env: { ...env, DOCKER_HOST: 'unix:///nonexistent' },
    })
    assert.is(exitCode, 0, `${script}: ${stdout}${stderr}`)
    return stdout
  }
  await run('create-topics.mts')
  await run('ingest.mts', 'on')
  await run('replay.mts', '--generate', '--count', '1000', '--fast')
  const stored = async () => {
    const { topics } = JSON.parse(await run('ingest.mts', 'status', '--json'))
    return topics.every(({ lag }: { lag: number }) => lag === 0)
  }
  assert.ok(await waitUntil(stored, { timeoutMs: 60_000, pollMs: 500 }))
  await run('ingest.mts', 'off')
  assert.match(await run('health-check.mts'), /^zookeeper +skipped +not part of this target \(KAFKA_MODE=kraft\)$/m)
  const kafka = new KafkaHelper(settings)
  assert.ok((await kafka.highWatermarks('iqfeed.quotes.raw')).some((end) => end > 0))
  await run('reset-kafka.mts', '--yes')
  assert.equal(await kafka.highWatermarks('iqfeed.quotes.raw'), Array(10).fill(0))
  await run('health-check.mts', '--deep')
})

embedded.run()

const compose = suite('docker-compose.kraft.yml')

/** Compose's meaning of the tag: nothing of the overridden file remains. */
const RESET = { tag: '!reset', collection: 'map', resolve: () => null } as const
const override = parse(readFileSync(path.join(ROOT, 'docker-compose.kraft.yml'), 'utf8'), { customTags: [RESET] })

const withCompose = hasCompose() ? compose : compose.skip
withCompose(
  'leaves ZooKeeper and its volumes out and Kafka on its own, with the same volumes, ports and memory',
  () => {
    const config = (...files: string[]) => {
      const flags = files.flatMap((file) => ['-f', path.join(ROOT, file)])
      const { stdout, stderr, status } = spawnSync('docker', ['compose', ...flags, 'config', '--format', 'json'], {
        encoding: 'utf8',
        cwd: projectFolder(),
        env: cleanEnv(),
      })
      assert.equal([status, stderr], [0, ''])
      return JSON.parse(stdout)
    }
    const plain = config('docker-compose.yml')
    const merged = config('docker-compose.yml', 'docker-compose.kraft.yml')
    assert.equal(Object.keys(merged.services).sort(), ['clickhouse', 'kafka', 'kafka-ui', 'redis'])
    assert.equal(Object.keys(merged.volumes).sort(), ['clickhouse_data', 'kafka_data', 'redis_data'])
    for (const name of ['clickhouse', 'kafka-ui', 'redis']) assert.equal(merged.services[name], plain.services[name])
    const { kafka } = merged.services
    assert.is(kafka.depends_on, undefined)
    assert.is(kafka.image, 'apache/kafka:4.4.0')
    const same = [
      'ports',
      'mem_limit',
      'healthcheck',
      'stop_grace_period',
      'container_name',
      'networks',
      'restart',
    ] as const
    for (const key of same) assert.equal(kafka[key], plain.services.kafka[key], key)
    const volumes = kafka.volumes.map(({ target }: { target: string }) => target)
    assert.equal(volumes.sort(), [
      '/etc/kafka/l2/log4j.properties',
      '/etc/kafka/l2/log4j2.properties',
      '/etc/kafka/l2/server.properties',
      '/var/lib/kafka/data',
    ])
  },
)

/** Runs the container's command on a data folder of this machine, up to where the broker would start. Returns its exit code and output. */
function runCommand(data: string): [exitCode: number | null, output: string] {
  const bin = projectFolder({
    'kafka-storage.sh': `#!/bin/sh\nexec '${kraft.java}' -Xmx64m -cp '${kraft.jars.join(':')}' kafka.tools.StorageTool "$@"\n`,
    'kafka-server-start.sh': '#!/bin/sh\necho starts\n',
  })
  for (const file of readdirSync(bin)) chmodSync(path.join(bin, file), 0o755)
  const text: string = override.services.kafka.command[2]
  const script = interpolate(text, () => undefined)
    .replaceAll('/var/lib/kafka/data', data)
    .replaceAll('/tmp/server.properties', path.join(bin, 'server.properties'))
    .replaceAll('/opt/kafka/bin', bin)
    .replaceAll('/etc/kafka/l2', path.join(ROOT, 'kafka'))
    // If a key occurs twice, the later one applies.
    .replace('echo process.roles', `echo log.dirs=${data}; echo process.roles`)
  const { status, stdout, stderr } = spawnSync('bash', ['-ec', script], { encoding: 'utf8' })
  return [status, `${stdout}${stderr}`]
}

compose('formats an empty volume once, and again after an interruption, and keeps KRaft data', () => {
  const data = projectFolder()
  const metaFile = path.join(data, 'meta.properties')
  const [exitCode, output] = runCommand(data)
  assert.is(exitCode, 0, output)
  assert.match(output, /^starts$/m)
  const meta = readFileSync(metaFile, 'utf8')
  assert.match(meta, /^cluster\.id=[A-Za-z0-9]{22}$/m)
  assert.equal(runCommand(data), [0, 'starts\n'])
  assert.is(readFileSync(metaFile, 'utf8'), meta)
  rmSync(metaFile)
  mkdirSync(path.join(data, '__cluster_metadata-0'), { recursive: true })
  assert.is(runCommand(data)[0], 0)
  assert.ok(existsSync(metaFile))
})

compose('refuses data of Kafka with ZooKeeper and partitions without meta.properties, and changes nothing', () => {
  const old = projectFolder({ 'meta.properties': 'version=0\nbroker.id=1\ncluster.id=x\n', 'a-0/0.log': 'records' })
  const [exitCode, output] = runCommand(old)
  assert.equal([exitCode, /^ERROR data of Kafka with ZooKeeper, which KRaft mode/.test(output)], [1, true])
  const unmarked = projectFolder({ 'a-0/0.log': 'records' })
  assert.match(runCommand(unmarked)[1], /^ERROR partitions without meta\.properties/)
  const metadata = projectFolder({ '__cluster_metadata-0/00000000000000000000.log': 'records' })
  assert.match(runCommand(metadata)[1], /^ERROR partitions without meta\.properties/)
  assert.equal(
    [readdirSync(old).sort(), readdirSync(unmarked), readdirSync(metadata)],
    [['a-0', 'meta.properties'], ['a-0'], ['__cluster_metadata-0']],
  )
})

compose.run()
