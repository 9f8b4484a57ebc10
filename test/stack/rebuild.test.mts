/**
 * `apply-schema --rebuild` on a dedicated ClickHouse: killed and resumed, with rows inserted between two runs, and with too small a disk.
 * Kills at eight moments of the command and five of the server, or at all with `FAULTS=long`. FAULTS_SEED repeats them.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ClickHouseClient } from '@clickhouse/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { TODAY } from '../../bench/storage/schemas.mts'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { FINGERPRINT } from '../../scripts/lib/clickhouse/fingerprint.mts'
import type { Settings } from '../../scripts/lib/settings/settings.mts'
import { type Outcome, runScript } from '../support/command.mts'
import { endStacks, newStack, pids, start, stop } from '../support/embedded.mts'
import { envOf, isLong, randomNumbers, sampled } from '../support/faults.mts'
import { applyInitFiles } from '../support/stack.mts'

const random = randomNumbers()
const upTo = (limit: number) => 1 + Math.floor(random() * limit)

/** A dedicated ClickHouse with the declared tables. */
class Server {
  readonly #settings: Settings
  #client: Promise<ClickHouseClient> | undefined

  constructor(settings: Settings) {
    this.#settings = settings
  }

  static async start(overrides: NodeJS.ProcessEnv = {}): Promise<Server> {
    const settings = await newStack(overrides)
    await start(settings, ['clickhouse'])
    await applyInitFiles(settings)
    return new Server(settings)
  }

  async again(): Promise<void> {
    await this.close()
    await start(this.#settings, ['clickhouse'])
  }

  /** Replaces a table by the declared one. */
  async declare(table: string): Promise<void> {
    await this.run(`DROP TABLE ${table} SYNC`)
    await applyInitFiles(this.#settings)
  }

  pid = (): number => pids(this.#settings).clickhouse ?? 0

  async run(query: string): Promise<void> {
    this.#client ??= connectClickHouse(this.#settings, 120_000)
    await (await this.#client).command({ query })
  }

  async rows(query: string): Promise<unknown[][]> {
    this.#client ??= connectClickHouse(this.#settings, 120_000)
    const clickhouse_settings = { output_format_json_quote_64bit_integers: 1 as const }
    const answer = await (await this.#client).query({ query, format: 'JSONCompactEachRow', clickhouse_settings })
    return answer.json<unknown[]>()
  }

  rebuild(table: string, more: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return runScript('apply-schema.mts', ['--rebuild', table, '--json'], { env: envOf(this.#settings, more) })
  }

  async close(): Promise<void> {
    await (await this.#client)?.close()
    this.#client = undefined
  }

  async stop(): Promise<void> {
    await this.close()
    await stop(this.#settings)
  }
}

interface Moment {
  text: string
  nth?: number
  when?: 'sent' | 'answered'
  afterMs?: number
}

/** Returns an environment in which a command kills itself or, by id, another process. @see kill-at-query.mjs */
function killAt(moment: Moment, pid = 0): NodeJS.ProcessEnv {
  const hook = fileURLToPath(new URL('../support/kill-at-query.mjs', import.meta.url))
  return {
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${hook}`,
    L2_KILL_AT: JSON.stringify({ nth: 1, when: 'sent', ...moment, pid }),
  }
}

const DAYS = 36
/** Creates a table with more days than are copied at a time, other types, another key, an additional column, and duplicate rows. */
async function olderEvents(server: Server): Promise<void> {
  const left = await server.rows(
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '^market_l2(_rebuilt|_before|$)')",
  )
  for (const [name] of left) await server.run(`DROP TABLE ${name} SYNC`)
  await server.run(
    `CREATE TABLE market_l2 (symbol String, timestamp DateTime64(6), side String, price Decimal64(8), size UInt32, operation String,
     tick_id UInt64, sequence UInt64, note Nullable(String)) ENGINE = MergeTree PARTITION BY toDate(timestamp) ORDER BY timestamp`,
  )
  await addEvents(server, DAYS)
}

const addEvents = (server: Server, days: number, from = '2026-01-05') =>
  server.run(
    `INSERT INTO market_l2 SELECT ['A', 'B'][1 + number % 2], toDateTime64('${from} 00:00:00', 6) + intDiv(number, 2) * 864, if(number % 3, 'bid', 'ask'),
     100 + number % 7, number % 1000, 'insert', intDiv(number, 4), number, if(number % 5, 'mine', NULL) FROM numbers(${days * 200})
     SETTINGS max_partitions_per_insert_block = 0`,
  )

/** Reads rows in either layout. */
const contents = async (server: Server, table = 'market_l2') =>
  (
    await server.rows(
      `SELECT count(), sum(cityHash64(symbol, timestamp, toString(side), price, toFloat64(size), toString(operation), tick_id, sequence,
       tuple(note))) FROM ${table}`,
    )
  )[0]

const tablesOf = async (server: Server, table = 'market_l2') =>
  (
    await server.rows(
      `SELECT replaceRegexpOne(name, '\\\\d{14}$', 'TIME'), comment FROM system.tables
       WHERE database = currentDatabase() AND match(name, '^${table}(_rebuilt|_before|$)') ORDER BY name`,
    )
  ).map((row) => row.join(' ').trim())

/** Checks that the rows are in the declared layout, the old table is kept, and nothing else is left. Then restores the old table. */
async function expectRebuilt(server: Server, expected: unknown, what: string): Promise<void> {
  assert.equal(await tablesOf(server), ['market_l2', 'market_l2_before_TIME'], what)
  const [[old] = []] = await server.rows("SELECT name FROM system.tables WHERE name LIKE 'market_l2_before%'")
  assert.equal([await contents(server), await contents(server, String(old))], [expected, expected], what)
  const [[key] = []] = await server.rows("SELECT sorting_key FROM system.tables WHERE name = 'market_l2'")
  assert.is(key, 'symbol, timestamp, sequence', what)
  await server.run('DROP TABLE market_l2 SYNC')
  await server.run(`RENAME TABLE ${old} TO market_l2`)
}

const findingsOf = ({ stdout }: Outcome): [string, string][] =>
  JSON.parse(stdout).findings.map(({ subject, found }: Record<string, string>) => [subject, found])

const rebuild = suite('--rebuild')
let server: Server
rebuild.before(async () => {
  server = await Server.start()
})
rebuild.after(async () => {
  await server.close()
  await endStacks()
})

const LAST: Moment[] = [
  { text: 'START MERGES', when: 'answered' },
  { text: 'EXCHANGE', when: 'sent', afterMs: upTo(5) },
  { text: 'EXCHANGE', when: 'answered' },
  { text: 'RENAME', when: 'sent', afterMs: upTo(5) },
  { text: 'RENAME', when: 'answered' },
  { text: "MODIFY COMMENT ''", when: 'sent' },
]

rebuild('resumes after its command was killed at any moment', async () => {
  await olderEvents(server)
  const expected = await contents(server)
  const moments: Moment[] = [
    { text: 'CREATE TABLE', when: 'answered' },
    { text: 'ADD COLUMN', when: 'sent' },
    { text: 'INSERT INTO', when: 'sent', afterMs: upTo(50) },
    { text: 'CREATE TABLE market_l2_rebuilt_', nth: 2, when: 'sent' },
    { text: 'INSERT INTO', nth: 2, when: 'sent', afterMs: upTo(200) },
    { text: '"filled":{"', when: 'sent' },
    { text: '"filled":{"', when: 'answered' },
    { text: 'REPLACE PARTITION', nth: upTo(32), when: 'sent', afterMs: upTo(5) },
    { text: 'REPLACE PARTITION', nth: 32 + upTo(DAYS - 32), when: 'answered' },
    { text: '"done":{"', when: 'answered' },
    { text: 'MODIFY COMMENT', nth: upTo(8), when: 'sent' },
    { text: 'DROP TABLE', nth: upTo(3), when: 'sent', afterMs: upTo(10) },
    ...LAST,
  ]
  for (const moment of sampled(moments, isLong ? moments.length : 8, random)) {
    const what = JSON.stringify(moment)
    const killed = await server.rebuild('market_l2', killAt(moment))
    assert.equal([killed.exitCode, killed.stderr.includes('[kill at')], [null, true], `${what}: ${killed.stderr}`)
    const { exitCode, stdout } = await server.rebuild('market_l2')
    assert.equal([exitCode, findingsOf({ exitCode, stdout, stderr: '' })], [0, []], what)
    assert.match(JSON.parse(stdout).rebuilt[0], `market_l2: ${DAYS * 200} rows copied`)
    await expectRebuilt(server, expected, what)
  }
})

rebuild('resumes after the server was killed at any moment', async () => {
  await olderEvents(server)
  const expected = await contents(server)
  const moments: Moment[] = [
    { text: 'INSERT INTO', nth: 2, afterMs: upTo(200) },
    { text: 'REPLACE PARTITION', nth: upTo(32), afterMs: upTo(5) },
    { text: 'REPLACE PARTITION', nth: 32, when: 'answered' },
    { text: 'MODIFY COMMENT', nth: upTo(8), afterMs: upTo(5) },
    ...LAST.slice(1, -1),
  ]
  for (const moment of sampled(moments, isLong ? moments.length : 5, random)) {
    const what = JSON.stringify(moment)
    const killed = await server.rebuild('market_l2', killAt(moment, server.pid()))
    assert.equal([killed.exitCode, killed.stderr.includes('[kill at')], [3, true], `${what}: ${killed.stdout}`)
    await server.again()
    const { exitCode, stdout } = await server.rebuild('market_l2')
    assert.equal([exitCode, findingsOf({ exitCode, stdout, stderr: '' })], [0, []], what)
    await expectRebuilt(server, expected, what)
  }
})

rebuild('copies again only what changed between two runs', async () => {
  await olderEvents(server)
  await server.rebuild('market_l2', killAt({ text: 'REPLACE PARTITION', nth: 33, when: 'answered' }))
  // Into days that are copied, one that is not, and a new one. One day is deleted.
  await addEvents(server, 2)
  await addEvents(server, 1, '2026-02-09')
  await addEvents(server, 1, '2027-01-01')
  await server.run("ALTER TABLE market_l2 DROP PARTITION ID '20260110'")
  const { exitCode, stdout, stderr } = await server.rebuild('market_l2')
  assert.is(exitCode, 0, stdout)
  assert.match(stderr, 'rows to copy, 32 partitions already copied')
  assert.match(stderr, `market_l2: 1,400 rows to copy`)
  await expectRebuilt(server, await contents(server, await oldOf(server)), 'changed')

  // A mutation may have changed any row.
  await server.rebuild('market_l2', killAt({ text: 'REPLACE PARTITION', nth: 33, when: 'answered' }))
  await server.run("ALTER TABLE market_l2 UPDATE price = 5 WHERE symbol = 'A' SETTINGS mutations_sync = 1")
  assert.is((await server.rebuild('market_l2')).exitCode, 0)
  await expectRebuilt(server, await contents(server, await oldOf(server)), 'mutated')
})

async function oldOf(from: Server): Promise<string> {
  const [[name] = []] = await from.rows("SELECT name FROM system.tables WHERE name LIKE 'market_l2_before%'")
  return String(name)
}

rebuild('keeps what it has copied when rows arrive in the meantime', async () => {
  await olderEvents(server)
  let writing = true
  const writer = async () => {
    while (writing) await addEvents(server, 1, '2026-02-09')
  }
  const [first] = await Promise.all([
    server.rebuild('market_l2').finally(() => {
      writing = false
    }),
    writer(),
  ])
  assert.is(first.exitCode, 1)
  assert.equal(findingsOf(first), [
    ['market_l2', `rows that arrived or changed during the copy; 32 of ${DAYS} partitions are copied and current`],
  ])
  const expected = await contents(server)
  const { exitCode, stderr } = await server.rebuild('market_l2')
  assert.equal([exitCode, stderr.includes('32 partitions already copied')], [0, true], stderr)
  await expectRebuilt(server, expected, 'arrived')
})

rebuild('starts over when the table was altered between two runs', async () => {
  await olderEvents(server)
  await server.rebuild('market_l2', killAt({ text: 'REPLACE PARTITION', nth: 33, when: 'answered' }))
  await server.run('ALTER TABLE market_l2 ADD COLUMN more UInt8 DEFAULT 3')
  const { exitCode, stdout, stderr } = await server.rebuild('market_l2')
  assert.is(exitCode, 0, stdout)
  assert.match(stderr, 'starting over')
  assert.equal(await server.rows('SELECT sum(more) FROM market_l2'), [[String(3 * DAYS * 200)]])
  await expectRebuilt(server, await contents(server), 'anew')
})

rebuild('takes over a run, which then stops without harm', async () => {
  await olderEvents(server)
  const expected = await contents(server)
  const [one, two] = await Promise.all([server.rebuild('market_l2'), server.rebuild('market_l2')])
  const third = await server.rebuild('market_l2')
  const codes = [one, two, third].map(({ exitCode }) => exitCode)
  assert.ok(codes.includes(0), `${codes}`)
  await expectRebuilt(server, expected, `${codes}`)
})

rebuild('turns hundreds of daily partitions into months, and estimates the cost', async () => {
  await server.declare('market_l2')
  await server.run('DROP TABLE market_ticks SYNC')
  const [ticks] = TODAY
  await server.run(ticks as string)
  await server.run(
    `INSERT INTO market_ticks (symbol, timestamp, price, size, tick_id) SELECT ['A', 'B', 'C'][1 + number % 3],
     toDateTime64('2026-01-05 00:00:00', 6) + number * 1728, 1, number, number FROM numbers(6000) SETTINGS max_partitions_per_insert_block = 0`,
  )
  const [before] = await server.rows(
    "SELECT uniqExact(partition_id) FROM system.parts WHERE table = 'market_ticks' AND active",
  )
  assert.ok(Number(before?.[0]) > 200, `${before}`)
  const { exitCode, stdout, stderr } = await server.rebuild('market_ticks')
  assert.is(exitCode, 0, stdout)
  assert.match(
    stderr,
    /market_ticks: 6,000 rows to copy\nabout \d+ s, and \d+ MiB of [\d,]+ MiB free disk space, estimated from 6,000 rows/,
  )
  assert.equal(await server.rows('SELECT count(), sum(size), uniqExact(toYYYYMM(timestamp)) FROM market_ticks'), [
    ['6000', 17_997_000, '5'],
  ])
  assert.equal(
    await server.rows("SELECT uniqExact(partition_id) FROM system.parts WHERE table = 'market_ticks' AND active"),
    [['5']],
  )
})

rebuild('copies millions of rows of one partition within the default memory limit', async () => {
  await server.run(
    `CREATE TABLE older (symbol String, timestamp DateTime64(6), bid Float64, ask Float64, bid_size UInt32, ask_size UInt32, tick_id UInt64)
     ENGINE = MergeTree ORDER BY timestamp`,
  )
  await server.run(
    `INSERT INTO older SELECT toString(number % 2000), toDateTime64('2026-01-05 00:00:00', 6) + number, number % 100, number % 100 + 1, 1, 2, number
     FROM numbers(8000000)`,
  )
  await server.run('EXCHANGE TABLES older AND market_l1')
  const { exitCode, stdout, stderr } = await server.rebuild('market_l1')
  assert.is(exitCode, 0, stdout)
  assert.match(stderr, 'estimated from 500,000 rows')
  assert.equal(await server.rows('SELECT count(), uniqExact(tick_id) FROM market_l1'), [['8000000', '8000000']])
})

rebuild('verifies values next to a NULL', async () => {
  const columns = [
    { name: 'a', type: 'String' },
    { name: 'b', type: 'Nullable(String)' },
  ]
  const checksums = await Promise.all(
    ["('x', NULL)", "('y', NULL)", "('x', '')"].map((row) =>
      server.rows(`SELECT ${FINGERPRINT(columns)} FROM values('a String, b Nullable(String)', ${row})`),
    ),
  )
  assert.is(new Set(checksums.map(([row]) => row?.[1])).size, 3, JSON.stringify(checksums))
})

const mounts =
  process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0 ? rebuild : rebuild.skip
mounts('makes nothing where the disk is too small, and says by how much', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1200m', 'tmpfs', folder])
  const small = await Server.start({ EMBEDDED_DATA_DIR: path.join(folder, 'data') })
  try {
    await olderEvents(small)
    // A merge would retain replaced parts for minutes. The values do not compress.
    await small.run('SYSTEM STOP MERGES market_l2')
    await small.run(
      `INSERT INTO market_l2 SELECT toString(cityHash64(number)), toDateTime64('2026-01-05 00:00:00', 6), 'bid', number, rand32(), 'insert', rand64(), rand64(2),
       randomString(300) FROM numbers(1200000)`,
    )
    const expected = await contents(small)
    const refused = await small.rebuild('market_l2')
    assert.is(refused.exitCode, 1, refused.stdout)
    const [finding] = JSON.parse(refused.stdout).findings
    assert.equal([finding.code, finding.subject], ['SCHEMA_REBUILD', 'market_l2'])
    assert.match(`${finding.found}, ${finding.expected}`, /^[\d,]+ MiB of free disk space, [\d,]+ MiB for its copy$/)
    assert.equal([await tablesOf(small), await contents(small)], [['market_l2'], expected])
  } finally {
    await small.stop()
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  }
})

rebuild.run()
