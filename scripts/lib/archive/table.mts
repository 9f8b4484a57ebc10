/** What a market table holds of each day, and the scratch tables beside it. */
import { randomBytes } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { type Column, FINGERPRINT, type Fingerprint, hash } from '../clickhouse/fingerprint.mts'
import { configError, error } from '../common/findings.mts'

/** The tables that hold what was written; all others follow from these. */
export const TABLES = ['market_ticks', 'market_l1', 'market_l2', 'market_metrics'] as const
export type TableName = (typeof TABLES)[number]

export interface Table {
  name: TableName
  columns: Column[]
  /** `FINAL` where a repeated row counts once. */
  final: 'FINAL' | ''
}

export function sum(all: readonly Fingerprint[]): Fingerprint {
  const checksum = all.reduce((total, each) => BigInt.asUintN(64, total + BigInt(each.checksum)), 0n)
  return { rows: all.reduce((total, { rows }) => total + rows, 0), checksum: checksum.toString() }
}

/** @throws {OpsError} exit code 2 for a table that is not there */
export async function readTable(client: ClickHouseClient, name: TableName): Promise<Table> {
  const columns = await readRows<Column>(
    client,
    `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {name:String}
     AND default_kind NOT IN ('ALIAS', 'EPHEMERAL') ORDER BY position`,
    { name },
  )
  const [engine] = await readRows<{ engine: string }>(
    client,
    'SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {name:String}',
    { name },
  )
  if (!engine) throw configError([error('ARCHIVE_TABLE', name, { found: 'no such table', hint: 'npm run schema' })])
  return { name, columns, final: engine.engine.startsWith('Replacing') ? 'FINAL' : '' }
}

/** Those of archived columns that the table does not have, by name and type. */
export const lackingIn = ({ columns: own }: Table, columns: readonly Column[]): Column[] =>
  columns.filter(({ name, type }) => !own.some((each) => each.name === name && each.type === type))

export interface Day extends Fingerprint {
  /** UTC, as 2026-11-25. */
  day: string
  partition: string
}

/** What `from` holds of each day of {@link Table}'s, in order. `from` is the table, or one made like it. */
export function readDays(
  client: ClickHouseClient,
  { name, columns, final }: Table,
  { from = name as string, where = '1' } = {},
): Promise<Day[]> {
  return readRows<Day>(
    client,
    `SELECT toString(toDate(timestamp)) AS day, _partition_id AS partition, ${FINGERPRINT(columns)}
     FROM ${from} ${final} WHERE ${where} GROUP BY day, partition ORDER BY day, partition`,
  )
}

/** The rows of a day. Days before 1970 count as its first, in the partitions too. */
export const ofDay = (day: string): string => `toDate(timestamp) = '${day}'`

/** What `from` holds of a day, by `columns`. */
export async function readFingerprint(
  client: ClickHouseClient,
  { name, final }: Table,
  columns: readonly Column[],
  { from = name as string, where = '1' } = {},
): Promise<Fingerprint> {
  const query = `SELECT ${FINGERPRINT(columns)} FROM ${from} ${final} WHERE ${where}`
  const [found] = await readRows<Fingerprint>(client, query)
  return found as Fingerprint
}

/**
 * How many rows of `part` the table has of that day too, each as often as both have it. Grouping goes to disk, so that the days may be large.
 */
export async function countPresent(
  client: ClickHouseClient,
  { name, final }: Table,
  columns: readonly Column[],
  part: string,
  day: string,
): Promise<number> {
  const [found] = await readRows<{ rows: number }>(
    client,
    `SELECT toFloat64(sum(least(a, b))) AS rows FROM
     (
         SELECT sum(a) AS a, sum(b) AS b FROM
         (
             SELECT ${hash(columns)} AS key, 1 AS a, 0 AS b FROM ${part} ${final}
             UNION ALL SELECT ${hash(columns)}, 0, 1 FROM ${name} ${final} WHERE ${ofDay(day)}
         )
         GROUP BY key
     )`,
  )
  return found?.rows ?? 0
}

/** What the names of scratch tables begin with: of rows on their way out, and of rows that came from a file. */
const PREFIX = { out: 'archive_out_', in: 'archive_in_' }

/** The market table whose rows a scratch table may hold, which no query of that table sees; undefined for any other table. */
export const sourceOf = (scratch: string): string | undefined =>
  new RegExp(`^${PREFIX.out}(\\w+)_[0-9a-f]{8}$`).exec(scratch)?.[1]

/** Runs `use` with an empty table made like `table`, which is dropped afterwards, unless `use` fails with rows on their way out in it. */
export async function withScratch<T>(
  client: ClickHouseClient,
  { name }: Table,
  kind: keyof typeof PREFIX,
  use: (scratch: string) => Promise<T>,
): Promise<T> {
  const scratch = `${PREFIX[kind]}${name}_${randomBytes(4).toString('hex')}`
  await client.command({ query: `CREATE TABLE ${scratch} AS ${name}` })
  try {
    return await use(scratch)
  } finally {
    // Rows on their way out that an error left there are put back by the next run.
    const isEmpty = async () => (await partitionsOf(client, scratch).catch(() => ['unknown'])).length === 0
    if (kind === 'in' || (await isEmpty())) {
      const condition = kind === 'in' ? '' : 'IF EMPTY'
      await client.command({ query: `DROP TABLE IF EXISTS ${condition} ${scratch} SYNC` })
    }
  }
}

/** Scratch tables that an interrupted run left. */
export async function readScratch(
  client: ClickHouseClient,
  name: TableName,
  kind: keyof typeof PREFIX,
): Promise<string[]> {
  const rows = await readRows<{ name: string }>(
    client,
    'SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, {pattern:String}) ORDER BY name',
    { pattern: `^${PREFIX[kind]}${name}_[0-9a-f]{8}$` },
  )
  return rows.map((row) => row.name)
}

export async function partitionsOf(client: ClickHouseClient, table: string): Promise<string[]> {
  const rows = await readRows<{ partition: string }>(
    client,
    `SELECT DISTINCT partition_id AS partition FROM system.parts
     WHERE active AND rows > 0 AND database = currentDatabase() AND table = {table:String} ORDER BY partition`,
    { table },
  )
  return rows.map(({ partition }) => partition)
}

/** Moves a partition to a table made like its own: at once, and nothing is copied. Rows that arrive later stay. */
export async function movePartition(
  client: ClickHouseClient,
  from: string,
  partition: string,
  to: string,
): Promise<void> {
  await client.command({ query: `ALTER TABLE ${from} MOVE PARTITION ID '${partition}' TO TABLE ${to}` })
}
