/**
 * CLICKHOUSE_CLUSTER on two real servers as two shards. The embedded library has neither Keeper nor ON CLUSTER, so the test runs the
 * statements on each server, with plain instead of Replicated engines. The original statements are parsed by ClickHouse.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { onCluster } from '../../scripts/lib/schema/cluster.mts'
import { fillView } from '../../scripts/lib/schema/long-query.mts'
import { readSchemaPlan } from '../../scripts/lib/schema/read.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../support/command.mts'
import { startShards } from '../support/shards.mts'

const CLUSTER = 'market-1'
const shards = await startShards(2, CLUSTER)
const [{ env, settings }] = shards as [(typeof shards)[0]]
const connect = (database: string, shard = settings) =>
  connectClickHouse({ ...shard, CLICKHOUSE_DATABASE: database }, 60_000)
const { CLICKHOUSE_DATABASE: database } = settings
const server = await connect('system')
const { changes } = await readSchemaPlan(server, settings)
const statements = changes.flatMap((change) => change.statements)
for (const { settings: shard } of shards) {
  const system = await connect('system', shard)
  await system.command({ query: `CREATE DATABASE ${database}` })
  await system.close()
}
const servers = await Promise.all(shards.map((shard) => connect(database, shard.settings)))
const [first, second] = servers as [ClickHouseClient, ClickHouseClient]

/** The same tables on one server, to compare results. */
const single = { ...settings, CLICKHOUSE_CLUSTER: '', CLICKHOUSE_DATABASE: `${database}_single` }
await syncSchema(single, { mode: 'apply', timeoutMs: 60_000, mayDelete: async () => false, log: () => {} })
const alone = await connect(single.CLICKHOUSE_DATABASE)

async function rows(client: ClickHouseClient, query: string): Promise<unknown[][]> {
  const clickhouse_settings = { output_format_json_quote_64bit_integers: 0 as const }
  return (await client.query({ query, format: 'JSONCompactEachRow', clickhouse_settings })).json<unknown[]>()
}

const TABLES = ['market_ticks', 'market_l1', 'market_l2', 'market_metrics']
const MERGE_TREES = [...TABLES, 'market_l1_latest', 'market_rollup_state', 'market_bars_1m', 'market_book_1m']
const order = ([name]: string[]) => changes.findIndex((change) => change.name === name)
const plain = (statement: string) =>
  statement.replace(/^ENGINE = Replicated(\w+)\('[^']*', '[^']*'(?:, )?/m, 'ENGINE = $1(')

const text = suite('statements for a cluster')

text('are accepted by the parser of ClickHouse, each for every server', async () => {
  const more = [
    'CREATE DATABASE IF NOT EXISTS d',
    'DROP VIEW market_bars',
    'ALTER TABLE market_l1_local ADD COLUMN a Int8',
  ]
  assert.is(statements.length, changes.length)
  for (const statement of [...statements, ...more]) {
    const everywhere = onCluster(statement, CLUSTER)
    assert.is(everywhere.split(` ON CLUSTER '${CLUSTER}'`).length, 2, statement)
    const { stream } = await server.exec({ query: `EXPLAIN AST ${everywhere}` })
    assert.match(Buffer.concat(await stream.toArray()).toString(), /^(Create|Drop|Alter)Query/, everywhere)
  }
})

text('make every table Replicated, and add one by its name that sends each symbol to one shard', () => {
  for (const name of MERGE_TREES) {
    const [local, whole] = [`${name}_local`, name].map((each) => changes.find((change) => change.name === each))
    assert.match(
      local?.statements[0] ?? '',
      /^ENGINE = Replicated\w+\('\/clickhouse\/tables\/\{shard\}\/\{database\}\/\{table\}', '\{replica\}'/m,
    )
    const key = name === 'market_rollup_state' ? '' : ', cityHash64(symbol)'
    assert.match(whole?.statements[0] ?? '', `ENGINE = Distributed('${CLUSTER}', '${database}', '${name}_local'${key})`)
  }
})

const life = suite('apply-schema on a cluster')
const plan = async () => {
  const outcome = await runScript('apply-schema.mts', ['--dry-run', '--json'], { env })
  return { exitCode: outcome.exitCode, ...JSON.parse(outcome.stdout) }
}

life('creates all on each server, and then finds only the plain engines as a difference', async () => {
  for (const shard of servers) {
    for (const statement of statements) {
      // There are no rows from which the view would have to be filled.
      await shard.command({ query: plain(statement).replace(/\nCOMMENT '[^']*'$/, '') })
    }
  }
  const made = await plan()
  assert.equal([made.exitCode, made.plan.changes, made.plan.undeclared], [1, [], []])
  assert.equal(
    made.plan.impossible.map((each: { name: string; what: string; to: string }) => [each.name, each.what]),
    MERGE_TREES.map((name) => [`${name}_local`, 'engine']).sort((a, b) => order(a) - order(b)),
  )
  assert.match(made.findings[0].hint, `ON CLUSTER '${CLUSTER}'`)
})

life('notices what one of the servers lacks', async () => {
  const lost = ['DROP VIEW market_bars', 'DROP TABLE market_metrics', 'ALTER TABLE market_l1_local DROP COLUMN source']
  for (const query of lost) await second.command({ query })
  const { plan: found } = await plan()
  const changed = found.changes.map(({ action, name }: { action: string; name: string }) => [action, name])
  assert.equal(changed, [
    ['add', 'market_l1_local'],
    ['create', 'market_metrics'],
  ])
  // Here its tables are not part of a cluster, because their engines are plain.
  assert.equal(found.waiting, [{ name: 'market_bars', table: 'market_ticks_local' }])
  for (const { statements } of found.changes) for (const query of statements) await second.command({ query })
  const view = changes.find(({ name }) => name === 'market_bars')
  await second.command({ query: view?.statements[0] ?? '' })
  const { plan: left } = await plan()
  assert.equal([left.changes, left.waiting], [[], []])
})

life('reports what health-check reports', async () => {
  const { exitCode, stdout } = await runScript('health-check.mts', ['--only', 'clickhouse', '--json'], { env })
  const codes = JSON.parse(stdout).findings.map(({ code }: { code: string }) => code)
  assert.equal([exitCode, [...new Set(codes)]], [1, ['SCHEMA_CANNOT_CHANGE']], stdout)
})

life('refuses features of a single server, and a missing cluster', async () => {
  const folder = settings.EMBEDDED_DATA_DIR
  for (const [script, ...args] of [
    ['apply-schema.mts', '--rebuild', 'market_l1'],
    ['archive.mts', '--table', 'market_l1', '--before', '2026-01-01', '--to', folder, '--keep'],
    ['restore.mts', '--table', 'market_l1', '--from', folder],
    ['quality.mts'],
    ['ingest.mts', 'on'],
  ] as [string, ...string[]][]) {
    const { exitCode, stdout, stderr } = await runScript(script, [...args, '--json'], { env })
    assert.equal([exitCode, JSON.parse(stdout).findings[0].code], [2, 'CLICKHOUSE_CLUSTER'], stdout + stderr)
  }
  const other = await runScript('apply-schema.mts', ['--dry-run', '--json'], {
    env: { ...env, CLICKHOUSE_CLUSTER: 'no' },
  })
  assert.equal([other.exitCode, JSON.parse(other.stdout).findings[0].code], [2, 'CLICKHOUSE_CLUSTER'])
})

const rowsOf = suite('rows on two shards')
const SYMBOLS = ['AAPL', ...Array.from({ length: 199 }, (_, index) => `S${index}`)]
const at = (second: number) =>
  `2026-01-05 15:${String(40 + Math.floor(second / 60)).padStart(2, '0')}:${String(second % 60).padStart(2, '0')}`

/** Rows of every symbol: trades, some repeated and corrected, quotes, and a book with changes. */
function market(): Record<string, object[]> {
  const of = <T extends object>(make: (symbol: string, n: number, second: number) => T[]) =>
    SYMBOLS.flatMap((symbol, n) => Array.from({ length: 10 }, (_, index) => make(symbol, n, index * 17)).flat())
  const ticks = of((symbol, n, second) => {
    const trade = { symbol, timestamp: at(second), price: 10 + n + second / 100, size: second + 1, tick_id: second + 1 }
    return second % 2 === 0 ? [trade, trade] : second === 51 ? [trade, { ...trade, correction: 'delete' }] : [trade]
  })
  const quotes = of((symbol, n, second) => [
    {
      symbol,
      timestamp: at(second),
      bid: 10 + n,
      ask: 10.1 + n + second / 100,
      bid_size: 100,
      ask_size: 300,
      sequence: second + 1,
    },
  ])
  const events = of((symbol, n, second) =>
    ['bid', 'ask'].map((side, index) => ({
      ...{ symbol, timestamp: at(second), side, size: second + 1, order_id: 2 * second + index + 1 },
      ...{
        price: 10 + n + (index === 0 ? -1 : 1) * (second + 1),
        sequence: 2 * second + index + 1,
        operation: 'insert',
      },
    })),
  )
  const metrics = of((symbol, n, second) => [{ symbol, timestamp: at(second), metric: 'm', value: n * second }])
  return { market_ticks: ticks, market_l1: quotes, market_l2: events, market_metrics: metrics }
}

rowsOf('go to one shard by symbol, whichever server receives them', async () => {
  for (const [table, values] of Object.entries(market())) {
    for (const [index, client] of [alone, first, second].entries()) {
      const half = values.filter((_, row) => index === 0 || row % 2 === index - 1)
      const clickhouse_settings = { distributed_foreground_insert: 1, insert_deduplicate: 0 } as const
      await client.insert({ table, values: half, format: 'JSONEachRow', clickhouse_settings })
    }
    const of = async (client: ClickHouseClient) =>
      (await rows(client, `SELECT DISTINCT symbol FROM ${table}_local ORDER BY symbol`)).map(String)
    const [one, two] = [await of(first), await of(second)]
    assert.equal([...one, ...two].sort(), [...SYMBOLS].sort(), table)
    assert.ok(one.length > 50 && two.length > 50, table)
  }
})

rowsOf('that a new view would lack are reported, with the statement for each shard', async () => {
  const view = changes.find(({ name }) => name === 'market_l1_latest_insert')?.backfill
  assert.ok(view)
  const finding = await fillView(first, settings, view, 60_000)
  assert.equal(
    [finding?.code, finding?.found],
    ['SCHEMA_NOT_FILLED', '2000 existing rows on the shards that the view has not processed'],
  )
  const [insert = '', unmark = ''] =
    /^on one server of each shard: (.*); then: (.*)$/s.exec(finding?.hint ?? '')?.slice(1) ?? []
  assert.match(unmark, `ALTER TABLE market_l1_latest_insert ON CLUSTER '${CLUSTER}' MODIFY COMMENT ''`)
  for (const shard of servers) {
    await shard.command({ query: 'TRUNCATE TABLE market_l1_latest_local' })
    await shard.command({ query: insert })
  }
  assert.equal(await rows(first, 'SELECT uniqExact(symbol) FROM market_l1_latest'), [[SYMBOLS.length]])
})

/** Queries for both, from docs/storage.md and over all symbols. */
const QUESTIONS = [
  ...[...readFileSync(path.join(ROOT, 'docs', 'storage.md'), 'utf8').matchAll(/^```sql\n(.*?)^```/gms)].map(
    ([, sql = '']) => sql,
  ),
  'SELECT symbol, count(), sum(price), sum(size) FROM market_trades GROUP BY symbol ORDER BY symbol',
  'SELECT * FROM market_bars ORDER BY symbol, minute',
  'SELECT symbol, max(high), sum(volume) FROM market_bars GROUP BY symbol ORDER BY symbol',
  'SELECT symbol, count(imbalance), sum(weighted_mid), sum(spread) FROM market_quotes GROUP BY symbol ORDER BY symbol',
  'SELECT symbol, position, spread, mid FROM market_l1_latest FINAL ORDER BY symbol',
  'SELECT metric, sum(value) FROM market_metrics GROUP BY metric',
  ...SYMBOLS.slice(0, 6).map(
    (symbol) =>
      `SELECT * FROM market_book(symbol = '${symbol}', since = '2026-01-05 00:00:00', at = '2026-01-05 15:42:00') ORDER BY side, level`,
  ),
]

async function sameAnswers(): Promise<void> {
  let found = 0
  for (const question of QUESTIONS) {
    const expected = await rows(alone, question)
    found += expected.length
    for (const shard of servers) assert.equal(await rows(shard, question), expected, question)
  }
  assert.ok(found > 1000)
}

rowsOf('answer as on one server while they are raw', sameAnswers)

rowsOf('are queried as on one server once each shard has rolled up its own', async () => {
  const isFresh = async (client: ClickHouseClient) => {
    const query =
      'SELECT count(), countIf(computed_at <= inserted_at + INTERVAL 10 SECOND) FROM market_rollup_state FINAL'
    const [counted] = await rows(client, query)
    return Number(counted?.[0]) > 0 && counted?.[1] === 0
  }
  for (const client of [alone, first]) {
    assert.ok(await waitUntil(() => isFresh(client), { timeoutMs: 120_000, pollMs: 500 }))
  }
  for (const client of servers) {
    const [bars] = await rows(client, 'SELECT uniqExactIf(symbol, trades > 0) FROM market_bars_1m_local')
    const [raw] = await rows(client, 'SELECT uniqExact(symbol) FROM market_ticks_local')
    assert.equal(bars, raw)
  }
  await sameAnswers()
})

const suites = [text, life, rowsOf]
rowsOf.after(async () => {
  for (const client of [...servers, server, alone]) await client.close()
  for (const shard of shards) await shard.stop()
})
for (const each of suites) each.run()
