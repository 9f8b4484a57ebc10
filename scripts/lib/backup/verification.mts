/** Reads the contents of a database, by table and partition, as fingerprints, and compares a restored copy with them. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { type Column, FINGERPRINT, type Fingerprint, isEqual } from '../clickhouse/fingerprint.mts'
import { error, type Finding } from '../common/findings.mts'
import { runOnServer, type Work } from './server.mts'

export interface Part extends Fingerprint {
  partition: string
  /** Rows were added or removed during the backup, which contains those of some moment in between. */
  moving?: true
}

export interface DataTable {
  name: string
  engine: string
  columns: Column[]
  bytes: number
}

/** A view, or a table that stores no rows. */
export interface Definition {
  name: string
  engine: string
  /** The CREATE statement, including the database name. */
  sql: string
}

/** Engines whose rows BACKUP copies and queries can compare. */
const OF_ROWS = /^((Replicated|Shared)?\w*MergeTree|Memory|Log|TinyLog|StripeLog)$/
/** Engines that store no rows. */
const ROWLESS = /^(View|MaterializedView|Null|Kafka|Merge|Distributed|Alias)$/
/** Engines that combine rows with the same key when parts merge. */
const FINAL = /(Replacing|Aggregating|Summing|Collapsing|Coalescing)MergeTree$/

export const fullName = (database: string, table: string): string => `\`${database}\`.\`${table}\``

/** Returns the tables of a database in order, without those named in `except`. `unsupported` are tables that cannot be backed up. */
export async function readTables(
  client: ClickHouseClient,
  database: string,
  except: readonly string[],
): Promise<{ tables: DataTable[]; definitions: Definition[]; unsupported: string[] }> {
  const all = await readRows<{ name: string; engine: string; sql: string; bytes: number }>(
    client,
    `SELECT name, engine, create_table_query AS sql, toFloat64(ifNull(total_bytes, 0)) AS bytes FROM system.tables
     WHERE database = {database:String} AND name NOT IN {except:Array(String)} AND NOT is_temporary ORDER BY name`,
    { database, except },
  )
  const columns = await readColumns(client, database)
  const isUnsupported = ({ name, engine }: { name: string; engine: string }) =>
    /[^\w]/.test(name) || !(OF_ROWS.test(engine) || ROWLESS.test(engine))
  const unsupported = all.filter(isUnsupported).map(({ name }) => name)
  const known = all.filter((each) => !isUnsupported(each))
  const tables = known.filter(({ engine }) => OF_ROWS.test(engine))
  return {
    tables: tables.map(({ name, engine, bytes }) => ({ name, engine, bytes, columns: columns.get(name) ?? [] })),
    definitions: known
      .filter(({ engine }) => ROWLESS.test(engine))
      .map(({ name, engine, sql }) => ({ name, engine, sql })),
    unsupported,
  }
}

/** Returns the stored columns of every table of a database. */
export async function readColumns(client: ClickHouseClient, database: string): Promise<Map<string, Column[]>> {
  const rows = await readRows<Column & { table: string }>(
    client,
    `SELECT table, name, type FROM system.columns
     WHERE database = {database:String} AND default_kind NOT IN ('ALIAS', 'EPHEMERAL') ORDER BY table, position`,
    { database },
  )
  const columns = new Map<string, Column[]>()
  for (const { table, name, type } of rows) columns.set(table, [...(columns.get(table) ?? []), { name, type }])
  return columns
}

/** Fingerprints each partition, in order. Rows that merges would combine count as combined. Columns may have the same names as the results. */
export function readParts(
  client: ClickHouseClient,
  database: string,
  { name, engine, columns }: Omit<DataTable, 'bytes'>,
): Promise<Part[]> {
  const partition = engine.endsWith('MergeTree') ? '_partition_id' : "'all'"
  return readRows<Part>(
    client,
    `SELECT ${partition} AS partition, ${FINGERPRINT(columns)} FROM ${fullName(database, name)} ${FINAL.test(engine) ? 'FINAL' : ''}
     GROUP BY ${partition} ORDER BY ${partition}
     SETTINGS do_not_merge_across_partitions_select_final = 1, prefer_column_name_to_alias = 1`,
  )
}

/** Restores a table of a backup to `scratch`, without merges or expiry, and fingerprints its partitions. */
export async function restoreCopy(
  work: Work,
  backup: { name: string; database: string },
  table: DataTable,
  scratch: string,
): Promise<Part[]> {
  const copy = fullName(scratch, table.name)
  const statement = `RESTORE TABLE ${fullName(backup.database, table.name)} AS ${copy} FROM File('${backup.name}')`
  const what = `${table.name}: reading back`
  await runOnServer(work, statement, what, ', structure_only = 1')
  if (table.engine.endsWith('MergeTree')) await work.client.command({ query: `SYSTEM STOP MERGES ${copy}` })
  await runOnServer(work, statement, what)
  return readParts(work.client, scratch, table)
}

/**
 * Compares a copy, partition by partition, with the table before and after the backup. Partitions that did not change must be equal; in
 * others the row count must be between both.
 * @returns the copy's partitions, or a finding
 */
export function compareParts(
  table: string,
  { before, after, copy }: Record<'before' | 'after' | 'copy', readonly Part[]>,
): Part[] | Finding {
  const none = (partition: string): Part => ({ partition, rows: 0, checksum: '0' })
  const of = (parts: readonly Part[], id: string) => parts.find(({ partition }) => partition === id) ?? none(id)
  const verified: Part[] = []
  for (const id of new Set([...before, ...after, ...copy].map(({ partition }) => partition))) {
    const [old, now, held] = [of(before, id), of(after, id), of(copy, id)]
    const [least, most] = [Math.min(old.rows, now.rows), Math.max(old.rows, now.rows)]
    const same = isEqual(held, old)
    const moving = !isEqual(old, now) && held.rows >= least && held.rows <= most
    if (!same && !moving) {
      const found = `${held.rows} rows in the backup that do not match the ${least === most ? least : `${least} to ${most}`} in the table`
      return error('BACKUP_PROOF', `${table} ${id}`, { found, hint: 'the backup was discarded; run it again' })
    }
    if (held.rows > 0) verified.push(same ? held : { ...held, moving: true })
  }
  return verified.sort((a, b) => (a.partition < b.partition ? -1 : 1))
}
