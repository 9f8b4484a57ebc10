/**
 * The command backup, and restoring a whole database, on a real ClickHouse: restored data equals the original, whatever happens in the
 * meantime.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { spaceFindings } from '../../scripts/lib/backup/disk-space.mts'
import type { Manifest } from '../../scripts/lib/backup/manifest.mts'
import { compareParts } from '../../scripts/lib/backup/verification.mts'
import { connectClickHouse, readRows } from '../../scripts/lib/clickhouse/client.mts'
import { syncSchema } from '../../scripts/lib/schema/schema.mts'
import { type CommandOptions, killOn, runScript } from '../support/command.mts'
import { rollUp } from '../support/rollup.mts'
import { applyInitFiles, startStack } from '../support/stack.mts'

const stack = await startStack(['clickhouse'], { CLICKHOUSE_EXTRA_GRANTS: 'BACKUP' })
const database = `${stack.settings.CLICKHOUSE_DB}_backup_${process.pid}`
const root = mkdtempSync(path.join(tmpdir(), 'l2-backup-'))
const server = await connectClickHouse({ ...stack.settings, CLICKHOUSE_DATABASE: 'system' }, 60_000)

let folders = 0
/** Returns a new folder for backups. */
const newFolder = () => path.join(root, String(folders++))
const environment = (name: string) => ({ ...stack.env, CLICKHOUSE_DB: name, CLICKHOUSE_DATABASE: name })

async function command(script: 'backup' | 'restore', args: string[], options: CommandOptions = {}) {
  const all = { env: environment(database), ...options }
  const { stdout, stderr, exitCode } = await runScript(`${script}.mts`, [...args, '--json'], all)
  const report = JSON.parse(stdout || '{}') as {
    backup?: string
    tables?: { name: string; rows: number; state?: string; moving?: boolean }[]
    findings?: { code: string; found: string }[]
  }
  const { backup = '', tables = [], findings = [] } = report
  const states = [...new Set(tables.map(({ state }) => state))]
  return { exitCode, stderr, backup, tables, states, codes: findings.map(({ code }) => code), findings }
}
const backUp = (to: string, options?: CommandOptions) => command('backup', ['--to', to], options)
const restore = (from: string, name = 'latest', options?: CommandOptions) =>
  command('restore', ['--backup', name, '--from', from], options)
/** Restores into another database than the backup's. */
const restoreAs = (target: string, from: string, name: string) => restore(from, name, { env: environment(target) })

const run = (query: string, name = database) =>
  server.command({ query: query.replaceAll('{db}', name), clickhouse_settings: { max_table_size_to_drop: '0' } })
const rows = <T,>(query: string, name = database) => readRows<T>(server, query.replaceAll('{db}', name))
const settings = { ...stack.settings, CLICKHOUSE_DATABASE: database }
const schema = () =>
  syncSchema(settings, { mode: 'apply', timeoutMs: 60_000, mayDelete: async () => false, log: () => {} })
const drop = (name = database) => run(`DROP DATABASE IF EXISTS ${name} SYNC`)
const served = path.join(stack.settings.EMBEDDED_DATA_DIR, 'clickhouse', 'backups')
/** Lists what runs left behind: in the server's folder, as databases of copies, and in the backup folder beside complete backups. */
const leftovers = async (folder: string) => [
  ...(existsSync(served) ? readdirSync(served) : []),
  ...(await rows<{ name: string }>("SELECT name FROM databases WHERE name LIKE '{db}%\\_backup\\_%'")).map(
    (row) => row.name,
  ),
  ...readdirSync(folder).filter((name) => !existsSync(path.join(folder, name, 'manifest.json'))),
]

const day = '2026-01-05'
const span = `symbol = 'SPY', since = '${day} 00:00:00', until = '2026-01-07 00:00:00'`
const QUESTIONS = [
  'market_ticks FINAL',
  'market_l1 FINAL',
  'market_l2',
  'market_metrics',
  'market_trades',
  'market_quotes',
  'market_bars',
  // Without the time of the roll-up, which may be repeated.
  "(SELECT * EXCEPT computed_at FROM market_bars_1m FINAL WHERE symbol != '')",
  "(SELECT * EXCEPT computed_at FROM market_book_1m FINAL WHERE symbol != '')",
  'market_l1_latest FINAL',
  `market_interval_bars(${span}, seconds = 10)`,
  `market_tbbo(${span})`,
  `market_bbo(${span}, seconds = 60)`,
  `market_book(symbol = 'SPY', since = '${day} 00:00:00', at = '${day} 14:31:07.5')`,
  'own_view',
  'own_log',
  'seen',
]
/** Returns the answer to each query as text, in a fixed order. Database names are removed from view definitions. */
async function answers(name = database): Promise<Record<string, string>> {
  const client = await connectClickHouse({ ...settings, CLICKHOUSE_DATABASE: name }, 60_000)
  try {
    const all: Record<string, string> = {}
    for (const question of QUESTIONS) {
      const query = `SELECT toString(count()) AS n, toString(sum(cityHash64(toString(tuple(*))))) AS sum FROM ${question}`
      const [found] = await readRows<{ n: string; sum: string }>(client, query)
      all[question] = `${found?.n} ${found?.sum}`
    }
    return all
  } finally {
    await client.close()
  }
}

/** Creates a database with rolled-up rows in every table, a view, a table of another engine, and a user's view that counts inserts. */
async function fill(): Promise<void> {
  await drop()
  await schema()
  const at = (seconds: string) => `toDateTime64('${day} 14:30:00', 6, 'UTC') + ${seconds}`
  await run('CREATE VIEW {db}.own_view AS SELECT symbol, count() AS trades FROM {db}.market_trades GROUP BY symbol')
  await run("CREATE TABLE {db}.own_log (a UInt8, `odd'name` String) ENGINE = Log")
  await run("INSERT INTO {db}.own_log VALUES (1, 'x'), (2, 'y')")
  await run('CREATE TABLE {db}.seen (rows UInt64, partition UInt8) ENGINE = MergeTree ORDER BY rows')
  await run(
    'CREATE MATERIALIZED VIEW {db}.seen_insert TO {db}.seen AS SELECT count() AS rows, 1 AS partition FROM {db}.market_metrics',
  )
  await run(`INSERT INTO {db}.market_ticks (symbol, timestamp, price, size, sequence, source)
             SELECT if(number % 3 = 0, 'SPY', 'QQQ'), ${at('number * 7.5')}, 450 + number % 17 / 100, 1 + number % 5, number, 'test' FROM numbers(20000)`)
  // Duplicates count once.
  await run(`INSERT INTO {db}.market_ticks SELECT * FROM {db}.market_ticks WHERE sequence < 1000`)
  await run(`INSERT INTO {db}.market_l1 (symbol, timestamp, bid, ask, bid_size, ask_size, sequence)
             SELECT 'SPY', ${at('number')}, 450, 450.01, number % 9, 3, number FROM numbers(5000)`)
  await run(`INSERT INTO {db}.market_l2 (symbol, timestamp, side, price, size, operation, sequence)
             SELECT 'SPY', ${at('number * 5.5')}, if(number % 2, 'bid', 'ask'), 450 + number % 11 / 100, 1 + number % 4, 'insert', number FROM numbers(30000)`)
  await run(
    `INSERT INTO {db}.market_metrics (symbol, timestamp, metric, value) SELECT 'SPY', ${at('number')}, 'vpin', number / 7 FROM numbers(100)`,
  )
  const client = await connectClickHouse(settings, 60_000)
  await Promise.all([rollUp(client, 'bars'), rollUp(client, 'book')])
  await client.close()
}

await fill()
const before = await answers()

const trips = suite('backup and restore of a database')

trips('restore everything after the database was dropped, into empty tables, and under another name', async () => {
  for (const [question, answer] of Object.entries(before)) assert.not.match(answer, /^0 /, question)
  const to = newFolder()
  const planned = await command('backup', ['--to', to, '--dry-run'])
  assert.equal([planned.exitCode, planned.codes, existsSync(to)], [0, [], false])
  const made = await backUp(to)
  assert.equal([made.exitCode, made.codes], [0, []])
  assert.match(made.backup, new RegExp(`^${database}-\\d{8}T\\d{6}Z$`))
  assert.is(made.tables.find(({ name }) => name === 'market_l2')?.rows, 30_000)
  // Duplicates count once.
  assert.is(made.tables.find(({ name }) => name === 'market_ticks')?.rows, 20_000)
  assert.equal(await leftovers(to), [])
  assert.equal(await answers(), before)

  await drop()
  const due = await command('restore', ['--backup', 'latest', '--from', to, '--dry-run'])
  assert.equal([due.exitCode, due.states], [0, ['due']])
  assert.equal(await rows("SELECT 1 FROM databases WHERE name = '{db}'"), [])
  const back = await restore(to)
  assert.equal([back.exitCode, back.codes, back.states, back.backup], [0, [], ['restored'], made.backup])
  assert.equal(await answers(), before)
  // Restoring again duplicates nothing.
  const again = await restore(to)
  assert.equal([again.exitCode, again.codes], [0, []])
  assert.equal(await answers(), before)
  // The declared views are as declared, and refresh.
  assert.equal((await schema()).plan.changes, [])
  await run('SYSTEM REFRESH VIEW {db}.market_bars_refresh')
  await run('SYSTEM WAIT VIEW {db}.market_bars_refresh')

  // As `npm start` leaves a new stack, plus a view that sees every insert.
  await drop()
  await schema()
  await run('CREATE TABLE {db}.seen (rows UInt64, partition UInt8) ENGINE = MergeTree ORDER BY rows')
  await run(
    'CREATE MATERIALIZED VIEW {db}.seen_insert TO {db}.seen AS SELECT count() AS rows, 1 AS partition FROM {db}.market_metrics',
  )
  assert.equal((await restore(to)).codes, [])
  assert.equal(await answers(), before)

  const other = `${database}_new`
  const moved = await restoreAs(other, to, made.backup)
  assert.equal([moved.exitCode, moved.codes], [0, []])
  assert.equal(await answers(other), before)
  await drop(other)
})

trips('resume after a kill at any moment, and leave nothing behind', async () => {
  const to = newFolder()
  for (const line of ['Reading the tables', 'Writing', 'Verifying', 'Storing it']) {
    const { exitCode } = await backUp(to, killOn(line))
    assert.is(exitCode, null, line)
  }
  // A server that still writes for a killed run, and an incomplete copy.
  await server.command({
    query: `BACKUP TABLE ${database}.market_l2 TO File('${database}-20260101T000000Z') ASYNC`,
    clickhouse_settings: { max_backup_bandwidth: '20000' },
  })
  mkdirSync(path.join(to, `${database}-20260101T000000Z.part`))
  const whole = readdirSync(to).filter((name) => existsSync(path.join(to, name, 'manifest.json')))
  const made = await backUp(to)
  assert.equal([made.exitCode, made.codes], [0, []])
  assert.equal(await leftovers(to), [])
  assert.equal(readdirSync(to).sort(), [...whole, made.backup].sort())

  await drop()
  for (const line of ['Copying it', 'market_l1:', 'market_ticks:', 'market_bars_1m:', 'market_rollup_state:']) {
    const { exitCode } = await restore(to, made.backup, killOn(line))
    assert.is(exitCode, null, line)
  }
  const back = await restore(to, made.backup)
  assert.equal([back.exitCode, back.codes], [0, []])
  assert.equal(await answers(), before)
  assert.equal(await leftovers(to), [])
})

trips('run one at a time', async () => {
  const to = newFolder()
  let stopped = 0
  const first = backUp(to, {
    watch: (stderr, pid) => {
      if (stopped > 0 || !stderr.includes('Reading the tables')) return
      stopped = pid
      process.kill(pid, 'SIGSTOP')
    },
  })
  while (stopped === 0) await delay(20)
  try {
    const second = await backUp(to)
    assert.equal([second.exitCode, second.codes], [3, ['BUSY']])
    assert.match(second.findings[0]?.found ?? '', 'a backup or restore is under way')
  } finally {
    process.kill(stopped, 'SIGCONT')
  }
  assert.is((await first).exitCode, 0)
})

trips('capture a moment of every table while rows arrive, and all unchanged data', async () => {
  const live = '2026-02-02'
  const count = async (name: string) =>
    (
      await rows<{ n: number }>(
        `SELECT toFloat64(count()) AS n FROM {db}.market_ticks FINAL WHERE symbol = 'LIVE'`,
        name,
      )
    )[0]?.n ?? 0
  let going = true
  let sequence = 0
  const writer = (async () => {
    for (; going; sequence += 10) {
      const values = `SELECT 'LIVE', toDateTime64('${live} 14:30:00', 6, 'UTC') + ${sequence} + number, 10, 1`
      await run(
        `INSERT INTO {db}.market_ticks (symbol, timestamp, price, size, sequence) ${values}, ${sequence} + number FROM numbers(10)`,
      )
      await run(`INSERT INTO {db}.market_l1 (symbol, timestamp, bid, ask) ${values} FROM numbers(10)`)
    }
  })()
  const to = newFolder()
  const least = await count(database)
  const made = await backUp(to)
  const most = await count(database)
  going = false
  await writer
  assert.equal([made.exitCode, made.codes], [0, []])
  // Tables without writes are never reported as changing.
  for (const { name, moving } of made.tables)
    if (/^market_(l2|metrics)$|^own_log$|^seen$/.test(name)) assert.not.ok(moving, name)
  const other = `${database}_live`
  assert.equal((await restoreAs(other, to, made.backup)).codes, [])
  const held = await count(other)
  assert.ok(held >= least && held <= most, `${held} of ${least} to ${most}`)
  // Each table is copied at another moment, but derived rows match their sources.
  const [bars] = await rows<{ n: number }>(
    "SELECT toFloat64(sum(trades)) AS n FROM {db}.market_bars WHERE symbol = 'LIVE'",
    other,
  )
  assert.is(bars?.n, held)
  const latest = 'SELECT toString(max(timestamp)) AS t FROM'
  assert.equal(
    await rows(`${latest} {db}.market_l1_latest FINAL WHERE symbol = 'LIVE'`, other),
    await rows(`${latest} {db}.market_l1 WHERE symbol = 'LIVE'`, other),
  )
  const still =
    "SELECT toString(sum(cityHash64(toString(tuple(*))))) AS sum FROM {db}.market_ticks FINAL WHERE symbol != 'LIVE'"
  assert.equal(await rows(still, other), await rows(still))
  await drop(other)
  await fill()
})

trips('recompute bars and latest quotes that do not match their rows', async () => {
  await run('TRUNCATE TABLE {db}.market_bars_1m')
  await run('TRUNCATE TABLE {db}.market_l1_latest')
  assert.match((await answers()).market_bars ?? '', /^0 /)
  const to = newFolder()
  const made = await backUp(to)
  const file = path.join(to, made.backup, 'manifest.json')
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
  // Decided by which partitions were changing, not by time.
  manifest.startedAt = '2100-01-01T00:00:00Z'
  for (const { name, partitions } of manifest.tables)
    if (/^market_(ticks|l1)$/.test(name)) for (const part of partitions) part.moving = true
  writeFileSync(file, JSON.stringify(manifest))
  await drop()
  assert.equal((await restore(to)).codes, [])
  const now = await answers()
  for (const question of ['market_bars', 'market_l1_latest FINAL']) assert.is(now[question], before[question], question)
  await fill()
})
trips.run()

const refusals = suite('backup and restore refuse')
const kept = newFolder()
let name = ''
refusals.before(async () => {
  name = (await backUp(kept)).backup
})
/** Copies the backup and applies a change to the copy. */
function changed(change: (folder: string) => void): string {
  const copy = newFolder()
  cpSync(kept, copy, { recursive: true })
  change(path.join(copy, name))
  return copy
}
const edit = (change: (manifest: Manifest) => void) =>
  changed((folder) => {
    const file = path.join(folder, 'manifest.json')
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
    change(manifest)
    writeFileSync(file, JSON.stringify(manifest))
  })
const other = `${database}_other`
const exists = async () => (await rows(`SELECT 1 FROM databases WHERE name = '${other}'`)).length > 0

refusals('without the privilege, which is off by default', async () => {
  const plain = await startStack(['clickhouse'])
  try {
    await applyInitFiles(plain.settings)
    const { exitCode, codes } = await command('backup', ['--to', newFolder()], { env: plain.env })
    assert.equal([exitCode, codes], [2, ['BACKUP_RIGHT']])
  } finally {
    await plain.stop()
  }
})

refusals('a backup that is damaged, unverified or missing', async () => {
  const damaged = changed((folder) => {
    const file = readdirSync(path.join(folder, 'data'), { recursive: true, encoding: 'utf8' })
      .map((each) => path.join(folder, 'data', each))
      .find((each) => each.endsWith('data.bin') || (each.endsWith('.bin') && statSync(each).size > 100))
    assert.ok(file)
    const bytes = readFileSync(file)
    bytes[50] = (bytes[50] ?? 0) ^ 1
    writeFileSync(file, bytes)
  })
  const unproven = changed((folder) => rmSync(path.join(folder, 'manifest.json')))
  const cut = changed((folder) => writeFileSync(path.join(folder, 'manifest.json'), '{"version": 1,'))
  const strange = edit((manifest) => {
    for (const table of manifest.tables) table.name = 'x`; DROP'
  })
  for (const [folder, expected] of [
    [damaged, [1, ['BACKUP_DAMAGED']]],
    [unproven, [2, ['BACKUP_NOTHING']]],
    [cut, [2, ['BACKUP_NOTHING']]],
    [strange, [2, ['BACKUP_NOTHING']]],
    [path.join(root, 'none'), [2, ['BACKUP_NOTHING']]],
  ] as const) {
    const { exitCode, codes } = await restoreAs(other, folder, name)
    assert.equal([exitCode, codes], expected, folder)
  }
  assert.equal((await restore(kept, `${database}-20000101T000000Z`)).codes, ['BACKUP_NOTHING'])
  assert.not.ok(await exists())
})

refusals('rows that differ from the manifest, before any is in a table', async () => {
  const wrong = edit(({ tables }) => {
    const part = tables.find((table) => table.name === 'market_l1')?.partitions[0]
    if (part) part.checksum = '1'
  })
  const { exitCode, codes } = await restoreAs(other, wrong, name)
  assert.equal([exitCode, codes], [1, ['BACKUP_PROOF']])
  assert.equal(await rows(`SELECT name FROM tables WHERE database = '${other}'`), [])
  assert.equal(await leftovers(wrong), [])
  await drop(other)
})

refusals('tables with other rows or columns, and change nothing', async () => {
  await run(`CREATE DATABASE ${other}`)
  await run(`CREATE TABLE ${other}.market_l2 AS {db}.market_l2`)
  await run(`INSERT INTO ${other}.market_l2 (symbol, timestamp) VALUES ('MINE', '2026-03-03 00:00:00')`)
  await run(`CREATE TABLE ${other}.market_l1 (symbol String) ENGINE = MergeTree ORDER BY symbol`)
  const tables = () =>
    rows(`SELECT name, toString(total_rows) AS rows FROM tables WHERE database = '${other}' ORDER BY name`)
  const mine = await tables()
  const { exitCode, codes } = await restoreAs(other, kept, name)
  assert.equal([exitCode, codes.sort()], [1, ['BACKUP_COLUMNS', 'BACKUP_ROWS']])
  assert.equal(await tables(), mine)
  await drop(other)
})

refusals('while the built-in ingest is on, whose tables are in no backup', async () => {
  const queue = `CREATE TABLE {db}.ingest_trades_queue (message String) ENGINE = Kafka
    SETTINGS kafka_broker_list = '127.0.0.1:1', kafka_topic_list = 'none', kafka_group_name = 'none', kafka_format = 'RawBLOB'
    COMMENT '0123456789abcdef'`
  await run(queue)
  try {
    const to = newFolder()
    const made = await backUp(to)
    assert.equal([made.exitCode, made.codes], [0, []])
    const manifest = readFileSync(path.join(to, made.backup, 'manifest.json'), 'utf8')
    assert.not.match(manifest, 'ingest_trades_queue')
    const { exitCode, codes } = await restore(to)
    assert.equal([exitCode, codes], [1, ['BACKUP_INGEST']])
  } finally {
    await run('DROP TABLE {db}.ingest_trades_queue SYNC')
  }
})

refusals('to call an incomplete backup complete', async () => {
  await run('CREATE TABLE {db}.own_join (a UInt8) ENGINE = Join(ANY, LEFT, a)')
  const made = await backUp(newFolder())
  await run('DROP TABLE {db}.own_join SYNC')
  assert.equal([made.exitCode, made.codes], [1, ['BACKUP_LEFT_OUT']])
  assert.match(made.backup, database)
})

refusals('a wrong folder, flag or server, and an empty database', async () => {
  const file = path.join(root, 'file')
  writeFileSync(file, '')
  for (const to of [file, path.join(file, 'below')]) {
    const { exitCode, codes } = await backUp(to)
    assert.equal([exitCode, codes], [1, ['BACKUP_FILE']], to)
  }
  for (const [script, ...args] of [
    ['backup'],
    ['backup', '--to', 'gs://bucket/path'],
    ['restore', '--backup', 'latest'],
    ['restore', '--backup', name, '--from', kept, '--table', 'market_l2'],
  ] as const) {
    const { exitCode, codes } = await command(script, args)
    assert.equal([exitCode, codes], [2, ['USAGE']], args.join(' '))
  }
  const far = { env: { ...environment(database), CLICKHOUSE_HOST: '203.0.113.5' } }
  for (const { exitCode, codes } of [await backUp(kept, far), await restore(kept, name, far)])
    assert.equal([exitCode, codes], [2, ['BACKUP_TARGET']])
  const cluster = { env: { ...environment(database), CLICKHOUSE_CLUSTER: 'c' } }
  assert.equal((await backUp(kept, cluster)).codes, ['CLICKHOUSE_CLUSTER'])
  await run(`CREATE DATABASE ${other}`)
  const { exitCode, codes } = await backUp(kept, { env: environment(other) })
  assert.equal([exitCode, codes], [2, ['BACKUP_NOTHING']])
  await drop(other)
  assert.equal((await backUp(kept, { env: environment(other) })).codes, ['CLICKHOUSE_DATABASE'])
})

refusals('a disk without enough free space', () => {
  const disk = (free: number) =>
    spaceFindings([{ subject: 'disk', free, need: 1024 ** 3 }]).map(({ found, expected }) => [found, expected])
  assert.equal(disk(2 * 1024 ** 3), [])
  assert.equal(disk(1024 ** 3), [['1024 MiB free', '1076 MiB']])
})

refusals('a copy that differs from unchanged data, or whose counts are out of range', () => {
  const part = (rows: number, checksum: string) => [{ partition: 'p', rows, checksum }]
  const compare = (before: number, after: number, copy: number, checksum = String(copy)) => {
    const parts = {
      before: part(before, String(before)),
      after: part(after, String(after)),
      copy: part(copy, checksum),
    }
    const found = compareParts('t', parts)
    return Array.isArray(found) ? found : found.code
  }
  assert.equal(compare(5, 5, 5), part(5, '5'))
  assert.equal(compare(5, 9, 5), part(5, '5'))
  assert.equal(compare(5, 9, 7), [{ ...part(7, '7')[0], moving: true }])
  assert.equal(compare(9, 5, 7), [{ ...part(7, '7')[0], moving: true }])
  assert.equal(compareParts('t', { before: [], after: part(3, '3'), copy: part(2, '2') }), [
    { ...part(2, '2')[0], moving: true },
  ])
  for (const [before, after, copy, checksum] of [
    [5, 5, 5, '6'],
    [5, 5, 4, '4'],
    [5, 9, 4, '4'],
    [5, 9, 10, '10'],
  ] as const)
    assert.is(compare(before, after, copy, checksum), 'BACKUP_PROOF')
  assert.is(
    (compareParts('t', { before: part(5, '5'), after: part(5, '5'), copy: [] }) as { code: string }).code,
    'BACKUP_PROOF',
  )
})

refusals.after(async () => {
  await drop()
  await server.close()
  await stack.stop()
  rmSync(root, { recursive: true })
})
refusals.run()
