import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { parseBytes } from '../../scripts/lib/settings/readers.mts'
import { containerOf, docker, inspect, output, SERVICES, type Service, up, writeEnv } from './engine.mts'
import { proof } from './proof.mts'
import { prepare, startWriter } from './writer.mts'

const { test, run } = proof('memory and logs')
const MIB = 1024 ** 2
const GIB = 1024 ** 3
const mib = (bytes: number) => `${Math.round(bytes / MIB)} MB`

const limitOf = async (service: Service) => (await inspect(service)).HostConfig.Memory
const exec = (service: Service, ...command: string[]) => output(['docker', 'exec', containerOf(service), ...command])
const query = async (sql: string) => (await exec('clickhouse', 'clickhouse-client', '--query', sql)).trim()

test('every container has a limit, and together they are what .env.template says', async (note) => {
  writeEnv()
  await up()
  const limits = await Promise.all(SERVICES.map(limitOf))
  for (const limit of limits) assert.ok(limit > 0, 'every container has a limit')
  const sum = limits.reduce((total, limit) => total + limit, 0)
  assert.is(sum, 4896 * MIB)
  note(`${SERVICES.map((service, index) => `${service} ${mib(limits[index] ?? 0)}`).join(', ')}; together ${mib(sum)}`)
})

test('under a light load every service stays well below its limit', async (note) => {
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
  assert.ok(total < 4 * GIB * 0.75, `${mib(total)} in all: 4 GB leave the machine the rest`)
  note(`${mib(total)} in all, after ${written} records and as many inserts and keys in 15 s`)
})

test('no container was killed for want of memory', async () => {
  for (const service of SERVICES) assert.is((await inspect(service)).State.OOMKilled, false, service)
})

test('ClickHouse keeps itself to 85 % of its limit', async (note) => {
  const own = Number(await query("SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"))
  const limit = await limitOf('clickhouse')
  assert.ok(Math.abs(own / limit - 0.85) < 0.01, `${own} of ${limit}`)
  note(`max_server_memory_usage ${mib(own)} of ${mib(limit)}`)
})

for (const service of ['zookeeper', 'kafka'] as const) {
  test(`the JVM of ${service} sees its limit, and its heap leaves room below it`, async (note) => {
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

test('ClickHouse’s system logs have a TTL, every one', async (note) => {
  // The login may not flush the logs, which come by themselves every 7.5 s.
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

test('container logs are bounded', async () => {
  for (const service of SERVICES) {
    const config = await docker('inspect', containerOf(service), '--format', '{{json .HostConfig.LogConfig}}')
    assert.equal(JSON.parse(config), { Type: 'json-file', Config: { 'max-file': '3', 'max-size': '10m' } }, service)
  }
})

run()
