/** Addresses and names in settings that lead nowhere, or where they must not. */
import { networkInterfaces } from 'node:os'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { runScript } from '../support/command.mts'
import { endStacks, newStack, stop } from '../support/embedded.mts'
import { envOf } from '../support/faults.mts'

const test = suite('addresses')
test.after(endStacks)
const settings = await newStack()

async function report(script: string, args: string[], env: NodeJS.ProcessEnv) {
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env: envOf(settings, env) })
  const { findings } = JSON.parse(stdout) as { findings: Finding[] }
  return [`exit ${exitCode}`, ...findings.map(({ code, subject, found }) => `${code} ${subject}: ${found}`)]
}

for (const value of ['127.0.0.1:8123', 'http://127.0.0.1', '127.0.0.1/play', '[::1', '::1:8123:']) {
  test(`CLICKHOUSE_HOST=${value} is refused by name`, async () => {
    assert.equal(await report('apply-schema.mts', ['--dry-run'], { CLICKHOUSE_HOST: value }), [
      'exit 2',
      `SETTING shell CLICKHOUSE_HOST: "${value}"`,
    ])
  })
}

for (const value of [
  'system',
  'SYSTEM',
  'information_schema',
  'INFORMATION_SCHEMA',
  'default',
  '_temporary_and_external_tables',
]) {
  test(`the database ${value} of ClickHouse’s own is refused`, async () => {
    const both = { CLICKHOUSE_DB: value, CLICKHOUSE_DATABASE: value }
    assert.equal(await report('start.mts', ['--embedded'], both), [
      'exit 2',
      `SETTING shell CLICKHOUSE_DB: "${value}"`,
      `SETTING shell CLICKHOUSE_DATABASE: "${value}"`,
    ])
  })
}

test('settings whose clients connect elsewhere than the services listen are refused before anything starts', async () => {
  assert.equal(await report('start.mts', ['--embedded'], { BIND_ADDRESS: '127.0.0.2', REDIS_HOST: '127.0.0.2' }), [
    'exit 2',
    'SETTING KAFKA_ADVERTISED_HOST: 127.0.0.1, on which nothing listens with BIND_ADDRESS=127.0.0.2',
    'SETTING KAFKA_BOOTSTRAP_SERVERS: 127.0.0.1, on which nothing listens with BIND_ADDRESS=127.0.0.2',
    'SETTING CLICKHOUSE_HOST: 127.0.0.1, on which nothing listens with BIND_ADDRESS=127.0.0.2',
  ])
})

test('a stack on one address of the machine starts once its clients connect there', async () => {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  const address = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.2'
  const hosts = {
    BIND_ADDRESS: address,
    KAFKA_ADVERTISED_HOST: address,
    KAFKA_BOOTSTRAP_SERVERS: `${address}:${settings.KAFKA_LISTENER_PORT}`,
    CLICKHOUSE_HOST: address,
    REDIS_HOST: address,
  }
  // Ports open to other machines cause a warning.
  for (const [script, args] of [
    ['start.mts', ['--embedded']],
    ['health-check.mts', []],
  ] as const) {
    const [exit, ...warnings] = await report(script, [...args], hosts)
    assert.is(exit, 'exit 0')
    assert.ok(
      warnings.every((line) => /^PORT_(EXPOSED|PLAIN) /.test(line)),
      warnings.join('\n'),
    )
  }
  await stop(settings)
})

test.run()
