/** Reads the days and partitions of a market table, and manages its scratch tables. */
import { randomBytes } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { type Column, FINGERPRINT, type Fingerprint, hash } from '../clickhouse/fingerprint.mts'
import { configError, error } from '../common/findings.mts'

/** The tables with source data; all others are derived from these. */
export const TABLES = ['market_ticks', 'market_l1', 'market_l2', 'market_metrics'] as const
export type TableName = (typeof TABLES)[number]

export interface Table {
  name: TableName
  columns: Column[]
  /** `FINAL` for engines that count duplicate rows once. */
  final: 'FINAL' | ''
}

export function sum(all: readonly Fingerprint[]): Fingerprint {
  const checksum = all.reduce((total, each) => BigInt.asUintN(64, total + BigInt(each.checksum)), 0n)
  return { rows: all.reduce((total, { rows }) => total + rows, 0), checksum: checksum.toString() }
}

/** @throws {OpsError} exit code 2 if the table does not exist */
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

/** Returns the archived columns that the table does not have with that name and type. */
export const missingIn = ({ columns: present }: Table, columns: readonly Column[]): Column[] =>
  columns.filter(({ name, type }) => !present.some((each) => each.name === name && each.type === type))

export interface Day extends Fingerprint {
  /** UTC, as 2026-11-25. */
  day: string
  partition: string
}

/** Returns the days of `from` in order, split by partition. `from` is the table or one with the same structure. */
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

/** Returns the condition for the rows of a day. toDate() and the partition key map times before 1970 to 1970-01-01. */
export const ofDay = (day: string): string => `toDate(timestamp) = '${day}'`

/** Returns the fingerprint of `from`, or of the rows in it that match `where`, over `columns`. */
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

/** Counts the rows that `part` and the table have in common on a day, with multiplicity. Large days are grouped on disk. */
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

/** Name prefixes of scratch tables: `out` for partitions being archived, `in` for rows read from a file. */
const PREFIX = { out: 'archive_out_', in: 'archive_in_' }

/** Returns the market table whose partitions an `out` scratch table may hold, hidden from queries; undefined for any other table. */
export const sourceOf = (scratch: string): string | undefined =>
  new RegExp(`^${PREFIX.out}(\\w+)_[0-9a-f]{8}$`).exec(scratch)?.[1]

/** Runs `use` with an empty table of the same structure, then drops that table, unless `use` failed and left rows in an `out` table. */
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
    // The next run moves back rows that a failure left in an `out` table.
    const isEmpty = async () => (await partitionsOf(client, scratch).catch(() => ['unknown'])).length === 0
    if (kind === 'in' || (await isEmpty())) {
      const condition = kind === 'in' ? '' : 'IF EMPTY'
      await client.command({ query: `DROP TABLE IF EXISTS ${condition} ${scratch} SYNC` })
    }
  }
}

/** Returns the scratch tables that interrupted runs left. */
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

/** Moves a partition to a table of the same structure, atomically and without copying. Rows that arrive later are not moved. */
export async function movePartition(
  client: ClickHouseClient,
  from: string,
  partition: string,
  to: string,
): Promise<void> {
  await client.command({ query: `ALTER TABLE ${from} MOVE PARTITION ID '${partition}' TO TABLE ${to}` })
}
