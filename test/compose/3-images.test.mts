/** What docker-compose.yml relies on in each image, real or stand-in, with the source that documents it for the real image. */
import * as assert from 'uvu/assert'
import { containerOf, docker, HELPER, output, run, type Service, up, writeEnv } from './engine.mts'
import type { Image } from './images.mts'
import { reportedSuite } from './suite.mts'

const { test, run: runSuite } = reportedSuite('what the images provide')
const IMAGES: Image[] = JSON.parse(process.env.L2_COMPOSE_IMAGES ?? '[]')

interface Configured {
  User?: string
  Entrypoint: string[] | null
  Cmd: string[] | null
  Volumes: Record<string, unknown> | null
  WorkingDir: string
}

const nameOf = (service: Service) => IMAGES.find((image) => image.service === service)?.name ?? ''

async function configured(service: Service): Promise<Configured> {
  return JSON.parse(await docker('image', 'inspect', nameOf(service), '--format', '{{json .Config}}'))
}

/** Runs a line of sh in a new container of the image, without its entrypoint, and returns standard output. */
async function inside(service: Service, line: string, ...options: string[]): Promise<string> {
  return (await docker('run', '--rm', ...options, '--entrypoint', 'sh', nameOf(service), '-c', line)).trim()
}

/** Returns those of the commands that the image has on its PATH. */
const onPath = (service: Service, ...commands: string[]) =>
  inside(service, `for tool in ${commands.join(' ')}; do command -v $tool > /dev/null && echo $tool; done; true`)

/** Returns the numeric user id of the container's first process. */
const userOf = async (container: string) =>
  (
    await output([
      'docker',
      'exec',
      '--user',
      '0',
      container,
      'sh',
      '-c',
      'sed -n "s/^Uid:[[:space:]]*\\([0-9]*\\).*/\\1/p" /proc/1/status',
    ])
  ).trim()

test('the stack starts', async () => {
  writeEnv()
  await up()
})

// Source: https://github.com/31z4/zookeeper-docker/tree/master/3.8.6 (Dockerfile, docker-entrypoint.sh)
test('ZooKeeper: three volumes, starts as root and switches to user 1000, bash and nc', async () => {
  const { Volumes, Entrypoint, Cmd, User } = await configured('zookeeper')
  assert.equal(Object.keys(Volumes ?? {}).sort(), ['/data', '/datalog', '/logs'])
  assert.equal(Entrypoint, ['/docker-entrypoint.sh'])
  assert.equal(Cmd, ['zkServer.sh', 'start-foreground'])
  assert.is(User ?? '', '')
  assert.is(await userOf(containerOf('zookeeper')), '1000')
  assert.is(await onPath('zookeeper', 'bash', 'nc', 'wget'), 'bash\nnc\nwget')
})

// Source: the same entrypoint, and https://zookeeper.apache.org/doc/r3.8.6/zookeeperAdmin.html#sc_4lw
test('ZooKeeper: four-letter-word commands except srvr are disabled, unless a configuration enables them', async () => {
  const id = (
    await docker(
      'run',
      '-d',
      '--label',
      HELPER,
      '--rm',
      '--tmpfs',
      '/data',
      '--tmpfs',
      '/datalog',
      '--tmpfs',
      '/logs',
      nameOf('zookeeper'),
    )
  ).trim()
  try {
    const ask = (word: string) =>
      output([
        'docker',
        'exec',
        id,
        'bash',
        '-c',
        // Until it is ready, it gives other answers or none.
        `for i in $(seq 60); do answer=$(echo ${word} | nc -w 20 127.0.0.1 2181)
         [[ $answer = *version:* || $answer = *whitelist* ]] && break; sleep 0.5; done; echo "$answer"`,
      ])
    assert.match(await ask('srvr'), 'Zookeeper version: 3.8')
    assert.match(await ask('ruok'), 'ruok is not executed because it is not in the whitelist')
  } finally {
    await docker('rm', '--force', id)
  }
  assert.is(
    await output(['docker', 'exec', containerOf('zookeeper'), 'bash', '-c', 'echo ruok | nc -w 20 127.0.0.1 2181']),
    'imok',
  )
})

// Source: https://github.com/apache/kafka/blob/3.9/docker/jvm/Dockerfile
test('Kafka: three volumes, user appuser (1000), tools in /opt/kafka/bin but not on the PATH, bash, od', async () => {
  const { Volumes, Cmd, User } = await configured('kafka')
  assert.equal(Object.keys(Volumes ?? {}).sort(), ['/etc/kafka/secrets', '/mnt/shared/config', '/var/lib/kafka/data'])
  assert.equal(Cmd, ['/etc/kafka/docker/run'])
  assert.is(User, 'appuser')
  assert.is(await userOf(containerOf('kafka')), '1000')
  assert.is(
    await onPath('kafka', 'bash', 'head', 'tail', 'od', 'tr', 'kafka-topics.sh', 'curl'),
    'bash\nhead\ntail\nod\ntr',
  )
  assert.is(
    await inside('kafka', 'cd /opt/kafka/bin && ls kafka-topics.sh kafka-server-start.sh'),
    'kafka-server-start.sh\nkafka-topics.sh',
  )
})

// Source: https://github.com/apache/kafka/blob/3.9/docker/resources/common-scripts/run and bash-config
test('Kafka: the default command does not support ZooKeeper mode', async () => {
  const { exitCode } = await run([
    'docker',
    'run',
    '--rm',
    '-e',
    'KAFKA_ZOOKEEPER_CONNECT=zookeeper:2181',
    nameOf('kafka'),
  ])
  assert.is.not(exitCode, 0)
})

// Source: https://github.com/ClickHouse/ClickHouse/tree/26.3/docker/server (Dockerfile.ubuntu, entrypoint.sh)
test('ClickHouse: one volume, starts as root and switches to user 101, bash and wget, neither curl nor nc', async () => {
  const { Volumes, Entrypoint } = await configured('clickhouse')
  assert.equal(Object.keys(Volumes ?? {}), ['/var/lib/clickhouse'])
  assert.equal(Entrypoint, ['/entrypoint.sh'])
  assert.is(await userOf(containerOf('clickhouse')), '101')
  assert.is(
    await onPath('clickhouse', 'bash', 'wget', 'clickhouse-client', 'curl', 'nc'),
    'bash\nwget\nclickhouse-client',
  )
})

// Source: the same entrypoint.sh, manage_clickhouse_user
test('ClickHouse: with CLICKHOUSE_USER set, nobody can log in as `default`', async () => {
  const login = async (headers: Record<string, string>) => {
    const response = await fetch('http://127.0.0.1:8123/?query=SELECT%20currentUser()', { headers })
    return `${response.ok} ${(await response.text()).trim()}`
  }
  // 516 is AUTHENTICATION_FAILED. Over HTTP without a password, the server returns 194, REQUIRED_PASSWORD, instead.
  const refused = /^false Code: (194|516)\./
  assert.is(await login({ 'X-ClickHouse-User': 'l2_user', 'X-ClickHouse-Key': 'l2_secure_pass' }), 'true l2_user')
  assert.match(await login({ 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': '' }), refused)
  assert.match(await login({}), refused)
})

// Source: the same entrypoint.sh, init_clickhouse_db
test('ClickHouse: init files run on an empty data folder only', async () => {
  const count = async () =>
    (await docker('logs', containerOf('clickhouse'))).split('running /docker-entrypoint-initdb.d/').length - 1
  const first = await count()
  assert.ok(first > 0)
  await docker('restart', containerOf('clickhouse'))
  await up()
  assert.is(await count(), first)
  assert.match(await docker('logs', containerOf('clickhouse')), 'Skipping initialization')
})

// Source: https://github.com/redis/docker-library-redis/tree/release/8.10/alpine (Dockerfile, docker-entrypoint.sh)
test('Redis: user 999 if the entrypoint is used, folder /data, no bash', async () => {
  const { Entrypoint, WorkingDir } = await configured('redis')
  assert.equal(Entrypoint, ['docker-entrypoint.sh'])
  assert.is(WorkingDir, '/data')
  assert.is(await userOf(containerOf('redis')), '999')
  assert.is(await onPath('redis', 'sh', 'sed', 'redis-cli', 'bash', 'curl'), 'sh\nsed\nredis-cli')
  const direct = (
    await docker(
      'run',
      '-d',
      '--rm',
      '--label',
      HELPER,
      '--entrypoint',
      'sh',
      nameOf('redis'),
      '-c',
      'exec redis-server',
    )
  ).trim()
  try {
    assert.is(await userOf(direct), '0', 'without the entrypoint it stays root')
  } finally {
    await docker('rm', '--force', direct)
  }
})

// Source: https://github.com/kafbat/kafka-ui/blob/main/api/Dockerfile
test('Kafka UI: a dedicated user, wget, neither bash nor curl', async () => {
  const { User } = await configured('kafka-ui')
  assert.is(User, 'kafkaui')
  assert.is.not(await userOf(containerOf('kafka-ui')), '0')
  assert.is(await onPath('kafka-ui', 'wget', 'bash', 'curl'), 'wget')
})

runSuite()
