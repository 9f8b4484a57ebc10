/**
 * The commands archive and restore on a real ClickHouse: restored rows are identical to the archived ones, and no row is deleted before its
 * archive is verified.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { decompress } from 'fzstd'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { archiveTable } from '../../scripts/lib/archive/archive.mts'
import { readRowGroups } from '../../scripts/lib/archive/row-groups.mts'
import { TABLES, type TableName } from '../../scripts/lib/archive/table.mts'
import { connectClickHouse, readRows } from '../../scripts/lib/clickhouse/client.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import { type CommandOptions, killOn, runScript } from '../support/command.mts'
import { rollUp } from '../support/rollup.mts'
import { sharedStack } from '../support/stack.mts'
import { runOnTerminal } from '../support/terminal.mts'

const stack = await sharedStack()
const database = `${stack.settings.CLICKHOUSE_DB}_archive_${process.pid}`
const settings = { ...stack.settings, CLICKHOUSE_DATABASE: database }
const env = { ...stack.env, CLICKHOUSE_DB: database, CLICKHOUSE_DATABASE: database }
const root = mkdtempSync(path.join(tmpdir(), 'l2-archive-'))
await syncSchema(settings, { mode: 'apply', timeoutMs: 60_000, mayDelete: async () => false, log: () => {} })
const client = await connectClickHouse(settings, 60_000)

let folders = 0
/** Returns a new archive folder. */
const newFolder = () => path.join(root, String(folders++))

async function command(script: 'archive' | 'restore', args: string[], options: CommandOptions = {}) {
  const { stdout, stderr, exitCode } = await runScript(`${script}.mts`, [...args, '--json'], { env, ...options })
  const {
    days = [],
    findings = [],
    partitions = [],
  } = JSON.parse(stdout || '{}') as {
    days?: { day: string; rows: number; state: string }[]
    findings?: { code: string }[]
    partitions?: { partition: string; state: string }[]
  }
  const states = Object.fromEntries(days.map(({ day, state }) => [day, state]))
  const dropped = partitions.filter(({ state }) => state === 'dropped').map(({ partition }) => partition)
  return { exitCode, stderr, states, days, dropped, codes: findings.map(({ code }) => code) }
}
const archive = (table: TableName, before: string, to: string, ...more: string[]) =>
  command('archive', ['--table', table, '--before', before, '--to', to, ...more])
const restore = (table: TableName, from: string, ...more: string[]) =>
  command('restore', ['--table', table, '--from', from, ...more])

const insert = (table: string, values: object[]) => client.insert({ table, values, format: 'JSONEachRow' })
const event = (timestamp: string, sequence: number, more: object = {}) => ({
  ...{ symbol: 'SPY', timestamp, side: 'bid', price: 450.1, size: 1, operation: 'insert', sequence },
  ...{ ingestion_time: timestamp, source: 'test', ...more },
})

/** Returns all rows of a table as text, in an order that does not depend on how they are stored. */
const dump = async (table: string, where = '1') => {
  const query = `SELECT toString(tuple(*)) AS text FROM ${table} WHERE ${where} ORDER BY text`
  return (await readRows<{ text: string }>(client, query)).map(({ text }) => text)
}
/** Returns the number of rows per day. */
const rowsByDay = async (table: string) => {
  const query = `SELECT toString(toDate(timestamp)) AS day, toFloat64(count()) AS rows FROM ${table} GROUP BY day ORDER BY day`
  return Object.fromEntries(
    (await readRows<{ day: string; rows: number }>(client, query)).map((row) => [row.day, row.rows]),
  )
}
const scratchTables = () =>
  readRows(client, "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'archive%'")
const empty = async () => {
  for (const table of [...TABLES, 'market_bars_1m', 'market_book_1m', 'market_rollup_state', 'market_l1_latest'])
    await client.command({ query: `TRUNCATE TABLE ${table}` })
}

const trips = suite('archive and restore')
trips.before.each(empty)

trips('restore all tables exactly, with the same view results', async () => {
  const [day, next] = ['2026-01-05', '2026-01-06']
  const common = { symbol: 'SPY', ingestion_time: `${day} 14:30:01.123`, source: 'test' }
  const trade = (second: number, price: string, size: number, more: object = {}) => ({
    ...{ ...common, timestamp: `${day} 14:30:0${second}.123456`, price, size, tick_id: second + 1 },
    ...{
      sequence: 18_446_744_073_709,
      conditions: '3D',
      exchange: 'NASDAQ',
      total_volume: 9_007_199_254_740_991,
      basis: 'C',
    },
    ...more,
  })
  await insert('market_ticks', [
    trade(0, '450.12345678', 0.001),
    trade(1, '450.1', 100),
    trade(2, '-37.63', 1e15),
    trade(3, '450.2', 7, { symbol: "O'Ré\\x" }),
    { ...trade(1, '450.1', 100), correction: 'delete' },
    { ...trade(4, '450.3', 1), timestamp: `${next} 23:59:59.999999` },
  ])
  // Duplicates count once.
  await insert('market_ticks', [trade(0, '450.12345678', 0.001)])
  const quote = (second: number, bid: number, more: object = {}) => ({
    ...{ ...common, timestamp: `${day} 14:30:0${second}.000001`, bid, ask: bid + 0.01, bid_size: 0.5, ask_size: 300 },
    ...{ sequence: second, bid_market_center: 25, bid_exchange: 'ARCA', ...more },
  })
  await insert('market_l1', [quote(0, 450), quote(1, -0.05), quote(2, 450.05, { timestamp: `${next} 00:00:00` })])
  await insert('market_l2', [
    event(`${day} 14:30:00.000001`, 1),
    event(`${day} 14:30:00.000002`, 2, {
      side: 'ask',
      price: '450.20000001',
      size: 0.25,
      market_maker: 'NSDQ',
      level: 3,
    }),
    event(`${day} 14:30:01`, 3, { price: 450.09, order_id: '18446744073709551613', order_count: 4 }),
    event(`${day} 14:30:02`, 4, { operation: 'delete_level', level: 3, side: 'ask' }),
    event(`${day} 14:30:02`, 5, { operation: 'clear', symbol: 'QQQ' }),
    event(`${next} 14:30:02`, 6),
  ])
  // Two equal events are both real.
  await insert('market_l2', [event(`${day} 14:30:00.000001`, 1)])
  const metric = (value: number, timestamp: string) => ({ ...common, timestamp, metric: 'vpin', value })
  await insert('market_metrics', [
    metric(0.1 + 0.2, `${day} 14:30:00`),
    metric(-5e-324, `${day} 14:30:00`),
    metric(1e308, `${next} 14:30:00`),
  ])
  await Promise.all([rollUp(client, 'bars'), rollUp(client, 'book')])
  const at = `at = '${day} 14:30:01.5'`
  const VIEWS = [
    'market_bars',
    'market_trades',
    'market_quotes',
    `market_book(symbol = 'SPY', since = '${day} 00:00:00', ${at})`,
    'market_l1_latest FINAL',
    `market_tbbo(symbol = 'SPY', since = '${day} 00:00:00', until = '${next} 00:00:00')`,
    ...TABLES.map((table) => (table === 'market_ticks' || table === 'market_l1' ? `${table} FINAL` : table)),
  ]
  const all = async () => Object.fromEntries(await Promise.all(VIEWS.map(async (view) => [view, await dump(view)])))
  const before = await all()
  for (const view of VIEWS) assert.ok((before[view] ?? []).length > 0, view)
  const to = newFolder()
  for (const table of TABLES) {
    const { exitCode, states, dropped, codes } = await archive(table, '2026-02-01', to, '--yes')
    assert.equal([exitCode, codes, states], [0, [], { [day]: 'written', [next]: 'written' }], table)
    assert.equal(dropped, table === 'market_l2' ? ['20260105', '20260106'] : ['202601'])
    assert.equal(await rowsByDay(table), {}, table)
  }
  const without = await all()
  assert.equal(without.market_bars, before.market_bars, 'bars stay')
  assert.equal(without['market_l1_latest FINAL'], before['market_l1_latest FINAL'], 'latest quotes stay')
  assert.equal(await dump('market_book_1m', "symbol != ''"), [], 'books go with their events')
  for (const table of TABLES) {
    const { exitCode, codes, states } = await restore(table, to)
    assert.equal([exitCode, codes, states], [0, [], { [day]: 'restored', [next]: 'restored' }], table)
  }
  assert.equal(await all(), before)
  for (const table of TABLES)
    assert.equal((await restore(table, to)).states, { [day]: 'present', [next]: 'present' }, table)
  assert.equal(await all(), before, 'restored twice')
  await Promise.all([rollUp(client, 'bars'), rollUp(client, 'book')])
  assert.equal(await all(), before, 'rolled up again')
  await empty()
  for (const table of TABLES) await restore(table, to)
  assert.equal(await all(), before, 'into empty tables')
  assert.equal(await scratchTables(), [])
})

/** Number of rows that fill more than two row groups. */
const MANY = 600_000

trips('process a day in chunks, sorted by symbol and time', async () => {
  await client.command({
    query: `INSERT INTO market_l2 (symbol, timestamp, side, price, size, order_id, sequence, ingestion_time)
            SELECT concat('S', toString(number % 7)), toDateTime64('2026-01-05 09:00:00', 6, 'UTC') + toIntervalMicrosecond(number * 50001),
              number % 2, 100 + cityHash64(number) % 1000 / 100, cityHash64(number, 1) % 500 / 8, number, number, '2026-01-05 09:00:00'
            FROM numbers(${MANY})`,
  })
  const sums = () =>
    readRows(client, 'SELECT count(), sum(cityHash64(*)), min(timestamp), max(timestamp) FROM market_l2')
  const [before, to] = [await sums(), newFolder()]
  assert.equal((await archive('market_l2', '2026-01-06', to, '--yes')).dropped, ['20260105'])
  const groups = await readRowGroups(path.join(to, 'market_l2/2026-01-05.parquet'))
  assert.ok(groups.length > 2, `${groups.length} row groups`)
  assert.is(
    groups.reduce((sum, { rows }) => sum + rows, 0),
    MANY,
  )
  const file = await asyncBufferFromFile(path.join(to, 'market_l2/2026-01-05.parquet'))
  const rows = await parquetReadObjects({
    file,
    columns: ['symbol', 'timestamp'],
    compressors: { ZSTD: (input) => decompress(input) },
  })
  const keys = rows.map(({ symbol, timestamp }) => `${symbol} ${(timestamp as Date).toISOString()}`)
  assert.is(keys.length, MANY)
  assert.ok(
    keys.every((key, index) => index === 0 || (keys[index - 1] as string) <= key),
    'sorted',
  )
  assert.equal((await restore('market_l2', to)).states, { '2026-01-05': 'restored' })
  assert.equal(await sums(), before)
})

trips.run()

const guards = suite('archive')
guards.before.each(async () => {
  await empty()
  await insert('market_l2', [
    event('2026-01-05 10:00:00', 1),
    event('2026-01-05 10:00:01', 2),
    event('2026-01-06 10:00:00', 3),
    event('2026-01-07 10:00:00', 4),
  ])
})
const ALL = { '2026-01-05': 2, '2026-01-06': 1, '2026-01-07': 1 }

guards('drops nothing on No, and drops what it named on the confirmation word', async () => {
  const to = newFolder()
  const args = ['--table', 'market_l2', '--before', '2026-01-07', '--to', to]
  const no = await runOnTerminal('archive.mts', args, env, { question: /Type "drop"/, keys: '\r' })
  assert.is(no.exitCode, 1)
  assert.match(
    no.screen,
    /20260105 {2}2 rows {2}2026-01-05\s+20260106 {2}1 rows {2}2026-01-06\s+This drops 3 archived rows of market_l2\./,
  )
  assert.match(no.screen, /Declined: nothing was dropped, and the archived files are kept/)
  assert.equal(await rowsByDay('market_l2'), ALL)
  const yes = await runOnTerminal('archive.mts', args, env, { question: /Type "drop"/, keys: 'drop\r' })
  assert.is(yes.exitCode, 0, yes.screen)
  assert.equal(await rowsByDay('market_l2'), { '2026-01-07': 1 })
})

guards('refuses without a terminal and --yes, and writes nothing', async () => {
  const to = newFolder()
  const { exitCode, stderr, codes } = await archive('market_l2', '2026-01-07', to)
  assert.equal([exitCode, codes], [2, ['CONFIRM']], stderr)
  assert.is(existsSync(to), false)
  assert.equal(await rowsByDay('market_l2'), ALL)
})

guards('reports with --dry-run, writes with --keep, and drops nothing with either', async () => {
  const to = newFolder()
  const due = { '2026-01-05': 'due', '2026-01-06': 'due' }
  assert.equal((await archive('market_l2', '2026-01-07', to, '--dry-run')).states, due)
  assert.is(existsSync(to), false)
  const kept = await archive('market_l2', '2026-01-07', to, '--keep')
  assert.equal([kept.exitCode, kept.dropped], [0, []])
  assert.equal(readdirSync(path.join(to, 'market_l2')).sort(), [
    '2026-01-05.parquet',
    '2026-01-06.parquet',
    'manifest.jsonl',
  ])
  assert.equal(await rowsByDay('market_l2'), ALL)
})

guards('drops a month only when all of its days are archived', async () => {
  const metric = (timestamp: string) => ({ symbol: 'SPY', timestamp, metric: 'vpin', value: 1 })
  await insert('market_metrics', ['2025-12-31 10:00:00', '2026-01-01 10:00:00', '2026-01-02 10:00:00'].map(metric))
  const { states, dropped } = await archive('market_metrics', '2026-01-02', newFolder(), '--yes')
  assert.equal([states, dropped], [{ '2025-12-31': 'written', '2026-01-01': 'written' }, ['202512']])
  assert.equal(await rowsByDay('market_metrics'), { '2026-01-01': 1, '2026-01-02': 1 })
})

guards(
  'keeps a partition that received a row after the verification, and drops it once the row is archived',
  async () => {
    const to = newFolder()
    const request = { table: 'market_l2', before: '2026-01-06', folder: to, dryRun: false, timeoutMs: 60_000 } as const
    const late = event('2026-01-05 09:00:00', 9)
    const { findings, partitions } = await archiveTable(settings, {
      ...request,
      log: () => {},
      mayDrop: async () => {
        await insert('market_l2', [late])
        return true
      },
    })
    assert.equal(
      findings.map(({ code }) => code),
      ['ARCHIVE_ROWS_ARRIVED'],
    )
    assert.is(partitions[0]?.state, 'kept')
    assert.equal(await rowsByDay('market_l2'), { ...ALL, '2026-01-05': 3 })
    assert.equal(await scratchTables(), [])
    const again = await archive('market_l2', '2026-01-06', to, '--yes')
    assert.equal([again.exitCode, again.states, again.dropped], [0, { '2026-01-05': 'written' }, ['20260105']])
    await restore('market_l2', to)
    assert.equal(await rowsByDay('market_l2'), { ...ALL, '2026-01-05': 3 })
  },
)

guards('does not overwrite archived days that the table no longer has', async () => {
  const to = newFolder()
  await archive('market_l2', '2026-01-06', to, '--yes')
  await insert('market_l2', [event('2026-01-05 09:00:00', 9)])
  const { exitCode, codes, dropped } = await archive('market_l2', '2026-01-06', to, '--yes')
  assert.equal([exitCode, codes, dropped], [1, ['ARCHIVE_DIFFERS'], []])
  assert.equal(await rowsByDay('market_l2'), { ...ALL, '2026-01-05': 1 })
  assert.equal((await restore('market_l2', to)).states, { '2026-01-05': 'restored' }, 'beside the late row')
  assert.equal(await rowsByDay('market_l2'), { ...ALL, '2026-01-05': 3 })
  assert.equal((await restore('market_l2', to)).states, { '2026-01-05': 'present' })
  assert.equal(await rowsByDay('market_l2'), { ...ALL, '2026-01-05': 3 })
  assert.equal((await archive('market_l2', '2026-01-06', to, '--yes')).states, { '2026-01-05': 'written' }, 'with it')
  assert.equal((await restore('market_l2', to)).days[0]?.rows, 3)
})

guards('does not restore a day that has only some of its archived rows', async () => {
  const to = newFolder()
  await archive('market_l2', '2026-01-06', to, '--yes')
  await insert('market_l2', [event('2026-01-05 10:00:00', 1), event('2026-01-05 09:00:00', 9)])
  const { exitCode, codes } = await restore('market_l2', to)
  assert.equal([exitCode, codes], [1, ['RESTORE_PARTLY']])
  assert.equal(await rowsByDay('market_l2'), ALL)
})

guards('resumes after it was killed, while writing and while dropping', async () => {
  const [before, to] = [await dump('market_l2'), newFolder()]
  const killed = async (at: RegExp) => {
    const args = ['--table', 'market_l2', '--before', '2026-01-07', '--to', to, '--yes']
    return (await runScript('archive.mts', args, { env, ...killOn(at) })).exitCode
  }
  // Nothing reads this pipe, so the run blocks when it opens the file.
  const pipe = path.join(to, 'market_l2/2026-01-06.parquet.tmp')
  mkdirSync(path.dirname(pipe), { recursive: true })
  execFileSync('mkfifo', [pipe])
  assert.is(await killed(/2026-01-06: writing/), null)
  assert.equal(readdirSync(path.dirname(pipe)).sort(), ['2026-01-05.parquet', path.basename(pipe), 'manifest.jsonl'])
  assert.equal(await rowsByDay('market_l2'), ALL)
  rmSync(pipe)
  writeFileSync(path.join(to, 'market_l2/manifest.jsonl'), '{"table":"market_l2","day":"2026-', { flag: 'a' })
  // Completed by the next run, wherever this one is killed.
  await killed(/dropping 20260106/)
  const { exitCode, codes } = await archive('market_l2', '2026-01-07', to, '--yes')
  assert.equal([exitCode, codes], [0, []])
  assert.equal(await rowsByDay('market_l2'), { '2026-01-07': 1 })
  assert.equal(await scratchTables(), [])
  await restore('market_l2', to)
  assert.equal(await dump('market_l2'), before)
})

guards('moves back a partition that was being dropped', async () => {
  const before = await dump('market_l2')
  await client.command({ query: 'CREATE TABLE archive_out_market_l2_0123abcd AS market_l2' })
  await client.command({
    query: "ALTER TABLE market_l2 MOVE PARTITION ID '20260105' TO TABLE archive_out_market_l2_0123abcd",
  })
  await client.command({ query: 'CREATE TABLE archive_in_market_l2_0123abcd AS market_l2' })
  const { stdout } = await runScript('health-check.mts', ['--only', 'clickhouse', '--json'], { env })
  const [missing] = JSON.parse(stdout).findings.filter(({ code }: { code: string }) => code === 'CLICKHOUSE_ARCHIVE')
  assert.is(missing?.subject, 'clickhouse market_l2', stdout)
  assert.match(missing.found, /^rows of an unfinished archive run in archive_out_market_l2_0123abcd/)
  assert.equal((await archive('market_l2', '2026-01-07', newFolder(), '--keep')).exitCode, 0)
  assert.equal(await dump('market_l2'), before)
  assert.equal(await scratchTables(), [])
})

guards('treats a damaged file as not archived, and does not restore it', async () => {
  const to = newFolder()
  await archive('market_l2', '2026-01-06', to, '--keep')
  const file = path.join(to, 'market_l2/2026-01-05.parquet')
  const bytes = readFileSync(file)
  const at = Math.floor(bytes.length / 3)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
  const again = await archive('market_l2', '2026-01-06', to, '--yes')
  assert.equal([again.exitCode, again.codes, again.dropped], [1, ['ARCHIVE_DAMAGED'], []])
  assert.equal(await rowsByDay('market_l2'), ALL)
  await client.command({ query: "ALTER TABLE market_l2 DROP PARTITION ID '20260105'" })
  const { exitCode, codes } = await restore('market_l2', to)
  assert.equal([exitCode, codes], [1, ['RESTORE_DAMAGED']])
  assert.equal(await rowsByDay('market_l2'), { '2026-01-06': 1, '2026-01-07': 1 })
})

guards('keeps the bars of trades that were not rolled up yet', async () => {
  const trade = (second: number, price: number) => ({
    ...{ symbol: 'SPY', timestamp: `2026-01-05 14:30:0${second}`, price, size: 10, tick_id: second + 1 },
  })
  await insert('market_ticks', [trade(0, 450), trade(1, 451)])
  const before = await dump('market_bars')
  assert.is(before.length, 1)
  assert.equal((await archive('market_ticks', '2026-02-01', newFolder(), '--yes')).dropped, ['202601'])
  assert.equal(await rowsByDay('market_ticks'), {})
  assert.equal(await dump('market_bars'), before)
})

guards('includes custom columns, and refuses a table without them', async () => {
  await client.command({ query: 'ALTER TABLE market_l2 ADD COLUMN note String' })
  await insert('market_l2', [event('2026-01-05 09:00:00', 9, { note: 'of my own' })])
  const [before, to] = [await dump('market_l2'), newFolder()]
  await archive('market_l2', '2026-01-06', to, '--yes')
  await client.command({ query: 'ALTER TABLE market_l2 DROP COLUMN note' })
  const { exitCode, codes } = await restore('market_l2', to)
  assert.equal([exitCode, codes], [1, ['RESTORE_COLUMNS']])
  assert.equal(await rowsByDay('market_l2'), { '2026-01-06': 1, '2026-01-07': 1 })
  await client.command({ query: 'ALTER TABLE market_l2 ADD COLUMN note String, ADD COLUMN newer UInt8 DEFAULT 7' })
  await restore('market_l2', to)
  await client.command({ query: 'ALTER TABLE market_l2 DROP COLUMN newer' })
  assert.equal(await dump('market_l2'), before)
  await client.command({ query: 'ALTER TABLE market_l2 DROP COLUMN note' })
})

guards('restores nothing that a retention would delete again', async () => {
  const to = newFolder()
  await archive('market_l2', '2026-01-06', to, '--yes')
  const args = ['--table', 'market_l2', '--from', to]
  const { exitCode, codes } = await command('restore', args, { env: { ...env, MARKET_L2_RETENTION_DAYS: '1' } })
  assert.equal([exitCode, codes], [1, ['RESTORE_EXPIRED']])
})

guards('refuses an unknown table, an invalid day and a missing folder', async () => {
  const usage = (...args: string[]) => command('archive', [...args, '--yes'])
  assert.equal((await usage()).codes, ['USAGE', 'USAGE', 'USAGE'])
  const wrong = await usage('--table', 'market_bars_1m', '--before', '2026-02-30', '--to', 'gs://bucket/archive')
  assert.equal([wrong.exitCode, wrong.codes], [2, ['USAGE', 'USAGE', 'USAGE']])
  const nothing = await restore('market_l2', newFolder())
  assert.equal([nothing.exitCode, nothing.codes], [2, ['RESTORE_NOTHING']])
  const to = newFolder()
  await archive('market_l2', '2026-01-06', to, '--keep')
  const inFile = await archive('market_l2', '2026-01-06', path.join(to, 'market_l2/manifest.jsonl'), '--yes')
  assert.equal([inFile.exitCode, inFile.codes], [1, ['ARCHIVE_FILE']])
  const missing = await restore('market_l2', to, '--day', '2026-01-06')
  assert.equal([missing.exitCode, missing.codes], [2, ['RESTORE_NOTHING']])
})

guards.after(async () => {
  await client.command({ query: `DROP DATABASE ${database}` })
  await client.close()
  await stack.stop()
  rmSync(root, { recursive: true })
})
guards.run()
