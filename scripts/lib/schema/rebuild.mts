/** Copies tables into a declared layout that ClickHouse cannot change in place. The old tables are kept. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { initStatements } from '../clickhouse/statements.mts'
import { configError, error, OpsError, reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { copyRows } from './copy.mts'
import { readSchemaPlan, withTtl } from './read.mts'
import { parseCreate, type TableText } from './text.mts'

interface RebuildOptions {
  /** Deadline of each statement; the copy continues for as long as the server answers within it. */
  timeoutMs: number
  log: (line: string) => void
  /** Receives the progress of the copy, from 0 to 1. */
  show: (part: number, text: string) => void
}

/**
 * Copies the named tables into the layout that clickhouse/init declares and puts the copies in their place.
 * @returns a line for each, with where its old table is
 * @throws {OpsError} exit code 2 for a table that needs no rebuild, and on a cluster, 1 when rows arrived meanwhile or an earlier run was interrupted
 */
export async function rebuildTables(
  settings: Settings,
  names: readonly string[],
  options: RebuildOptions,
): Promise<string[]> {
  if (names.length === 0) return []
  refuseCluster(settings, '--rebuild')
  return withClickHouse(settings, options.timeoutMs, async (client) => {
    const { impossible } = await readSchemaPlan(client, settings)
    const possible = [...new Set(impossible.filter(({ what }) => what !== 'kind').map(({ name }) => name))]
    const wrong = names.filter((name) => !possible.includes(name))
    if (wrong.length > 0) throw configError(wrong.map((name) => notNeeded(name, possible)))
    const rebuilt: string[] = []
    for (const name of names) rebuilt.push(await rebuild(client, settings, name, options))
    return rebuilt
  })
}

function notNeeded(name: string, possible: string[]) {
  const hint = './scripts/apply-schema.mts --dry-run'
  const expected = possible.join(' ') || 'no table: none needs it'
  return error('USAGE', `--rebuild ${name}`, { found: 'a table that needs no rebuild', expected, hint })
}

async function rebuild(
  client: ClickHouseClient,
  settings: Settings,
  name: string,
  { log, show, timeoutMs }: RebuildOptions,
): Promise<string> {
  const copy = `${name}_rebuilt`
  const old = `${name}_before_${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}`
  const run = (query: string) => client.command({ query })
  const [taken] = await readRows<{ name: string }>(
    client,
    `SELECT name FROM system.tables WHERE database = currentDatabase() AND name = '${copy}'`,
  )
  if (taken) {
    throw failed(
      copy,
      'a table left by an interrupted rebuild',
      'no such table',
      `compare it with ${name}, then: DROP TABLE ${copy}`,
    )
  }
  await createCopy(client, settings, name, copy)
  const [before, mark] = [await countRows(client, name), await insertMark(client, name)]
  log(`copy ${name}: ${before} rows`)
  const copied = await fillCopy(client, settings, name, copy, {
    timeoutMs,
    show: (read) => show(read / before, `copying ${name}`),
  })
  if (isLater(await insertMark(client, name), mark)) {
    await run(`DROP TABLE ${copy}`)
    throw failed(
      name,
      'rows that arrived during the copy',
      'a table that nobody writes to',
      `stop its writers, then: ./scripts/apply-schema.mts --rebuild ${name}`,
    )
  }
  await run(`SYSTEM START MERGES ${copy}`)
  await run(`EXCHANGE TABLES ${name} AND ${copy}`)
  await run(`RENAME TABLE ${copy} TO ${old}`)
  if (isLater(await insertMark(client, old), mark)) {
    throw failed(
      old,
      'rows that arrived at the last moment',
      `all rows in ${name}`,
      `insert them again, or copy them from ${old}`,
    )
  }
  return `${name}: ${copied} rows copied, the old table is ${old}`
}

/**
 * Makes the table that rows are copied into: as declared, but with the retention that the live one has, for a shorter one is for the plan
 * to ask about, and with the columns that only the live one has.
 */
async function createCopy(client: ClickHouseClient, settings: Settings, name: string, copy: string): Promise<void> {
  const declared = initStatements().find((each) => each.includes(`IF NOT EXISTS ${name}\n`)) ?? ''
  const live = await readTable(client, settings, name)
  await client.command({ query: withTtl(declared.replace(`IF NOT EXISTS ${name}\n`, `${copy}\n`), live.ttl) })
  const { columns } = await readTable(client, settings, copy)
  const own = [...live.columns].filter(([column]) => !columns.has(column))
  if (own.length === 0) return
  const additions = own.map(([column, { type, value, codec }]) =>
    ['ADD COLUMN', column, type, value, codec].filter(Boolean).join(' '),
  )
  try {
    await client.command({ query: `ALTER TABLE ${copy} ${additions.join(', ')}` })
  } catch (failure) {
    await client.command({ query: `DROP TABLE ${copy}` })
    const names = own.map(([column]) => column).join(', ')
    const hint = `rename or drop the columns in conflict, then: ./scripts/apply-schema.mts --rebuild ${name}`
    throw failed(
      name,
      `columns of your own that the new table cannot have: ${names} (${reason(failure)})`,
      'to keep them',
      hint,
    )
  }
}

async function readTable(client: ClickHouseClient, settings: Settings, name: string): Promise<TableText> {
  const query = `SELECT formatQuerySingleLine(create_table_query) AS text FROM system.tables
                 WHERE database = currentDatabase() AND name = '${name}'`
  const [row] = await readRows<{ text: string }>(client, query)
  return parseCreate(row?.text ?? '', settings.CLICKHOUSE_DATABASE) as TableText
}

/**
 * What a copy takes to hold exactly the rows that were read: nothing left out as a repetition or replaced, now or by a merge, and room
 * for the parts that are not merged meanwhile. A table by day has more partitions than the 100 that one INSERT may write to by default.
 */
const EXACTLY = `insert_deduplicate = 0, optimize_on_insert = 0, insert_allow_materialized_columns = 1,
  max_partitions_per_insert_block = 0, parts_to_delay_insert = 100000, parts_to_throw_insert = 100000`

/**
 * Copies the rows, and reads back that all are there.
 * @returns how many
 */
async function fillCopy(
  client: ClickHouseClient,
  settings: Settings,
  name: string,
  copy: string,
  options: { timeoutMs: number; show: (rows: number) => void },
): Promise<number> {
  const columns = await readRows<{ name: string }>(
    client,
    `SELECT name FROM system.columns WHERE database = currentDatabase() AND table IN ('${name}', '${copy}')
     AND default_kind NOT IN ('ALIAS', 'EPHEMERAL') GROUP BY name HAVING count() = 2`,
  )
  const list = columns.map((column) => `\`${column.name}\``).join(', ')
  await client.command({ query: `SYSTEM STOP MERGES ${copy}` })
  const query = `INSERT INTO ${copy} (${list}) SELECT ${list} FROM ${name} SETTINGS ${EXACTLY}`
  const [written, copied] = [await copyRows(settings, query, options), await countRows(client, copy)]
  if (written === copied) return copied
  await client.command({ query: `DROP TABLE ${copy}` })
  const hint = `./scripts/apply-schema.mts --rebuild ${name}`
  throw failed(name, `${copied} rows in its copy`, `${written}, as many as were read`, hint)
}

/**
 * What every insert into a table changes and no merge: its highest block by partition; where the engine has no parts, its rows.
 * @see https://clickhouse.com/docs/operations/system-tables/parts (max_block_number)
 */
async function insertMark(client: ClickHouseClient, table: string): Promise<Map<string, number>> {
  const query = `SELECT partition_id AS partition, max(max_block_number) + 1 AS block FROM system.parts
                 WHERE active AND database = currentDatabase() AND table = '${table}' GROUP BY partition`
  const parts = await readRows<{ partition: string; block: string }>(client, query)
  if (parts.length === 0) return new Map([['', await countRows(client, table)]])
  return new Map(parts.map(({ partition, block }) => [partition, Number(block)]))
}

function isLater(now: Map<string, number>, before: Map<string, number>): boolean {
  return [...now].some(([partition, block]) => block > (before.get(partition) ?? 0))
}

async function countRows(client: ClickHouseClient, table: string): Promise<number> {
  const [row] = await readRows<{ rows: string }>(client, `SELECT count() AS rows FROM ${table}`)
  return Number(row?.rows)
}

function failed(subject: string, found: string, expected: string, hint: string): OpsError {
  return new OpsError(1, [error('SCHEMA_REBUILD', subject, { found, expected, hint })])
}
