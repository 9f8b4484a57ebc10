/** What a restore finds in the database, table by table, and what is to be done. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { type Column, isEqual } from '../clickhouse/fingerprint.mts'
import { PREFIX } from '../clickhouse/statements.mts'
import { error, type Finding } from '../common/findings.mts'
import type { Manifest } from './manifest.mts'
import { fullName, type Part, readColumns, readParts } from './verification.mts'

type Table = Manifest['tables'][number]

/** What follows from other tables. A row that is there twice counts once, and the younger one wins: a repeated restore adds to them safely. */
const DERIVED = ['market_bars_1m', 'market_book_1m', 'market_l1_latest', 'market_rollup_state']
/** Last: it says of what the others hold the roll-ups. */
export const LAST = 'market_rollup_state'

export interface TablePlan {
  table: Table
  isThere: boolean
  /** Partitions to be restored. */
  lacking: Part[]
  objection?: Finding
}

/**
 * What is to be done for each table, those that follow from others last. Rows that the backup does not have are an objection, but in what follows
 * from others once these are as in the backup: there the roll-ups went on after a restore.
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
    const sourcesDone = plans.every((plan) => rank(plan.table) > 0 || (plan.isThere && plan.lacking.length === 0))
    plans.push(await planTable(client, database, table, columns.get(table.name), rank(table) > 0 && sourcesDone))
  }
  return plans
}

async function planTable(
  client: ClickHouseClient,
  database: string,
  table: Table,
  columns: readonly Column[] | undefined,
  mayHoldMore: boolean,
): Promise<TablePlan> {
  const { name, engine, partitions } = table
  if (!columns) return { table, isThere: false, lacking: partitions }
  const objecting = (code: string, found: string, hint: string): TablePlan => {
    return { table, isThere: true, lacking: partitions, objection: error(code, `${database}.${name}`, { found, hint }) }
  }
  const recreate = `where it holds nothing: DROP TABLE IF EMPTY ${fullName(database, name)}, then restore`
  const found = differing(columns, table.columns)
  if (found) return objecting('BACKUP_COLUMNS', found, `${recreate}, then: npm run schema`)
  const held = await readParts(client, database, table)
  const isIn = (part: Part, parts: readonly Part[]) =>
    parts.some((each) => each.partition === part.partition && isEqual(each, part))
  const others = held.filter((part) => !isIn(part, partitions))
  const lacking = partitions.filter((part) => !isIn(part, held))
  if (others.length > 0 && !mayHoldMore) {
    const rows = others.reduce((total, part) => total + part.rows, 0)
    const hint = `restore beside it: CLICKHOUSE_DATABASE=${database}_restored npm run restore -- …`
    return objecting('BACKUP_ROWS', `${rows} rows in partitions that are not as in the backup`, hint)
  }
  if (lacking.length > 0 && !engine.endsWith('MergeTree'))
    return objecting('BACKUP_ROWS', `an empty table of engine ${engine}`, recreate)
  return { table, isThere: true, lacking }
}

function differing(own: readonly Column[], archived: readonly Column[]): string | undefined {
  const texts = (columns: readonly Column[]) => columns.map(({ name, type }) => `${name} ${type}`)
  const [now, then] = [texts(own), texts(archived)]
  if (JSON.stringify(now) === JSON.stringify(then)) return undefined
  const odd = [...now.filter((text) => !then.includes(text)), ...then.filter((text) => !now.includes(text))]
  return `other columns than the backup's: ${odd.join(', ') || 'in another order'}`
}

export async function ingestFindings(client: ClickHouseClient, database: string): Promise<Finding[]> {
  const on = await readRows(
    client,
    `SELECT 1 FROM system.tables WHERE database = {database:String} AND startsWith(name, '${PREFIX}') AND engine = 'Kafka' LIMIT 1`,
    { database },
  )
  const found = 'on: rows would arrive between those of the backup'
  return on.length > 0 ? [error('BACKUP_INGEST', 'ingest', { found, hint: './scripts/ingest.mts off' })] : []
}
