/** Divides a table into chunks for a rebuild, by the partitions of the new layout. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { type Column, names } from '../clickhouse/fingerprint.mts'
import { sqlText } from '../clickhouse/sql.mts'
import type { Settings } from '../settings/settings.mts'
import { type LongQueryOptions, readLong } from './long-query.mts'
import { shortHash } from './rebuild-state.mts'

/** The table to copy. */
export interface Source {
  name: string
  /** The columns that table and copy share; `type` is the type in the copy, `from` the type in the table. */
  columns: (Column & { from: string })[]
  /** The copy's partition key; empty for none. */
  key: string
  /** Whether the engine stores parts; Log, for example, does not. */
  hasParts: boolean
}

/** A partition of the new layout. `from` lists the partitions of the table that contain its rows. */
export interface Partition {
  id: string
  value: string
  rows: number
  from: string[]
}

const columnsOf = (table: string) => `SELECT name, type FROM system.columns
  WHERE database = currentDatabase() AND table = '${table}' AND default_kind NOT IN ('ALIAS', 'EPHEMERAL')`

export async function readSource(client: ClickHouseClient, name: string, copy: string): Promise<Source> {
  const columns = await readRows<Source['columns'][number]>(
    client,
    `SELECT new.name AS name, new.type AS type, old.type AS from
     FROM (${columnsOf(copy)}) AS new INNER JOIN (${columnsOf(name)}) AS old ON old.name = new.name ORDER BY name`,
  )
  const [table] = await readRows<{ key: string; engine: string }>(
    client,
    `SELECT anyIf(partition_key, name = '${copy}') AS key, anyIf(engine, name = '${name}') AS engine FROM system.tables
     WHERE database = currentDatabase() AND name IN ('${name}', '${copy}')`,
  )
  return { name, columns, key: table?.key ?? '', hasParts: table?.engine.endsWith('MergeTree') === true }
}

const isNullable = (type: string): boolean => /^(LowCardinality\()?Nullable\(/.test(type)
/** Whether a column becomes non-Nullable. INSERT converts NULL to the default but CAST fails, so such columns have no CAST and no checksum. */
export const losesNull = ({ type, from }: Source['columns'][number]): boolean => isNullable(from) && !isNullable(type)
const quoted = (all: readonly string[]): string => all.map(sqlText).join(', ')

/** Returns a subquery for the rows of `partitions`, or of the whole table, with the types of the copy. */
export function rowsOf({ name, columns, key, hasParts }: Source, partitions?: readonly Partition[]): string {
  const values = columns.map((each) => {
    const column = names([each])
    return each.from === each.type || losesNull(each) ? column : `CAST(${column} AS ${each.type}) AS ${column}`
  })
  const origin = hasParts ? '_partition_id' : "''"
  const origins = [...new Set(partitions?.flatMap(({ from }) => from))]
  const pruning = partitions && hasParts ? `WHERE _partition_id IN (${quoted(origins)})` : ''
  const filter = partitions && key ? `WHERE ${key} IN (${quoted(partitions.map(({ value }) => value))})` : ''
  return `(SELECT ${values.join(', ')}, ${origin} AS _origin FROM ${name} ${pruning}) ${filter}`
}

/** Returns the partitions that the copy will have, in key order. */
export async function readPartitions(
  settings: Settings,
  source: Source,
  options: LongQueryOptions,
): Promise<Partition[]> {
  const key = source.key
    ? `partitionId(${source.key}) AS id, toString(${source.key}) AS value`
    : "'all' AS id, '' AS value"
  const rows = await readLong<{ id: string; value: string; origin: string; rows: number }>(
    settings,
    `SELECT ${key}, _origin AS origin, toFloat64(count()) AS rows FROM ${rowsOf(source)}
     GROUP BY ${source.key || 'tuple()'}, _origin ORDER BY ${source.key || 'tuple()'}, _origin`,
    options,
  )
  const found = new Map<string, Partition>()
  for (const { id, value, origin, rows: count } of rows) {
    const partition = found.get(id) ?? { id, value, rows: 0, from: [] }
    partition.rows += count
    partition.from.push(origin)
    found.set(id, partition)
  }
  return [...found.values()]
}

/** Maximum rows of a chunk, except for a larger single partition. Bounds the work that a kill loses: about 10 s on a small machine. */
const CHUNK_ROWS = 5_000_000
const CHUNK_PARTITIONS = 32

/** Groups partitions into chunks that are copied together. */
export function planChunks(partitions: readonly Partition[], maxRows = CHUNK_ROWS): Partition[][] {
  const chunks: Partition[][] = []
  let rows = Number.POSITIVE_INFINITY
  for (const partition of partitions) {
    rows += partition.rows
    const chunk = chunks.at(-1)
    if (chunk && rows <= maxRows && chunk.length < CHUNK_PARTITIONS) chunk.push(partition)
    else {
      chunks.push([partition])
      rows = partition.rows
    }
  }
  return chunks
}

/** A version number for each partition: inserts raise it, merges do not. The key '' applies to the whole table: mutations raise it. */
export type Marks = Map<string, number>

/**
 * Returns the highest block number of each partition and of the mutations. For an engine without parts, returns the row count under ''.
 * @see https://clickhouse.com/docs/operations/system-tables/parts (max_block_number)
 */
export async function readMarks(client: ClickHouseClient, table: string): Promise<Marks> {
  const filter = `database = currentDatabase() AND table = '${table}'`
  const parts = await readRows<{ id: string; block: number }>(
    client,
    `SELECT partition_id AS id, toFloat64(max(max_block_number) + 1) AS block FROM system.parts WHERE active AND ${filter} GROUP BY id
     UNION ALL SELECT '', toFloat64(max(arrayMax(block_numbers.number))) FROM system.mutations WHERE ${filter}`,
  )
  const marks = new Map(parts.map(({ id, block }) => [id, block]))
  if (marks.size > 1) return marks
  const [count] = await readRows<{ rows: number }>(client, `SELECT toFloat64(count()) AS rows FROM ${table}`)
  return new Map([['', count?.rows ?? 0]])
}

/** Whether rows were added or removed in the partitions `ids`, by default in any. */
export const haveRowsChanged = (
  now: Marks,
  before: Marks,
  ids: Iterable<string> = [...now.keys(), ...before.keys()],
): boolean => ['', ...ids].some((id) => now.get(id) !== before.get(id))

/** Sums the marks into one number, which every insert raises. */
export const blocksOf = (marks: Marks): number => [...marks.values()].reduce((total, each) => total + each, 0)

/** Combines the marks of the partitions that contain the rows of `partition`. */
export const markOf = ({ from }: Partition, marks: Marks): string =>
  shortHash(['', ...from].map((id) => `${id}:${marks.get(id) ?? 0}`).join())

/** Returns the row count of each partition, from system.parts. */
export async function rowsIn(client: ClickHouseClient, table: string): Promise<Map<string, number>> {
  const query = `SELECT partition_id AS id, toFloat64(sum(rows)) AS rows FROM system.parts
                 WHERE active AND database = currentDatabase() AND table = {table:String} GROUP BY id HAVING rows > 0`
  const found = await readRows<{ id: string; rows: number }>(client, query, { table })
  return new Map(found.map(({ id, rows }) => [id, rows]))
}
