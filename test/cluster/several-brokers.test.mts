/** Three real brokers: topics with three replicas, and what health-check reports while brokers stop and return. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { readUntil } from '../../scripts/lib/common/wait.mts'
import { runScript } from '../support/command.mts'
import { KAFKA_MODE, stackEnv } from '../support/stack.mts'
import { brokersOf } from './brokers.mts'

const IDS = [1, 2, 3]
// In KRaft mode, broker 1 is the controller and is not stopped.
const { start, kill, configure, folderOf, end, env: client } = await brokersOf(KAFKA_MODE, IDS, [1])
await start(...IDS)

const env = {
  ...(await stackEnv({ ...client, KAFKA_REPLICATION_FACTOR: '3', KAFKA_MIN_INSYNC_REPLICAS: '2' })),
  NO_COLOR: '1',
  DOCKER_HOST: 'unix:///nonexistent/docker.sock',
}
async function run(script: string, args: string[], values: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env: { ...env, ...values } })
  const report = JSON.parse(stdout)
  return { exitCode, report, codes: report.findings.map(({ severity, code }: Finding) => `${severity} ${code}`) }
}
const health = (...args: string[]) => run('health-check.mts', ['--only', 'kafka', ...args])
/** Returns the health report once it has these findings, or the last one if it never does. */
const healthWith = (...codes: string[]) =>
  readUntil(health, (report) => report.codes.join() === codes.join(), { timeoutMs: 60_000, pollMs: 500 })

const QUORUM = KAFKA_MODE === 'kraft' ? ', KRaft quorum of 1' : ''

const brokers = suite('three brokers')

brokers('refuse more replicas than brokers, with the line of each topic', async () => {
  const { exitCode, report } = await run('create-topics.mts', ['--dry-run'], { KAFKA_REPLICATION_FACTOR: '4' })
  assert.equal([exitCode, report.findings.length, report.findings[0].code], [2, 5, 'TOPIC_REPLICATION'])
  assert.is(report.findings[0].expected, 'at most 3, the number of brokers')
})

brokers('serve topics with three replicas, a canary and a reset', async () => {
  assert.equal((await run('create-topics.mts', [])).codes, [])
  const { exitCode, report, codes } = await health('--deep')
  assert.equal([exitCode, codes], [0, []])
  const [{ summary, details }] = report.services
  assert.is(summary, `3 brokers${QUORUM}, 5 topics`)
  assert.equal([details.brokers, details.knownBrokers, details.underReplicated, details.underMinInSync], [3, 3, 0, 0])
  assert.equal((await run('reset-kafka.mts', ['--only', 'trading.signals', '--yes'])).exitCode, 0)
  assert.equal((await run('create-topics.mts', ['--dry-run'])).report.plan.create, [])
  assert.equal((await healthWith()).codes, [])
})

brokers('serve with one broker down, and refuse writes with two down', async () => {
  await kill(3)
  const one = await healthWith('warning KAFKA_BROKERS_DOWN', 'warning KAFKA_UNDER_REPLICATED')
  assert.equal([one.exitCode, one.codes], [0, ['warning KAFKA_BROKERS_DOWN', 'warning KAFKA_UNDER_REPLICATED']])
  assert.is(one.report.findings[0].found, '2 of 3 are up; down: 3')
  assert.ok(one.report.services[0].summary.startsWith(`2 of 3 brokers${QUORUM}, 5 topics`))
  await kill(2)
  const codes = ['warning KAFKA_BROKERS_DOWN', 'error KAFKA_UNDER_MIN_ISR', 'warning KAFKA_UNDER_REPLICATED']
  const two = await healthWith(...codes)
  assert.equal([two.exitCode, two.codes], [1, codes])
  assert.match(two.report.findings[1].found, /^40: .*; writes with acks=all are refused$/)
})

brokers('are reported while leaders are not the preferred ones', async () => {
  await start(2, 3)
  const { exitCode, codes, report } = await healthWith('warning KAFKA_LEADERS')
  assert.equal([exitCode, codes], [0, ['warning KAFKA_LEADERS']])
  assert.equal(report.services[0].details.underReplicated, 0)
})

brokers('are reported when a disk fails', async () => {
  await kill(3)
  const folder = folderOf(3)
  // A file in place of a directory is a disk that nobody can read, not even root.
  writeFileSync(path.join(folder, 'broken'), '')
  configure(3, { 'log.dirs': ['log', 'broken'].map((name) => path.join(folder, name)).join() })
  await start(3)
  const { exitCode, report, codes } = await healthWith('warning KAFKA_LEADERS', 'error KAFKA_LOG_DIR')
  assert.equal([exitCode, codes], [1, ['warning KAFKA_LEADERS', 'error KAFKA_LOG_DIR']])
  const broken = `log directory ${path.join(folder, 'broken')} is offline (KAFKA_STORAGE_ERROR)`
  assert.is(report.findings[1].subject, 'kafka broker 3')
  assert.ok(report.findings[1].found.startsWith(broken), report.findings[1].found)
  const disks: { directories: number; offline: number }[] = report.services[0].details.disks
  assert.equal(
    disks.map(({ directories, offline }) => [directories, offline]),
    [
      [1, 0],
      [1, 0],
      [2, 1],
    ],
  )
})

brokers.after(end)
brokers.run()
