/** Plans a restore, table by table. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { type Column, isEqual } from '../clickhouse/fingerprint.mts'
import { PREFIX } from '../clickhouse/statements.mts'
import { error, type Finding } from '../common/findings.mts'
import type { Manifest } from './manifest.mts'
import { fullName, type Part, readColumns, readParts } from './verification.mts'

type Table = Manifest['tables'][number]

/** Tables derived from others. Of duplicate rows only the newest counts, so a repeated restore can safely add rows to them. */
const DERIVED = ['market_bars_1m', 'market_book_1m', 'market_l1_latest', 'market_rollup_state']
/** Restored last: it records which roll-ups the other tables contain. */
export const LAST = 'market_rollup_state'

export interface TablePlan {
  table: Table
  exists: boolean
  /** Partitions to restore. */
  missing: Part[]
  /** Why the table cannot be restored. */
  refusal?: Finding
}

/**
 * Plans each table, derived ones last. Refuses tables with rows that are not in the backup, except derived tables whose sources already
 * match the backup: there, roll-ups have continued after an earlier restore.
 */
export async function planRestore(
  client: ClickHouseClient,
  { tables }: Manifest,
  database: string,
): Promise<TablePlan[]> {
  const columns = await readColumns(client, database)
  const rank = ({ name }: Table) => (name === LAST ? 2 : DERIVED.includes(name) ? 1 : 0)
  const plans: TablePlan[] = []
  for (const table of [...tables].sort((a, b) => rank(a) - rank(b))) {
    const sourcesDone = plans.every((plan) => rank(plan.table) > 0 || (plan.exists && plan.missing.length === 0))
    plans.push(await planTable(client, database, table, columns.get(table.name), rank(table) > 0 && sourcesDone))
  }
  return plans
}

async function planTable(
  client: ClickHouseClient,
  database: string,
  table: Table,
  columns: readonly Column[] | undefined,
  mayHaveMore: boolean,
): Promise<TablePlan> {
  const { name, engine, partitions } = table
  if (!columns) return { table, exists: false, missing: partitions }
  const refuse = (code: string, found: string, hint: string): TablePlan => {
    return { table, exists: true, missing: partitions, refusal: error(code, `${database}.${name}`, { found, hint }) }
  }
  const recreate = `if it is empty: DROP TABLE IF EMPTY ${fullName(database, name)}, then restore`
  const found = differing(columns, table.columns)
  if (found) return refuse('BACKUP_COLUMNS', found, `${recreate}, then: npm run schema`)
  const held = await readParts(client, database, table)
  const isIn = (part: Part, parts: readonly Part[]) =>
    parts.some((each) => each.partition === part.partition && isEqual(each, part))
  const others = held.filter((part) => !isIn(part, partitions))
  const missing = partitions.filter((part) => !isIn(part, held))
  if (others.length > 0 && !mayHaveMore) {
    const rows = others.reduce((total, part) => total + part.rows, 0)
    const hint = `restore to another database: CLICKHOUSE_DATABASE=${database}_restored npm run restore -- …`
    return refuse('BACKUP_ROWS', `${rows} rows in partitions that differ from the backup`, hint)
  }
  if (missing.length > 0 && !engine.endsWith('MergeTree'))
    return refuse('BACKUP_ROWS', `an empty table with engine ${engine}`, recreate)
  return { table, exists: true, missing }
}

/** Describes how columns differ from those of the backup; returns undefined if they do not. */
function differing(current: readonly Column[], archived: readonly Column[]): string | undefined {
  const texts = (columns: readonly Column[]) => columns.map(({ name, type }) => `${name} ${type}`)
  const [now, then] = [texts(current), texts(archived)]
  if (JSON.stringify(now) === JSON.stringify(then)) return undefined
  const changed = [...now.filter((text) => !then.includes(text)), ...then.filter((text) => !now.includes(text))]
  return `columns that differ from the backup's: ${changed.join(', ') || 'another order'}`
}

/** Reports the built-in ingest if it is on. */
export async function ingestFindings(client: ClickHouseClient, database: string): Promise<Finding[]> {
  const on = await readRows(
    client,
    `SELECT 1 FROM system.tables WHERE database = {database:String} AND startsWith(name, '${PREFIX}') AND engine = 'Kafka' LIMIT 1`,
    { database },
  )
  const found = 'on, so it would insert rows during the restore'
  return on.length > 0 ? [error('BACKUP_INGEST', 'ingest', { found, hint: './scripts/ingest.mts off' })] : []
}
