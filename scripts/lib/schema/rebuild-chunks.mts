/** A table taken apart as a rebuild copies it: by the partitions that its rows get in the new layout. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { type Column, names } from '../clickhouse/fingerprint.mts'
import { sqlText } from '../clickhouse/sql.mts'
import type { Settings } from '../settings/settings.mts'
import { type PatientOptions, readSlowly } from './copy.mts'
import { shortHash } from './rebuild-state.mts'

/** The table that is copied. */
export interface Source {
  name: string
  /** Those that both have, with the type in the copy and, as `from`, that in the table. */
  columns: (Column & { from: string })[]
  /** The copy's partition key; empty for none. */
  key: string
  /** Whether its engine has parts: Log has none. */
  hasParts: boolean
}

/** A partition of the new layout, and the partitions of the table that its rows are in. */
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
/** An INSERT makes the default of a NULL, a CAST fails on it: such columns are copied as they are, and are not part of the checksum. */
export const losesNull = ({ type, from }: Source['columns'][number]): boolean => isNullable(from) && !isNullable(type)
const quoted = (all: readonly string[]): string => all.map(sqlText).join(', ')

/** Rows of the table with the types of the copy: those of `partitions`, or all. */
export function rowsOf({ name, columns, key, hasParts }: Source, partitions?: readonly Partition[]): string {
  const values = columns.map((each) => {
    const column = names([each])
    return each.from === each.type || losesNull(each) ? column : `CAST(${column} AS ${each.type}) AS ${column}`
  })
  const place = hasParts ? '_partition_id' : "''"
  const places = [...new Set(partitions?.flatMap(({ from }) => from))]
  const within = partitions && hasParts ? `WHERE _partition_id IN (${quoted(places)})` : ''
  const own = partitions && key ? `WHERE ${key} IN (${quoted(partitions.map(({ value }) => value))})` : ''
  return `(SELECT ${values.join(', ')}, ${place} AS _place FROM ${name} ${within}) ${own}`
}

/** The partitions of the copy to be, in the order of their key. */
export async function readPartitions(
  settings: Settings,
  source: Source,
  options: PatientOptions,
): Promise<Partition[]> {
  const key = source.key
    ? `partitionId(${source.key}) AS id, toString(${source.key}) AS value`
    : "'all' AS id, '' AS value"
  const rows = await readSlowly<{ id: string; value: string; place: string; rows: number }>(
    settings,
    `SELECT ${key}, _place AS place, toFloat64(count()) AS rows FROM ${rowsOf(source)}
     GROUP BY ${source.key || 'tuple()'}, _place ORDER BY ${source.key || 'tuple()'}, _place`,
    options,
  )
  const found = new Map<string, Partition>()
  for (const { id, value, place, rows: count } of rows) {
    const partition = found.get(id) ?? { id, value, rows: 0, from: [] }
    partition.rows += count
    partition.from.push(place)
    found.set(id, partition)
  }
  return [...found.values()]
}

/** Rows of what is copied, proven and put in place at a time, unless one partition has more: what a kill costs, 10 s on a small machine. */
const PIECE_ROWS = 5_000_000
const PIECE_PARTITIONS = 32

/** Partitions in groups that are copied together. */
export function planPieces(partitions: readonly Partition[], maxRows = PIECE_ROWS): Partition[][] {
  const pieces: Partition[][] = []
  let rows = Number.POSITIVE_INFINITY
  for (const partition of partitions) {
    rows += partition.rows
    const piece = pieces.at(-1)
    if (piece && rows <= maxRows && piece.length < PIECE_PARTITIONS) piece.push(partition)
    else {
      pieces.push([partition])
      rows = partition.rows
    }
  }
  return pieces
}

/** By partition, a number that every insert raises and no merge. That of '' is of the whole table, and every change of rows raises it. */
export type Marks = Map<string, number>

/**
 * The highest block of each partition, and the last mutation; where the engine has no parts, the number of rows.
 * @see https://clickhouse.com/docs/operations/system-tables/parts (max_block_number)
 */
export async function readMarks(client: ClickHouseClient, table: string): Promise<Marks> {
  const own = `database = currentDatabase() AND table = '${table}'`
  const parts = await readRows<{ place: string; block: number }>(
    client,
    `SELECT partition_id AS place, toFloat64(max(max_block_number) + 1) AS block FROM system.parts WHERE active AND ${own} GROUP BY place
     UNION ALL SELECT '', toFloat64(max(arrayMax(block_numbers.number))) FROM system.mutations WHERE ${own}`,
  )
  const marks = new Map(parts.map(({ place, block }) => [place, block]))
  if (marks.size > 1) return marks
  const [count] = await readRows<{ rows: number }>(client, `SELECT toFloat64(count()) AS rows FROM ${table}`)
  return new Map([['', count?.rows ?? 0]])
}

/** Whether rows have come or gone since: anywhere, or in `places`. */
export const isOther = (
  now: Marks,
  before: Marks,
  places: Iterable<string> = [...now.keys(), ...before.keys()],
): boolean => ['', ...places].some((place) => now.get(place) !== before.get(place))

/** Marks as one number, which every insert raises too. */
export const blocksOf = (marks: Marks): number => [...marks.values()].reduce((total, each) => total + each, 0)

export const markOf = ({ from }: Partition, marks: Marks): string =>
  shortHash(['', ...from].map((place) => `${place}:${marks.get(place) ?? 0}`).join())

/** Rows of a table by partition, as its parts count them. */
export async function rowsIn(client: ClickHouseClient, table: string): Promise<Map<string, number>> {
  const query = `SELECT partition_id AS id, toFloat64(sum(rows)) AS rows FROM system.parts
                 WHERE active AND database = currentDatabase() AND table = {table:String} GROUP BY id HAVING rows > 0`
  const found = await readRows<{ id: string; rows: number }>(client, query, { table })
  return new Map(found.map(({ id, rows }) => [id, rows]))
}
