/** Problems of the built-in ingest on a real stack: each is reported, fixed where possible, and loses no rows. */
import { setTimeout as delay } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ingestStatements } from '../../scripts/lib/clickhouse/statements.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { viewsOf } from '../../scripts/lib/ingest/queues.mts'
import { NO_LAG_LIMITS, renderStatus, statusFindings } from '../../scripts/lib/ingest/report.mts'
import type { TopicStatus } from '../../scripts/lib/ingest/status.mts'
import { runScript } from '../support/command.mts'
import { pids } from '../support/embedded.mts'
import { IngestStack, quote, trade } from '../support/ingest.mts'
import { applyInitFiles } from '../support/stack.mts'

let ingest: IngestStack
const codes = (findings: { code: string }[]) => findings.map(({ code }) => code)
const run = (query: string) => ingest.clickhouse.command({ query })

const report = suite('ingest report')

const topic = (more: Partial<TopicStatus>): TopicStatus => ({
  topic: 'iqfeed.l2.raw',
  table: 'market_l2',
  exists: true,
  partitions: 10,
  partitionsRead: 10,
  lag: 0,
  ahead: 0,
  messagesPerSecond: 0,
  otherReaders: [],
  rejects: 0,
  rejectsToday: 0,
  rejectsLately: 0,
  ...more,
})
const status = (...topics: TopicStatus[]) =>
  ({ state: 'on', differing: [], topics, rejects: [], failures: [] }) as Parameters<typeof statusFindings>[0]

report('lag is a warning above 1,000 and an error above 10,000, or as configured', () => {
  const lagFindings = (messages: number, limits?: Parameters<typeof statusFindings>[1]) =>
    statusFindings(status(topic({ lag: messages })), limits).map(
      ({ severity, code, found, expected }) => `${severity} ${code} ${found} ${expected}`,
    )
  assert.equal(lagFindings(1_000), [])
  assert.equal(lagFindings(1_001), ['warning INGEST_LAG 1001 messages not stored yet at most 1000'])
  assert.equal(lagFindings(10_001), ['error INGEST_LAG 10001 messages not stored yet at most 10000'])
  assert.equal(lagFindings(6, { lagWarning: 4, lagCritical: 5 }), [
    'error INGEST_LAG 6 messages not stored yet at most 5',
  ])
  assert.equal(lagFindings(1e9, NO_LAG_LIMITS), [])
})

report('lag that is read within seconds does not count', () => {
  assert.equal(statusFindings(status(topic({ lag: 40_000, messagesPerSecond: 10_000 }))), [])
  assert.equal(codes(statusFindings(status(topic({ lag: 60_000, messagesPerSecond: 10_000 })))), ['INGEST_LAG'])
})

report('topics that are not read are reported in the first line too', () => {
  const first = (partitionsRead: number) =>
    renderStatus(status(topic({ partitionsRead })), (_, text) => text).split('\n')[0]
  assert.is(first(10), 'Built-in ingest: on')
  assert.is(first(9), 'Built-in ingest: on, but not all partitions are read')
})
report.run()

const trouble = suite('ingest problems')

trouble.before(async () => {
  ingest = await IngestStack.start()
})

trouble('the columns that each view inserts are known', () => {
  const views = viewsOf(ingestStatements(ingest.stack.settings))
  const columns = Object.fromEntries(views.map((view) => [view.name, view.columns]))
  assert.equal(columns.ingest_bars_stale, ['rollup', 'bucket', 'inserted_at'])
  assert.equal(columns.ingest_messages_store, ['topic', 'key', 'timestamp', 'partition', 'offset', 'message'])
  assert.equal(columns.ingest_latest_quotes?.slice(0, 3), ['symbol', 'timestamp', 'bid'])
  const stores = views.filter(({ table }) => table.startsWith('market_'))
  assert.ok(stores.every((view) => view.columns.every((column) => /^[a-z][a-z_]*$/.test(column))))
})

trouble('--skip-backlog is wrong use except with on', async () => {
  for (const word of ['off', 'status']) {
    const { exitCode, stderr } = await runScript('ingest.mts', [word, '--skip-backlog'], { env: ingest.stack.env })
    assert.is(exitCode, 2)
    assert.match(stderr, `--skip-backlog: found with ${word}, expected with on`)
  }
})

trouble('names the columns that old tables lack, and leaves nothing behind', async () => {
  await run('CREATE DATABASE l2_market_data_older')
  await applyInitFiles({ ...ingest.stack.settings, CLICKHOUSE_DATABASE: 'l2_market_data_older' })
  await run('DROP TABLE l2_market_data_older.market_l1 SYNC')
  const columns = '* EXCEPT (sequence, ask_market_center)'
  await run(
    `CREATE TABLE l2_market_data_older.market_l1 ENGINE = MergeTree ORDER BY symbol AS SELECT ${columns} FROM market_l1 LIMIT 0`,
  )
  const tables = await ingest.rows('SHOW TABLES FROM l2_market_data_older')
  const { exitCode, findings } = await ingest.ingest(['on'], { CLICKHOUSE_DATABASE: 'l2_market_data_older' })
  assert.equal(
    [exitCode, ...findings.map(({ code, subject, found, hint }) => [code, subject, found, hint])],
    [1, ['INGEST_TABLE', 'market_l1', 'no column sequence, ask_market_center', 'npm run schema']],
  )
  assert.equal(await ingest.rows('SHOW TABLES FROM l2_market_data_older'), tables)
  await run('DROP DATABASE l2_market_data_older')
})

trouble('leaves tables of others alone, even with names like its own', async () => {
  await run(
    "CREATE TABLE ingest_errors ENGINE = MergeTree ORDER BY text COMMENT 'of mine' AS SELECT 'precious' AS text",
  )
  await run('CREATE TABLE ingest_fork (message String) ENGINE = Null')
  for (const [word, state] of [['on', 'on'] as const, ['off', 'off'] as const, ['on', 'on'] as const]) {
    const report = await ingest.ingest([word])
    assert.equal([report.exitCode, report.state, report.findings], [0, state, []])
    assert.not.ok(report.changed.some((name) => name === 'ingest_errors' || name === 'ingest_fork'))
    assert.equal(await ingest.rows('SELECT text FROM ingest_errors'), [['precious']])
    assert.equal(await ingest.rows('EXISTS TABLE ingest_fork'), [[1]])
  }
})

trouble('refuses a name of its own that another object has', async () => {
  await ingest.ingest(['off'])
  await run("CREATE TABLE ingest_l2_parsed ENGINE = MergeTree ORDER BY text AS SELECT 'precious' AS text")
  const { exitCode, findings } = await ingest.ingest(['on'])
  assert.equal(
    [exitCode, ...findings.map(({ code, subject }) => `${code} ${subject}`)],
    [1, 'INGEST_NAME ingest_l2_parsed'],
  )
  assert.equal(await ingest.rows('SELECT text FROM ingest_l2_parsed'), [['precious']])
  await run('DROP TABLE ingest_l2_parsed SYNC')
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
})

trouble('refuses to share its groups with another database', async () => {
  const second = { CLICKHOUSE_DATABASE: 'l2_market_data_second' }
  await run('CREATE DATABASE l2_market_data_second')
  await applyInitFiles({ ...ingest.stack.settings, ...second })
  const { exitCode, findings } = await ingest.ingest(['on'], second)
  assert.equal([exitCode, codes(findings)], [1, ['INGEST_ELSEWHERE']])
  const [finding] = findings
  const database = ingest.stack.settings.CLICKHOUSE_DATABASE
  assert.is(finding?.found, `read by database ${database}`)
  assert.is(finding?.hint, `CLICKHOUSE_DATABASE=${database} ./scripts/ingest.mts off`)
  assert.equal(await ingest.rows("SHOW TABLES FROM l2_market_data_second LIKE 'ingest%'"), [])
  assert.equal((await ingest.ingest(['status'])).findings, [])

  await ingest.ingest(['off'])
  assert.is((await ingest.ingest(['on'], second)).exitCode, 0)
  assert.equal(codes((await ingest.ingest(['on'])).findings), ['INGEST_ELSEWHERE'])
  await ingest.ingest(['off'], second)
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
  await run('DROP DATABASE l2_market_data_second')
})

trouble('refuses a reader in its groups that is not ClickHouse', async () => {
  await ingest.ingest(['off'])
  await ingest.kafka.whileReading('l2_ingest.quotes', 'iqfeed.quotes.raw', async () => {
    const { exitCode, findings } = await ingest.ingest(['on', '--timeout', '5'])
    assert.equal(
      [exitCode, ...findings.map(({ code, subject }) => [code, subject])],
      [1, ['INGEST_ELSEWHERE', 'l2_ingest.quotes']],
    )
    assert.match(String(findings[0]?.found), /^read by .+ at 127\.0\.0\.1$/)
  })
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
})

/** Replaces the queue of quotes by one that gets no partition but looks like a declared one, which simulates stuck consumers. */
async function blockQuotesQueue(): Promise<void> {
  const made = ingestStatements(ingest.stack.settings).filter(({ name }) => /^ingest_quotes_(queue|parse)$/.test(name))
  for (const { name } of made.toReversed()) await run(`DROP TABLE ${name} SYNC`)
  for (const { sql } of made) await run(sql.replace("'iqfeed.quotes.raw'", "'no.such.topic'"))
}

trouble('reports a queue that reads nothing, and on repairs it', async () => {
  await blockQuotesQueue()
  await ingest.send('iqfeed.quotes.raw', [quote({ symbol: 'STUCK' })])
  const report = await ingest.ingest(['status'])
  assert.equal([report.exitCode, report.state], [1, 'on'])
  const idle = report.findings.filter(({ code }) => code === 'INGEST_NOT_READING')
  assert.equal(
    idle.map(({ severity, subject, found, hint }) => [severity, subject, found, hint]),
    [['error', 'iqfeed.quotes.raw', '0 of 10 partitions read', './scripts/ingest.mts off && ./scripts/ingest.mts on']],
  )
  const health = await runScript('health-check.mts', ['--only', 'ingest', '--wait', '0', '--json'], {
    env: ingest.stack.env,
  })
  assert.is(health.exitCode, 1)
  assert.ok(codes(JSON.parse(health.stdout).findings).includes('INGEST_NOT_READING'))
  const on = await ingest.ingest(['on'])
  assert.equal([on.exitCode, codes(on.findings)], [0, []])
  assert.ok(on.changed.includes('ingest_quotes_queue'))
  assert.is(await ingest.settles('market_l1', "symbol = 'STUCK'", 1), 1)
})

trouble('reports waiting messages, and the cause as long as it fails', async () => {
  await run('DROP TABLE ingest_trades_reject SYNC')
  const trades = Array.from({ length: 1_001 }, (_, index) => trade({ symbol: 'WAITS', tick_id: index + 1 }))
  await ingest.send('iqfeed.trades.raw', trades)
  // Twice as long as an error counts as a current one.
  for (const afterMs of [1_000, 20_000]) {
    await delay(afterMs)
    const { exitCode, findings } = await ingest.ingest(['status'])
    assert.equal([exitCode, codes(findings)], [1, ['INGEST_DIFFERS', 'INGEST_LAG', 'INGEST_FAILS']])
    assert.is(findings[1]?.severity, 'warning')
    assert.not.match(String(findings[2]?.found), '\n')
  }
  assert.is((await ingest.ingest(['on'])).exitCode, 0)
  assert.is(await ingest.settles('market_ticks', "symbol = 'WAITS'", 1_001), 1_001)
})

trouble('waits for a member with the name of its own consumer', async () => {
  await ingest.ingest(['off'])
  const name = "concat('ClickHouse-', FQDN(), '-', currentDatabase(), '-ingest_quotes_queue')"
  const [[clientId] = []] = await ingest.rows(`SELECT ${name}`)
  const brokers = ingest.stack.settings.KAFKA_BOOTSTRAP_SERVERS
  const kafka = new Kafka({ clientId: String(clientId), brokers, logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: 'l2_ingest.quotes', heartbeatInterval: 500 })
  const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve))
  await consumer.subscribe({ topics: ['iqfeed.quotes.raw'] })
  await consumer.run({ autoCommit: false, eachMessage: async () => {} })
  await joined
  let left = false
  // Longer than `ingest on` tolerates a foreign member.
  const leaving = delay(12_000).then(async () => {
    await consumer.disconnect()
    left = true
  })
  const { exitCode, findings } = await ingest.ingest(['on'])
  assert.equal([exitCode, codes(findings), left], [0, [], true])
  await leaving
})

trouble('counts messages per second by topic, not by queue', async () => {
  // The position in a partition is known once something was read from it.
  const signals = Array.from({ length: 200 }, (_, index) => ({ index }))
  const send = () => ingest.send('trading.signals', signals, { key: null })
  await send()
  const before = await ingest.count('market_messages')
  assert.is(await ingest.settles('market_messages', '1', before), before)
  const rates = async () => {
    const reading = ingest.ingest(['status'])
    let done = false
    reading.finally(() => {
      done = true
    })
    while (!done) await send()
    const { topics } = await reading
    return topics.slice(3).map(({ messagesPerSecond }) => messagesPerSecond > 0)
  }
  assert.equal(await waitUntil(async () => (await rates())[0] && rates(), { timeoutMs: 20_000, pollMs: 100 }), [
    true,
    false,
  ])
})

trouble('is healthy again when Kafka is, despite earlier complaints', async () => {
  const { settings } = ingest.stack
  process.kill(pids(settings).kafka as number, 'SIGKILL')
  const complained = () =>
    ingest.count('system.kafka_consumers', "arrayExists(text -> text LIKE '%brokers are down%', exceptions.text)")
  assert.ok(await waitUntil(async () => (await complained()) > 0, { timeoutMs: 30_000, pollMs: 200 }))
  await ingest.startAgain()
  // Messages of earlier tests may cause a lag warning until they are stored.
  let left: string[] = []
  const healthy = await waitUntil(
    async () => {
      const { exitCode, findings } = await ingest.ingest(['status'])
      left = codes(findings)
      return exitCode === 0 && left.length === 0
    },
    { timeoutMs: 120_000, pollMs: 500 },
  )
  assert.ok(healthy, left.join())
  await ingest.send('iqfeed.quotes.raw', [quote({ symbol: 'AGAIN' })])
  assert.is(await ingest.settles('market_l1', "symbol = 'AGAIN'", 1), 1)
})

trouble.after(() => ingest.stop())
trouble.run()
