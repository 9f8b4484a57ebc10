import * as assert from 'uvu/assert'
import {
  compose,
  containerOf,
  docker,
  type EngineEvent,
  events,
  inspect,
  output,
  removeStack,
  SERVICES,
  type Service,
  up,
  VOLUMES,
  writeEnv,
} from './engine.mts'
import { reportedSuite } from './suite.mts'

const { test, run } = reportedSuite('first start, with default settings')
let history: EngineEvent[] = []

/** Returns the time of a service's first event of this kind, in ms since the epoch. */
function moment(service: Service, action: string): number {
  const event = history.find(({ name, action: found }) => name === containerOf(service) && found === action)
  if (!event) throw new Error(`No event "${action}" of ${service}`)
  return event.time
}

test('`up -d --wait` starts a healthy stack', async (note) => {
  writeEnv()
  await removeStack()
  const sinceMs = Date.now()
  note(`healthy ${(await up()).toFixed(1)} s after \`up -d --wait\``)
  history = await events(sinceMs)
  for (const service of SERVICES) {
    const seconds = (moment(service, 'health_status: healthy') - moment(service, 'start')) / 1000
    note(`${service}: healthy ${seconds.toFixed(1)} s after its start`)
  }
})

test('starts ZooKeeper, Kafka and Kafka UI, each once the previous one is healthy, and ClickHouse and Redis at once', async () => {
  assert.ok(moment('zookeeper', 'health_status: healthy') <= moment('kafka', 'start'))
  assert.ok(moment('kafka', 'health_status: healthy') <= moment('kafka-ui', 'start'))
  assert.ok(moment('clickhouse', 'start') < moment('zookeeper', 'health_status: healthy'))
  assert.ok(moment('redis', 'start') < moment('zookeeper', 'health_status: healthy'))
})

test('no container restarted during the start', async () => {
  for (const service of SERVICES) assert.is((await inspect(service)).RestartCount, 0, service)
})

test('containers, volumes and network have the documented names', async () => {
  const containers = (
    await docker('ps', '-a', '--filter', 'label=com.docker.compose.project=l2', '--format', '{{.Names}}')
  ).trim()
  assert.equal(containers.split('\n').sort(), SERVICES.map(containerOf).sort())
  const volumes = (
    await docker('volume', 'ls', '--filter', 'label=com.docker.compose.project=l2', '--format', '{{.Name}}')
  ).trim()
  assert.equal(volumes.split('\n').sort(), VOLUMES)
  const networks = (
    await docker('network', 'ls', '--filter', 'label=com.docker.compose.project=l2', '--format', '{{.Name}}')
  ).trim()
  assert.is(networks, 'l2_l2')
})

test('every volume that an image declares is a named one: no container has an anonymous volume', async () => {
  for (const service of SERVICES) {
    const names = (await inspect(service)).Mounts.filter(({ Type }) => Type === 'volume').map(({ Name }) => Name ?? '')
    assert.equal(
      names.filter((name) => !VOLUMES.includes(name)),
      [],
      service,
    )
  }
})

test('a second `up -d --wait` changes nothing', async () => {
  const before = await compose('ps', '-q')
  const started = await Promise.all(SERVICES.map(async (service) => (await inspect(service)).State.StartedAt))
  await up()
  assert.is(await compose('ps', '-q'), before)
  assert.equal(await Promise.all(SERVICES.map(async (service) => (await inspect(service)).State.StartedAt)), started)
})

test('no service writes log files inside its container', async (note) => {
  for (const service of SERVICES) {
    const added = (await output(['docker', 'diff', containerOf(service)]))
      .split('\n')
      .filter((line) => /\.(log|out)(\.\d+)?$/.test(line))
    assert.equal(added, [], service)
  }
  note('according to `docker diff`')
})

run()
