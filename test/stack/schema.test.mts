/** The command apply-schema on a real ClickHouse: empty, as declared, changed manually, and as older installations have it. */
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { TODAY } from '../../bench/storage/schemas.mts'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { type Outcome, runScript } from '../support/command.mts'
import { sharedStack } from '../support/stack.mts'

const stack = await sharedStack()
const server = await connectClickHouse({ ...stack.settings, CLICKHOUSE_DATABASE: 'system' }, 60_000)
const databases: string[] = []

/** Prepares a dedicated database, without creating it: its name, the command on it, and queries. */
function database(name: string) {
  const database = `l2_market_data_schema_${process.pid}_${name}`
  databases.push(database)
  const env = { ...stack.env, CLICKHOUSE_DATABASE: database }
  const settings = {
    query_params: { database },
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 as const },
  }
  return {
    database,
    apply: (...args: string[]): Promise<Outcome> => runScript('apply-schema.mts', args, { env }),
    applyWith: (more: NodeJS.ProcessEnv, ...args: string[]) =>
      runScript('apply-schema.mts', args, { env: { ...env, ...more } }),
    run: (query: string) => server.command({ query: query.replaceAll('DB.', `${database}.`) }),
    rows: async (query: string): Promise<unknown[][]> => {
      const answer = await server.query({
        query: query.replaceAll('DB.', `${database}.`),
        format: 'JSONCompactEachRow',
        ...settings,
      })
      return answer.json<unknown[]>()
    },
  }
}

const codes = ({ stdout }: Outcome): string[] => JSON.parse(stdout).findings.map(({ code }: { code: string }) => code)
const tables = "SELECT name FROM system.tables WHERE database = {database:String} AND name LIKE 'market%' ORDER BY name"

const fresh = suite('apply-schema on an empty server')

fresh('shows the plan, asks before changes, creates all, and then has nothing to do', async () => {
  const { apply, rows } = database('fresh')
  const dry = await apply('--dry-run')
  assert.is(dry.exitCode, 1, dry.stderr)
  assert.match(dry.stdout, /\+ create +market_ticks +table/)
  assert.is((await apply('--check')).exitCode, 1)
  assert.equal(await rows('SELECT count() FROM system.databases WHERE name = {database:String}'), [[0]])

  const made = await apply()
  assert.is(made.exitCode, 0, made.stdout + made.stderr)
  const [four] = await rows(
    `SELECT count() FROM (${tables}) WHERE name IN ('market_ticks', 'market_l1', 'market_l2', 'market_metrics')`,
  )
  assert.equal(four, [4])
  for (const args of [[], ['--dry-run'], ['--check']]) {
    const again = await apply(...args)
    assert.is(again.exitCode, 0, again.stdout)
    assert.equal(again.stderr, '')
  }
  assert.match((await apply()).stdout, 'Nothing to do')
})

fresh('reports the same to programs as to people', async () => {
  const { apply, database: name } = database('json')
  const { stdout, stderr, exitCode } = await apply('--check', '--json')
  const report = JSON.parse(stdout)
  assert.equal(
    [exitCode, report.version, report.command, report.exitCode, report.mode, report.database],
    [1, 1, './scripts/apply-schema.mts', 1, 'check', name],
  )
  assert.ok(report.findings.length > 10)
  for (const { code, found, expected, hint, subject, severity } of report.findings) {
    assert.equal([severity, code, hint], ['error', 'SCHEMA_MISSING', 'npm run schema'])
    assert.ok(subject && found && expected)
  }
  assert.is(stderr, '')
})

fresh('distinguishes no server, a wrong password and wrong use by exit code', async () => {
  const { apply, applyWith } = database('refused')
  const down = await applyWith({ CLICKHOUSE_PORT: '1' }, '--json', '--timeout', '2')
  assert.equal([down.exitCode, codes(down)], [3, ['CLICKHOUSE_UNREACHABLE']])
  const refused = await applyWith({ CLICKHOUSE_PASSWORD: 'not this' }, '--json')
  assert.equal([refused.exitCode, codes(refused)], [2, ['CLICKHOUSE_AUTH']])
  assert.not.match(refused.stdout + refused.stderr, 'not this')
  assert.is((await apply('--nonsense')).exitCode, 2)
  const both = await apply('--rebuild', 'market_ticks', '--dry-run')
  assert.equal([both.exitCode, both.stderr.includes('--rebuild --dry-run: found together')], [2, true])
  const modes = await apply('--check', '--dry-run')
  assert.equal([modes.exitCode, modes.stderr.includes('--check --dry-run: found together')], [2, true])
  const help = await apply('--help')
  assert.equal([help.exitCode, /--dry-run.*--rebuild.*Example:/s.test(help.stdout)], [0, true])
})

const drift = suite('apply-schema after manual changes')
const changed = database('drift')

const drifts: [change: string, code: string, subject: RegExp][] = [
  ['DROP VIEW DB.market_bars', 'SCHEMA_MISSING', /^market_bars$/],
  ['ALTER TABLE DB.market_ticks DROP COLUMN total_volume', 'SCHEMA_MISSING', /^market_ticks$/],
  [
    'ALTER TABLE DB.market_l2 MODIFY COLUMN order_id UInt64 CODEC(LZ4)',
    'SCHEMA_DRIFT',
    /^market_l2 codec of order_id$/,
  ],
  ['ALTER TABLE DB.market_l2 DROP PROJECTION activity', 'SCHEMA_MISSING', /^market_l2$/],
  [
    'ALTER TABLE DB.market_l2 MODIFY SETTING non_replicated_deduplication_window = 5',
    'SCHEMA_DRIFT',
    /^market_l2 setting/,
  ],
  [
    'ALTER TABLE DB.market_metrics MODIFY TTL toDateTime(timestamp) + INTERVAL 9 DAY',
    'SCHEMA_DRIFT',
    /^market_metrics retention$/,
  ],
  ['ALTER TABLE DB.market_ticks REMOVE TTL', 'SCHEMA_DRIFT', /^market_ticks recompression$/],
  ['CREATE OR REPLACE VIEW DB.market_trades AS SELECT 1 AS one', 'SCHEMA_DRIFT', /^market_trades$/],
  [
    "ALTER TABLE DB.market_book_stale MODIFY QUERY SELECT 'book' AS rollup, toStartOfFiveMinutes(timestamp) AS bucket, now64(6) AS inserted_at FROM DB.market_l2",
    'SCHEMA_DRIFT',
    /^market_book_stale$/,
  ],
]

drift('finds and repairs each of them', async () => {
  const { apply, run } = changed
  assert.is((await apply()).exitCode, 0)
  for (const [change, code, subject] of drifts) {
    await run(change)
    const found = await apply('--check', '--json')
    const [finding, ...more] = JSON.parse(found.stdout).findings
    assert.equal([found.exitCode, finding.code, more], [1, code, []], change)
    assert.match(finding.subject, subject)
    const repaired = await apply()
    assert.is(repaired.exitCode, 0, `${change}: ${repaired.stdout}`)
    assert.is((await apply('--check')).exitCode, 0, change)
  }
})

drift('leaves undeclared objects alone', async () => {
  const { apply, rows, run } = changed
  await run('CREATE TABLE DB.market_mine (a UInt8) ENGINE = MergeTree ORDER BY a')
  await run('ALTER TABLE DB.market_l1 ADD COLUMN mine String')
  const { exitCode, stdout } = await apply()
  assert.is(exitCode, 0)
  assert.match(stdout, /· not declared +market_mine +left alone/)
  assert.equal(await rows("SELECT count() FROM system.columns WHERE database = {database:String} AND name = 'mine'"), [
    [1],
  ])
})

drift('continues past failures, and reports what was done and what was not', async () => {
  const { apply, rows, run } = changed
  await run('DROP TABLE DB.market_metrics')
  await run('DROP VIEW DB.market_bars')
  // Log tables have no columns to which codecs could be added.
  await run(
    'CREATE TABLE DB.market_metrics (symbol LowCardinality(String), timestamp DateTime64(6), value Float64) ENGINE = Log',
  )
  await run("INSERT INTO DB.market_metrics VALUES ('A', now64(6), 1)")
  const { exitCode, stdout } = await apply('--json')
  const { done, findings } = JSON.parse(stdout)
  assert.is(exitCode, 1)
  assert.equal(done, ['create market_bars: view'])
  assert.equal(
    [...new Set(findings.map(({ code, subject }: { code: string; subject: string }) => `${code} ${subject}`))].sort(),
    ['SCHEMA_CANNOT_CHANGE market_metrics', 'SCHEMA_FAILED market_metrics'],
  )
  assert.is((await apply('--rebuild', 'market_metrics')).exitCode, 0)
  assert.equal(await rows('SELECT symbol, value FROM DB.market_metrics'), [['A', 1]])
})

const retention = suite('retention')

retention('deletes rows only with consent, keeps all at 0 again', async () => {
  const { applyWith, rows, run } = database('retention')
  assert.is((await applyWith({})).exitCode, 0)
  for (const age of [1, 40]) {
    await run(
      `INSERT INTO DB.market_ticks (symbol, timestamp, price, size) VALUES ('OLD', now64(6) - INTERVAL ${age} DAY, 1, 1)`,
    )
  }
  const days = { MARKET_TICKS_RETENTION_DAYS: '30', MARKET_L1_RETENTION_DAYS: '30' }
  const dry = await applyWith(days, '--dry-run')
  assert.match(
    dry.stdout,
    /market_ticks +retention: forever → toDateTime\(timestamp\) \+ toIntervalDay\(30\) \(deletes 1 older rows/,
  )
  const refused = await applyWith(days, '--json')
  assert.equal([refused.exitCode, codes(refused)], [1, ['SCHEMA_DELETES_ROWS']])
  // The change that deletes nothing is made.
  assert.equal(JSON.parse(refused.stdout).done, [
    'change market_l1: retention: forever → toDateTime(timestamp) + toIntervalDay(30)',
  ])
  const count = async () => (await rows('SELECT count() FROM DB.market_ticks'))[0]?.[0]
  assert.is(await count(), 2)

  assert.is((await applyWith(days, '--yes')).exitCode, 0)
  assert.is((await applyWith(days, '--check')).exitCode, 0)
  for (let tries = 0; (await count()) !== 1 && tries < 100; tries++) await delay(100)
  assert.is(await count(), 1)
  assert.is((await applyWith({ MARKET_TICKS_RETENTION_DAYS: '0', MARKET_L1_RETENTION_DAYS: '0' })).exitCode, 0)
  assert.equal(
    await rows(
      "SELECT count() FROM system.tables WHERE database = {database:String} AND create_table_query LIKE '%TTL%toIntervalDay(30)%'",
    ),
    [[0]],
  )
})

retention('is in the tables from the start', async () => {
  const { applyWith, rows } = database('ttl')
  const days = { MARKET_L2_RETENTION_DAYS: '7' }
  assert.is((await applyWith(days)).exitCode, 0)
  assert.is((await applyWith(days, '--check')).exitCode, 0)
  const found = await rows(
    "SELECT name FROM system.tables WHERE database = {database:String} AND create_table_query LIKE '%toIntervalDay(7)%' ORDER BY name",
  )
  assert.equal(found, [['market_book_1m'], ['market_l2']])
})

const old = suite('database of an older installation')
const today = database('today')
const IBM = "toDateTime64('2026-01-05 14:30:00', 6, 'UTC') + number"

old('gets what can be added; the rest is reported, and writers continue', async () => {
  const { apply, database: name, rows, run } = today
  await run(`CREATE DATABASE ${name}`)
  for (const statement of TODAY) await run(statement.replace('CREATE TABLE ', 'CREATE TABLE DB.'))
  await run(
    `INSERT INTO DB.market_ticks (symbol, timestamp, price, size, tick_id) SELECT 'IBM', ${IBM}, 100 + number % 7, 100, number + 1 FROM numbers(600)`,
  )
  await run(
    `INSERT INTO DB.market_l1 (symbol, timestamp, bid, ask, bid_size, ask_size, tick_id) SELECT 'IBM', ${IBM}, 100 + number, 101 + number, 100, 200, number + 1 FROM numbers(600)`,
  )
  await run(
    `INSERT INTO DB.market_l2 (symbol, timestamp, side, price, size, operation, tick_id) SELECT 'IBM', ${IBM}, if(number % 2, 'bid', 'ask'), if(number % 2, 100, 101), number, 'insert', number + 1 FROM numbers(600)`,
  )

  const first = await apply('--json')
  assert.equal(
    [first.exitCode, codes(first)],
    [1, ['SCHEMA_CANNOT_CHANGE', 'SCHEMA_CANNOT_CHANGE', 'SCHEMA_CANNOT_CHANGE']],
  )
  assert.equal(
    await rows(
      "SELECT count() FROM system.columns WHERE database = {database:String} AND table = 'market_ticks' AND name IN ('correction', 'total_volume')",
    ),
    [[2]],
  )
  const second = await apply('--json')
  assert.equal([second.exitCode, JSON.parse(second.stdout).plan.changes], [1, []])
  await run(
    "INSERT INTO DB.market_ticks (symbol, timestamp, price, size, conditions, ingestion_time, source) VALUES ('IBM', '2026-01-05 14:45:00', 1, 1, '', now(), '')",
  )
})

old('is rebuilt on demand: every row exists, and the views return them', async () => {
  const { apply, rows } = today
  const { exitCode, stdout } = await apply('--rebuild', 'market_ticks', 'market_l1,market_l2', '--json')
  assert.is(exitCode, 0, stdout)
  assert.equal(
    JSON.parse(stdout).rebuilt.map((line: string) => /^\w+: \d+/.exec(line)?.[0]),
    ['market_ticks: 601', 'market_l1: 600', 'market_l2: 600'],
  )
  assert.is((await apply('--check')).exitCode, 0)
  assert.equal(await rows('SELECT sum(trades), sum(volume), max(high) FROM DB.market_bars'), [[601, 60_001, 106]])
  assert.equal(await rows('SELECT bid, ask FROM DB.market_l1_latest FINAL'), [[699, 700]])
  const book =
    "SELECT side, price, size FROM DB.market_book(symbol = 'IBM', since = '2026-01-05 00:00:00', at = '2026-01-06 00:00:00') ORDER BY side"
  assert.equal(await rows(book), [
    ['ask', 101, 598],
    ['bid', 100, 599],
  ])
  // The old tables are kept.
  const kept = await rows(
    `SELECT sum(total_rows) FROM system.tables WHERE database = {database:String} AND name LIKE '%_before_%'`,
  )
  assert.equal(kept, [[1801]])
})

const rebuilding = suite('--rebuild')
const rebuilt = database('rebuild')

rebuilding('refuses a table that needs none, and one that writers change in the meantime', async () => {
  const { apply, rows, run } = rebuilt
  assert.is((await apply()).exitCode, 0)
  const needless = await apply('--rebuild', 'market_l2', '--json')
  assert.equal([needless.exitCode, codes(needless)], [2, ['USAGE']])

  await run('DROP TABLE DB.market_metrics')
  await run(
    'CREATE TABLE DB.market_metrics (symbol String, timestamp DateTime64(6), metric String, value Float64) ENGINE = MergeTree ORDER BY timestamp',
  )
  await run("INSERT INTO DB.market_metrics SELECT toString(number % 100), now64(6), 'm', number FROM numbers(3000000)")
  let writing = true
  const writer = async () => {
    while (writing) await run("INSERT INTO DB.market_metrics VALUES ('w', now64(6), 'm', 1)")
  }
  const [refused] = await Promise.all([
    apply('--rebuild', 'market_metrics', '--json').finally(() => {
      writing = false
    }),
    writer(),
  ])
  assert.equal([refused.exitCode, codes(refused)], [1, ['SCHEMA_REBUILD']])
  assert.match(refused.stdout, 'that arrived or changed during the copy')
  assert.equal(
    await rows("SELECT count() FROM system.tables WHERE database = {database:String} AND name LIKE 'market_metrics_%'"),
    [[0]],
  )
})

rebuilding('does not touch what an interrupted run left', async () => {
  const { apply, rows, run } = rebuilt
  await run('CREATE TABLE DB.market_metrics_rebuilt (a UInt8) ENGINE = MergeTree ORDER BY a')
  const { exitCode, stdout } = await apply('--rebuild', 'market_metrics', '--json')
  assert.equal([exitCode, JSON.parse(stdout).findings[0].subject], [1, 'market_metrics_rebuilt'])
  await run('DROP TABLE DB.market_metrics_rebuilt')
  assert.is((await apply('--rebuild', 'market_metrics')).exitCode, 0)
  const [counts] = await rows('SELECT count() >= 3000000 FROM DB.market_metrics')
  assert.equal(counts, [1])
})

rebuilding('keeps the views of a table working for new rows', async () => {
  const { apply, rows, run } = rebuilt
  await run('CREATE TABLE DB.other AS DB.market_ticks ENGINE = ReplacingMergeTree ORDER BY (symbol, timestamp)')
  await run('EXCHANGE TABLES DB.other AND DB.market_ticks')
  const insert = (time: string) =>
    run(`INSERT INTO DB.market_ticks (symbol, timestamp, price, size) VALUES ('VIEW', '2026-01-05 ${time}', 2, 3)`)
  await insert('14:30:00')
  const { exitCode, stdout } = await apply('--rebuild', 'market_ticks')
  assert.is(exitCode, 0, stdout)
  await insert('15:30:00')
  assert.equal(await rows("SELECT count(), sum(volume) FROM DB.market_bars WHERE symbol = 'VIEW'"), [[2, 6]])
})

/** Creates an older layout of market_metrics, with rows. */
async function olderMetrics(run: (query: string) => Promise<unknown>, engine: string, more = ''): Promise<void> {
  await run('DROP TABLE DB.market_metrics SYNC')
  await run(
    `CREATE TABLE DB.market_metrics (symbol String, timestamp DateTime64(6), metric String, value Float64${more}) ENGINE = ${engine}`,
  )
}

rebuilding('keeps the existing retention of the table, and asks before a shorter one', async () => {
  const { apply, applyWith, rows, run } = database('rebuild_ttl')
  assert.is((await apply()).exitCode, 0)
  await olderMetrics(run, 'MergeTree ORDER BY timestamp TTL toDateTime(timestamp) + INTERVAL 90 DAY')
  await run("INSERT INTO DB.market_metrics SELECT 'A', now64(6) - INTERVAL number DAY, 'm', 1 FROM numbers(60)")
  const days = { MARKET_METRICS_RETENTION_DAYS: '7' }
  const { exitCode, stdout } = await applyWith(days, '--rebuild', 'market_metrics', '--json')
  assert.equal([exitCode, codes({ exitCode, stdout, stderr: '' })], [1, ['SCHEMA_DELETES_ROWS']])
  assert.match(JSON.parse(stdout).rebuilt[0], 'market_metrics: 60 rows copied')
  await run('OPTIMIZE TABLE DB.market_metrics FINAL')
  assert.equal(await rows('SELECT count() FROM DB.market_metrics'), [[60]])
  const [[create] = []] = await rows(
    "SELECT create_table_query FROM system.tables WHERE database = {database:String} AND name = 'market_metrics'",
  )
  assert.match(String(create), /TTL .*toIntervalDay\(90\)/)
  assert.is((await applyWith(days, '--yes')).exitCode, 0)
  await run('OPTIMIZE TABLE DB.market_metrics FINAL')
  assert.equal(await rows('SELECT count() BETWEEN 7 AND 8 FROM DB.market_metrics'), [[1]])
})

rebuilding('keeps columns that only the live table has, and refuses if it cannot', async () => {
  const { apply, rows, run } = database('rebuild_own')
  assert.is((await apply()).exitCode, 0)
  const extra = ', note String CODEC(ZSTD(3)), stamp UInt32 MATERIALIZED 7, twice Float64 ALIAS value * 2'
  await olderMetrics(run, 'MergeTree ORDER BY timestamp', extra)
  await run(
    "INSERT INTO DB.market_metrics (symbol, timestamp, metric, value, note) VALUES ('A', now64(6), 'm', 3, 'kept')",
  )
  await run('ALTER TABLE DB.market_metrics MODIFY COLUMN stamp UInt32 MATERIALIZED 8')
  assert.is((await apply('--rebuild', 'market_metrics')).exitCode, 0)
  assert.equal(await rows('SELECT value, note, stamp, twice FROM DB.market_metrics'), [[3, 'kept', 7, 6]])

  // Its expression is invalid for the column's new type.
  await run('DROP TABLE DB.market_metrics SYNC')
  await run(
    'CREATE TABLE DB.market_metrics (symbol String, timestamp DateTime64(6), metric String, value String, wide UInt64 ALIAS length(value)) ENGINE = MergeTree ORDER BY timestamp',
  )
  const { exitCode, stdout } = await apply('--rebuild', 'market_metrics', '--json')
  const { findings } = JSON.parse(stdout)
  assert.equal([exitCode, findings[0].code, findings.length], [1, 'SCHEMA_REBUILD', 1])
  assert.match(findings[0].found, /^custom columns that the new table cannot have: wide \(/)
  assert.equal(
    await rows("SELECT name FROM system.tables WHERE database = {database:String} AND name LIKE '%rebuilt'"),
    [],
  )
})

rebuilding('does not treat merges of repeated rows as loss, and keeps every row that it read', async () => {
  const { apply, rows, run } = database('rebuild_merge')
  assert.is((await apply()).exitCode, 0)
  await olderMetrics(run, 'ReplacingMergeTree ORDER BY (symbol, timestamp)')
  await run('SYSTEM STOP MERGES DB.market_metrics')
  for (let part = 0; part < 3; part++)
    await run("INSERT INTO DB.market_metrics SELECT 'A', toDateTime64(number, 6), 'm', 1 FROM numbers(500000)")
  await run('SYSTEM START MERGES DB.market_metrics')
  const merging = run('OPTIMIZE TABLE DB.market_metrics FINAL')
  const { exitCode, stdout } = await apply('--rebuild', 'market_metrics', '--json')
  await merging
  assert.is(exitCode, 0, stdout)
  const copied = Number(/: (\d+) rows/.exec(JSON.parse(stdout).rebuilt[0])?.[1])
  assert.ok(copied >= 500_000 && copied <= 1_500_000, `${copied}`)
  assert.equal(await rows('SELECT uniqExact(timestamp) FROM DB.market_metrics'), [[500_000]])
})

const filling = suite('views filled from existing rows')

filling('are completed by the next run when filling failed', async () => {
  const { apply, rows, run } = database('fill')
  assert.is((await apply()).exitCode, 0)
  await run('DROP VIEW DB.market_l1_latest_insert')
  await run(
    "INSERT INTO DB.market_l1 (symbol, timestamp, bid, ask, bid_size, ask_size) VALUES ('F', now64(6), 1, 2, 3, 4)",
  )
  // The target accepts no rows, so the view is created but cannot be filled.
  await run('ALTER TABLE DB.market_l1_latest ADD CONSTRAINT none CHECK bid = 0')
  const failed = await apply('--json')
  assert.equal([failed.exitCode, codes(failed)], [1, ['SCHEMA_FAILED']])
  const view =
    "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'market_l1_latest_insert'"
  assert.equal(await rows(view), [[1]])
  const open = await apply('--check', '--json')
  assert.equal(
    JSON.parse(open.stdout).findings.map(({ code, subject }: Record<string, string>) => [code, subject]),
    [['SCHEMA_DRIFT', 'market_l1_latest_insert backfill']],
  )
  await run('ALTER TABLE DB.market_l1_latest DROP CONSTRAINT none')
  const finished = await apply('--json')
  assert.equal([finished.exitCode, JSON.parse(finished.stdout).done.length], [0, 1], finished.stdout)
  assert.equal(await rows("SELECT symbol, bid FROM DB.market_l1_latest FINAL WHERE symbol = 'F'"), [['F', 1]])
  assert.match((await apply()).stdout, 'Nothing to do')
})

filling('survive the deadline of a statement, and are completed after a kill -9', async () => {
  const { apply, rows, run, database: name } = database('fill_long')
  assert.is((await apply()).exitCode, 0)
  await run('DROP VIEW DB.market_l1_latest_insert')
  await run(
    "INSERT INTO DB.market_l1 (symbol, timestamp, bid, ask, bid_size, ask_size) SELECT concat('F', toString(number)), now64(6), 1, 2, 3, 4 FROM numbers(6)",
  )
  // Writing the six rows takes 2.7 s.
  await run('ALTER TABLE DB.market_l1_latest ADD CONSTRAINT slow CHECK sleepEachRow(0.45) = 0')
  const env = { ...stack.env, CLICKHOUSE_DATABASE: name }
  const created = async () => {
    const views =
      "SELECT name FROM system.tables WHERE database = {database:String} AND name = 'market_l1_latest_insert'"
    return (await rows(views)).length === 1
  }
  let killing: Promise<unknown> | undefined
  const watch = (stderr: string, pid: number) => {
    if (!stderr.includes('create market_l1_latest_insert')) return
    killing ??= waitUntil(created, { timeoutMs: 20_000, pollMs: 20 }).finally(() => process.kill(pid, 'SIGKILL'))
  }
  const killed = await runScript('apply-schema.mts', ['--timeout', '2'], { env, watch })
  assert.equal([killed.exitCode, await killing], [null, true])
  const { exitCode, stdout } = await apply('--timeout', '2', '--json')
  assert.is(exitCode, 0, stdout)
  assert.equal(JSON.parse(stdout).done, ['change market_l1_latest_insert: backfill: incomplete → complete'])
  assert.equal(await rows('SELECT count() FROM DB.market_l1_latest FINAL'), [[6]])
})

filling('recognizes only refusals to delete rows', async () => {
  const { applyWith, rows, run } = database('fill_codes')
  assert.is((await applyWith({})).exitCode, 0)
  await run(
    "INSERT INTO DB.market_ticks (symbol, timestamp, price, size) VALUES ('OLD', now64(6) - INTERVAL 40 DAY, 1, 1)",
  )
  await run(
    "INSERT INTO DB.market_l1 (symbol, timestamp, bid, ask, bid_size, ask_size) VALUES ('F', now64(6), 1, 2, 3, 4)",
  )
  await run('DROP VIEW DB.market_l1_latest_insert')
  await run('ALTER TABLE DB.market_l1_latest ADD CONSTRAINT none CHECK bid = 0')
  const { stdout } = await applyWith({ MARKET_TICKS_RETENTION_DAYS: '30' }, '--json')
  assert.equal(
    JSON.parse(stdout).findings.map(({ code, subject, hint }: Record<string, string>) => [code, subject, hint]),
    [
      ['SCHEMA_DELETES_ROWS', 'market_ticks', './scripts/apply-schema.mts --yes'],
      ['SCHEMA_FAILED', 'market_l1_latest_insert', 'npm run schema'],
    ],
  )
  assert.equal(await rows('SELECT count() FROM DB.market_ticks'), [[1]])
})

filling('exits 3 when a statement times out', async () => {
  const { apply, run, database: name } = database('silent')
  assert.is((await apply()).exitCode, 0)
  await run('ALTER TABLE DB.market_l2 DROP PROJECTION activity')
  await run('ALTER TABLE DB.market_l2 ADD PROJECTION activity (SELECT symbol, count() GROUP BY symbol)')
  await run("INSERT INTO DB.market_l2 (symbol, timestamp, price) SELECT 'A', now64(6), 1 FROM numbers(5)")
  // Dropping a projection waits for running mutations. This one cannot finish.
  await run('SYSTEM STOP MERGES DB.market_l2')
  await run('ALTER TABLE DB.market_l2 UPDATE size = 1 WHERE 1 SETTINGS mutations_sync = 0')
  const { exitCode, stdout } = await runScript('apply-schema.mts', ['--timeout', '2', '--json'], {
    env: { ...stack.env, CLICKHOUSE_DATABASE: name },
  })
  await run('SYSTEM START MERGES DB.market_l2')
  assert.equal([exitCode, codes({ exitCode, stdout, stderr: '' })], [3, ['SCHEMA_NO_ANSWER']])
})

const suites = [fresh, drift, retention, old, rebuilding, filling]
filling.after(async () => {
  for (const name of databases) await server.command({ query: `DROP DATABASE IF EXISTS ${name}` })
  await server.close()
  await stack.stop()
})
for (const each of suites) each.run()
