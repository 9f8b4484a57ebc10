/** ZooKeeper data older than Kafka's, as after restoring a backup: no topic is usable, and every command reports it. */
import { cpSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { openCluster } from '../../scripts/lib/kafka/cluster.mts'
import { runScript } from '../support/command.mts'
import { BROKER, endStacks, newStack, start, stop } from '../support/embedded.mts'
import { envOf } from '../support/faults.mts'

const settings = await newStack()
const env = envOf(settings)
const folder = (name: string) => path.join(settings.EMBEDDED_DATA_DIR, name)

/** Returns the exit code, and `severity CODE` of each finding. */
async function report(
  script: string,
  args: string[],
): Promise<{ exitCode: number | null; codes: string[]; list: Finding[] }> {
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env })
  const { findings } = JSON.parse(stdout) as { findings: Finding[] }
  return { exitCode, codes: findings.map(({ severity, code }) => `${severity} ${code}`), list: findings }
}

const test = suite('ZooKeeper older than Kafka')
test.after(endStacks)

test('no command reports topics as good that no broker serves, and the fix keeps the records', async () => {
  await start(settings)
  assert.is((await report('create-topics.mts', [])).exitCode, 0)
  assert.is((await runScript('replay.mts', ['--generate', '--fast', '--count', '500'], { env })).exitCode, 0)
  await stop(settings)
  cpSync(folder('zookeeper'), folder('zookeeper-older'), { recursive: true })
  await start(settings)
  assert.is((await report('reset-kafka.mts', ['--yes'])).exitCode, 0)
  assert.is((await runScript('replay.mts', ['--generate', '--fast', '--count', '500'], { env })).exitCode, 0)
  await stop(settings)
  rmSync(folder('zookeeper'), { recursive: true })
  cpSync(folder('zookeeper-older'), folder('zookeeper'), { recursive: true })

  const started = await report('start.mts', ['--embedded'])
  assert.equal([started.exitCode, started.codes], [1, ['error KAFKA_OLDER_ZOOKEEPER']])
  const health = await report('health-check.mts', ['--only', 'kafka'])
  assert.equal([health.exitCode, health.codes], [1, ['error KAFKA_OLDER_ZOOKEEPER']])
  const [finding] = health.list
  assert.match(
    finding?.found ?? '',
    /^40 refused by their leader \(NOT_LEADER_OR_FOLLOWER\): .*ZooKeeper data from a different time/,
  )
  assert.match(finding?.hint ?? '', /rm \*\/partition\.metadata/)
  for (const mode of ['--dry-run', '--check']) {
    const topics = await report('create-topics.mts', [mode])
    assert.equal([topics.exitCode, topics.codes], [1, ['error KAFKA_NOT_SERVED']])
  }
  const ingest = await report('ingest.mts', ['status', '--timeout', '3'])
  assert.equal([ingest.exitCode, ingest.codes], [3, Array(5).fill('unknown INGEST_LAG')])
  assert.match(ingest.list[0]?.found ?? '', /NOT_LEADER_OR_FOLLOWER/)
  const replay = await report('replay.mts', ['--generate', '--fast', '--count', '10', '--timeout', '3'])
  assert.equal([replay.exitCode, replay.codes], [3, ['unknown KAFKA_UNREACHABLE']])
  assert.is(replay.list[0]?.hint, './scripts/health-check.mts --only kafka')

  // Follows the hint.
  await stop(settings)
  for (const name of readdirSync(folder('kafka')).filter((each) => /-\d+$/.test(each)))
    rmSync(path.join(folder('kafka'), name, 'partition.metadata'), { force: true })
  const again = await report('start.mts', ['--embedded'])
  assert.equal([again.exitCode, again.codes], [0, []])
  const status = JSON.parse((await runScript('ingest.mts', ['status', '--json'], { env })).stdout)
  assert.is(
    status.topics.reduce((sum: number, { lag }: { lag: number }) => sum + lag, 0),
    500,
  )
})

test('a broker without topics gets time to learn of them, however long the wait was before', async () => {
  const empty = await newStack()
  const zookeeper = path.join(empty.EMBEDDED_DATA_DIR, 'zookeeper')
  await start(empty, BROKER)
  await stop(empty)
  cpSync(zookeeper, `${zookeeper}-older`, { recursive: true })
  await start(empty, BROKER)
  const { exitCode } = await runScript('create-topics.mts', [], { env: envOf(empty) })
  assert.is(exitCode, 0)
  await stop(empty)
  rmSync(zookeeper, { recursive: true })
  cpSync(`${zookeeper}-older`, zookeeper, { recursive: true })

  const said: string[] = []
  const opening = openCluster(empty, { timeoutMs: 10_000, waitMs: 120_000, log: (line) => said.push(line) })
  // Longer than the command waits.
  await delay(16_000)
  await start(empty, BROKER)
  const cluster = await opening
  cluster.close()
  assert.equal(cluster.metadata.topics, [])
  assert.match(said.at(-1) ?? '', 'the broker does not know its topics yet')
})

test.run()
