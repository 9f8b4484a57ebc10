import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { parseBytes } from '../../scripts/lib/settings/readers.mts'
import { containerOf, docker, inspect, output, SERVICES, type Service, up, writeEnv } from './engine.mts'
import { reportedSuite } from './suite.mts'
import { prepare, startWriter } from './writer.mts'

const { test, run } = reportedSuite('memory and logs')
const MIB = 1024 ** 2
const GIB = 1024 ** 3
const mib = (bytes: number) => `${Math.round(bytes / MIB)} MB`

const limitOf = async (service: Service) => (await inspect(service)).HostConfig.Memory
const exec = (service: Service, ...command: string[]) => output(['docker', 'exec', containerOf(service), ...command])
const query = async (sql: string) => (await exec('clickhouse', 'clickhouse-client', '--query', sql)).trim()

test('every container has a memory limit, and the sum is the one stated in .env.template', async (note) => {
  writeEnv()
  await up()
  const limits = await Promise.all(SERVICES.map(limitOf))
  for (const limit of limits) assert.ok(limit > 0, 'every container has a limit')
  const sum = limits.reduce((total, limit) => total + limit, 0)
  assert.is(sum, 4896 * MIB)
  note(`${SERVICES.map((service, index) => `${service} ${mib(limits[index] ?? 0)}`).join(', ')}; total ${mib(sum)}`)
})

test('every service stays well below its limit under a light load', async (note) => {
  await prepare()
  const writers = Array.from({ length: 4 }, () => startWriter())
  await delay(15_000)
  const lines = (
    await docker('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}', ...SERVICES.map(containerOf))
  )
    .trim()
    .split('\n')
  await Promise.all(writers.map(({ stop }) => stop()))
  const written = writers.reduce((total, { acknowledged }) => total + acknowledged.kafka.length, 0)
  let total = 0
  for (const line of lines) {
    const [name = '', used = ''] = line.split(' ')
    const service = SERVICES.find((candidate) => containerOf(candidate) === name) ?? 'kafka-ui'
    const bytes = parseBytes(String(Math.ceil(Number.parseFloat(used))) + used.replace(/[\d.]|iB$/g, ''))
    total += bytes
    assert.ok(bytes < 0.9 * (await limitOf(service)), line)
    note(line)
  }
  assert.is(lines.length, SERVICES.length)
  assert.ok(total < 4 * GIB * 0.75, `${mib(total)} in all, more than 75 % of 4 GB`)
  note(`${mib(total)} in total, after ${written} records and as many inserts and keys in 15 s`)
})

test('no container was killed for lack of memory', async () => {
  for (const service of SERVICES) assert.is((await inspect(service)).State.OOMKilled, false, service)
})

test('ClickHouse limits itself to 85 % of the container limit', async (note) => {
  const maximum = Number(await query("SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"))
  const limit = await limitOf('clickhouse')
  assert.ok(Math.abs(maximum / limit - 0.85) < 0.01, `${maximum} of ${limit}`)
  note(`max_server_memory_usage ${mib(maximum)} of ${mib(limit)}`)
})

for (const service of ['zookeeper', 'kafka'] as const) {
  test(`the JVM of ${service} detects the limit, and its heap is well below it`, async (note) => {
    const settings = await exec(service, 'sh', '-c', 'java -Xmx16m -XshowSettings:system -version 2>&1')
    const seen = /Memory Limit: ([\d.]+)M/.exec(settings)?.[1]
    const limit = await limitOf(service)
    assert.is(Number(seen), limit / MIB)
    const heap = [
      ...(await exec(service, 'sh', '-c', 'tr "\\0" "\\n" < /proc/1/cmdline')).matchAll(/^-Xmx(\d+)m$/gm),
    ].at(-1)?.[1]
    assert.ok(Number(heap) * MIB < 0.7 * limit, `heap ${heap} MB of ${mib(limit)}`)
    note(`heap ${heap} MB of ${mib(limit)}`)
  })
}

test('all system log tables of ClickHouse have a TTL', async (note) => {
  // The user may not flush the logs. They are flushed every 7.5 s.
  await delay(8_000)
  const tables = (
    await query(
      "SELECT name, match(engine_full, 'TTL ') FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log' AND engine LIKE '%MergeTree'",
    )
  ).split('\n')
  assert.ok(
    tables.some((line) => line.startsWith('query_log\t')),
    'the query log is there',
  )
  for (const line of tables) assert.match(line, /\t1$/)
  note(tables.map((line) => line.split('\t')[0]).join(', '))
})

test('the size of container logs is limited', async () => {
  for (const service of SERVICES) {
    const config = await docker('inspect', containerOf(service), '--format', '{{json .HostConfig.LogConfig}}')
    assert.equal(JSON.parse(config), { Type: 'json-file', Config: { 'max-file': '3', 'max-size': '10m' } }, service)
  }
})

run()
