import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'dotenv'
import * as assert from 'uvu/assert'
import { compose, docker, run, SERVICES, script, TREE, up, writeEnv } from './engine.mts'
import type { Image } from './images.mts'
import { reportedSuite } from './suite.mts'

const { test, run: runSuite } = reportedSuite('docker-compose.prod.yml')

const images: Image[] = JSON.parse(process.env.L2_COMPOSE_IMAGES ?? '[]')
/** The stand-in for ClickHouse is a library that opens no TLS port. */
const hasTls = images.some(({ service, kind }) => service === 'clickhouse' && kind === 'real')
const secrets = () =>
  Object.entries(parse(readFileSync(path.join(TREE, '.env'), 'utf8'))).flatMap(
    ([name, text]) => (name.endsWith('_PASSWORD') && text) || [],
  )

test('starts with the certificates and passwords of npm run secrets, and health-check succeeds', async (note) => {
  // Stopped first, as docs/production.md says: if Kafka and ZooKeeper were replaced together, the new Kafka would be refused until the old
  // one's session expires.
  await compose('down', '-v')
  writeEnv({ BIND_ADDRESS: '0.0.0.0' })
  const made = await script('secrets.mts', '--production')
  assert.is(made.exitCode, 0, made.stdout + made.stderr)
  note(`${(await up()).toFixed(1)} s`)
  const topics = await script('create-topics.mts')
  assert.is(topics.exitCode, 0, topics.stdout + topics.stderr)
  const services = ['zookeeper', 'kafka', 'redis', 'kafka-ui', ...(hasTls ? ['clickhouse'] : [])]
  const health = await script('health-check.mts', '--wait', '60', '--only', ...services)
  assert.is(health.exitCode, 0, health.stdout + health.stderr)
  assert.not.match(health.stdout, 'PORT_')
})

test('publishes only ports with TLS and authentication, and the others on 127.0.0.1', async () => {
  const published = (
    await docker('ps', '--filter', 'label=com.docker.compose.project=l2', '--format', '{{.Ports}}')
  ).split(/[\n,]/)
  const addresses = published.flatMap((text) => (text.includes('->') ? text.trim().replace(/\/tcp$/, '') : []))
  assert.equal(addresses.filter((address) => !address.startsWith('[')).sort(), [
    '0.0.0.0:6380->6380',
    '0.0.0.0:8443->8443',
    '0.0.0.0:9092->9092',
    '0.0.0.0:9440->9440',
    '127.0.0.1:2181->2181',
    '127.0.0.1:8080->8080',
  ])
})

test('no command line of a container contains a password, and every restart policy is always', async () => {
  const known = secrets()
  assert.is(known.length, 4)
  for (const service of SERVICES) {
    const name = `l2_${service.replace('-', '_')}`
    const { stdout } = await run(['docker', 'exec', name, 'sh', '-c', 'cat /proc/[0-9]*/cmdline'])
    for (const password of known) assert.not.match(stdout, password, service)
    assert.is((await docker('inspect', name, '--format', '{{.HostConfig.RestartPolicy.Name}}')).trim(), 'always')
  }
})

test('loads new certificates at a restart', async () => {
  const file = path.join(TREE, 'certs/kafka.pem')
  const before = readFileSync(file, 'utf8')
  assert.is((await script('secrets.mts', '--production', '--renew')).exitCode, 0)
  assert.is.not(readFileSync(file, 'utf8'), before)
  await docker('restart', 'l2_kafka', 'l2_redis')
  const health = await script('health-check.mts', '--wait', '90', '--only', 'kafka', 'redis')
  assert.is(health.exitCode, 0, health.stdout + health.stderr)
  const mounted = await docker('exec', 'l2_kafka', 'cat', '/etc/kafka/l2/kafka.pem')
  assert.is(mounted.trim(), readFileSync(file, 'utf8').trim())
})

runSuite()
