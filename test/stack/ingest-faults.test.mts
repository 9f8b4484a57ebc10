/**
 * Services killed with SIGKILL during a replay: every acknowledged message must be exactly once in its table or in market_rejects. Prints
 * the fault table. L2_FAULT_MESSAGES sets the messages of each replay: `L2_FAULT_MESSAGES=1000000 npm test -- ingest-faults`.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import type { EmbeddedName } from '../../scripts/lib/engines/service.mts'
import { runScript } from '../support/command.mts'
import { pids } from '../support/embedded.mts'
import { IngestStack } from '../support/ingest.mts'
import { KAFKA_MODE } from '../support/stack.mts'

const MESSAGES = Number(process.env.L2_FAULT_MESSAGES ?? 30_000)
/** Duration in seconds of a replay without faults. */
const SECONDS = Math.max(6, MESSAGES / 30_000)
const POISON = 20

let ingest: IngestStack
const lines: string[][] = [
  ['killed', 'sent', 'acknowledged', 'stored', 'rejected', 'duplicated', 'read again', 'all stored after'],
]

const faults = suite('no message lost or duplicated')

faults.before(async () => {
  ingest = await IngestStack.start({ INGEST: 'on', INGEST_FLUSH_MS: '500' })
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
})

const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0)

/** Returns the number of messages that ClickHouse's consumers have read since the server started. */
async function readBy(): Promise<number> {
  const [[count] = []] = await ingest.rows(
    "SELECT toFloat64(sum(num_messages_read)) FROM system.kafka_consumers WHERE table != 'ingest_messages_queue'",
  )
  return Number(count)
}

/** Kills services `times` times during a replay, restarts them, and counts messages. */
async function survives(names: EmbeddedName[], times = 1): Promise<void> {
  const [rows, rejects, read] = [await ingest.stored(), await ingest.count('market_rejects'), await readBy()]
  const seed = String(Math.floor(Math.random() * 1e9))
  const args = [
    '--generate',
    '--count',
    `${MESSAGES}`,
    '--rate',
    `${Math.ceil(MESSAGES / SECONDS)}`,
    '--symbols',
    '200',
    '--seed',
    seed,
    '--json',
  ]
  const replaying = runScript('replay.mts', args, { env: ingest.stack.env })
  await ingest.send(
    'iqfeed.l2.raw',
    Array.from({ length: POISON }, (_, index) => `poison ${index}`),
  )
  let created = false
  for (let time = 0; time < times; time++) {
    await delay((SECONDS * 1000) / (times + 1))
    const running = pids(ingest.stack.settings)
    for (const name of names) process.kill(running[name] as number, 'SIGKILL')
    await delay(1_000)
    if (await ingest.startAgain()) created = true
  }
  const { exitCode, stdout, stderr } = await replaying
  assert.is(exitCode, 0, stderr)
  const topics: Record<string, { sent: number; acknowledged: number }> = JSON.parse(stdout).topics
  const startMs = performance.now()
  const all = async () =>
    (await ingest.stored()) >= rows + MESSAGES && (await ingest.count('market_rejects')) >= rejects + POISON
  const complete = await waitUntil(all, { timeoutMs: 120_000, pollMs: 100 })
  const seconds = (performance.now() - startMs) / 1000
  // Leaves time for a block that is read twice to be stored.
  await delay(2_000)
  const counts = [
    sum(Object.values(topics).map(({ sent }) => sent)),
    sum(Object.values(topics).map(({ acknowledged }) => acknowledged)),
    (await ingest.stored()) - rows,
    (await ingest.count('market_rejects')) - rejects,
    await ingest.duplicates(),
  ]
  // Data derived from the rows must be complete too.
  const latest = '(SELECT symbol, max(market_l1.position) AS place FROM market_l1 GROUP BY symbol)'
  const computed = await ingest.rows(`
    SELECT (SELECT toFloat64(sum(trades)) FROM market_bars), (SELECT toFloat64(count()) FROM market_trades),
      (SELECT toFloat64(count()) FROM ${latest} AS quotes LEFT JOIN market_l1_latest AS latest FINAL USING symbol WHERE latest.position != place)`)
  // Counters of a restarted ClickHouse or a new queue start at 0.
  const again = names.includes('clickhouse') || created ? '' : String((await readBy()) - read - MESSAGES - POISON)
  lines.push([
    `${names.join(' and ')}${times > 1 ? `, ${times} times` : ''}`,
    ...counts.map(String),
    again,
    complete ? `${seconds.toFixed(1)} s` : 'never',
  ])
  assert.equal(counts, [MESSAGES, MESSAGES, MESSAGES, POISON, 0])
  const [[inBars, trades, outdated] = []] = computed
  assert.equal([inBars, outdated], [trades, 0], 'bars and latest quotes')
}

/** There is no ZooKeeper to kill in KRaft mode. */
const withZookeeper = KAFKA_MODE === 'zookeeper' ? faults : faults.skip

faults('ClickHouse killed', () => survives(['clickhouse'], 3))
faults('Kafka killed', () => survives(['kafka']))
withZookeeper('ZooKeeper killed', () => survives(['zookeeper']))
faults('Kafka and ClickHouse killed', () => survives(['kafka', 'clickhouse']))
withZookeeper('Kafka and ZooKeeper killed', () => survives(['kafka', 'zookeeper']))

faults.after(async () => {
  process.stdout.write('\n')
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  for (const line of lines)
    process.stdout.write(`${line.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')}\n`)
  await ingest.stop()
})
faults.run()
