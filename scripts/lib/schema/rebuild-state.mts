/**
 * How far a rebuild is, kept in the server as the comment of the copy, so that the next run goes on after a kill of either. What it says is
 * true at every moment: each step changes the tables first, or can be done again.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { ANY_SIZE, dropTable, sqlText } from '../clickhouse/sql.mts'
import { error, OpsError } from '../common/findings.mts'

/** Partitions of the new layout by id: how many rows were copied, and the mark of the old table's rows then. */
export type Proven = Record<string, [rows: number, mark: string]>

export interface State {
  /** The run that writes it: of two, the later one takes over. */
  run: string
  /** A hash of what the copy is made from. */
  from: string
  /** The table that is filled now. Each has a name of its own, so that a run that was taken over finds none. */
  staging: string
  /** Partitions that are whole in the staging table, and to be put into the copy. */
  filled: Proven
  /** Partitions that are whole in the copy. */
  done: Proven
  /** While the copy takes the table's place: the old table's name, and its {@link blocksOf}. */
  placing?: { old: string; blocks: number }
}

export const token = (): string => randomBytes(4).toString('hex')
export const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

const PREFIX = 'rebuild: '
const inComment = (state: State): string => sqlText(`${PREFIX}${JSON.stringify(state)}`)

/** The end of the statement that makes a copy with this state. */
export const commentOf = (state: State): string => `COMMENT ${inComment(state)}`

/** The state in the comment of a table: null for a table without one, undefined for no table. */
export async function readState(client: ClickHouseClient, table: string): Promise<State | null | undefined> {
  const query = 'SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = {table:String}'
  const [row] = await readRows<{ comment: string }>(client, query, { table })
  if (!row) return undefined
  return row.comment.startsWith(PREFIX) ? JSON.parse(row.comment.slice(PREFIX.length)) : null
}

/** Writes the state, as a new run from then on. */
export async function takeOver(client: ClickHouseClient, copy: string, state: State): Promise<void> {
  state.run = token()
  await write(client, copy, state)
}

/** @throws {OpsError} exit code 1 when another run has taken over */
export async function saveState(client: ClickHouseClient, copy: string, state: State): Promise<void> {
  if ((await readState(client, copy))?.run !== state.run) {
    const hint = `wait for it: SELECT comment FROM system.tables WHERE name = '${copy}'`
    throw rebuildError(copy, 'another run of --rebuild, which has taken over', 'one at a time', hint)
  }
  await write(client, copy, state)
}

const write = (client: ClickHouseClient, copy: string, state: State) =>
  client.command({
    query: `ALTER TABLE ${copy} MODIFY COMMENT ${inComment(state)}`,
    // 30 bytes a partition; the default is enough for 8,000.
    clickhouse_settings: { max_query_size: '16777216' },
  })

/** Makes a new, empty staging table in place of the one there is. */
export async function renewStaging(client: ClickHouseClient, copy: string, state: State): Promise<void> {
  await dropStaging(client, state)
  state.staging = `${copy}_${token()}`
  await saveState(client, copy, state)
  await client.command({ query: `CREATE TABLE ${state.staging} AS ${copy} COMMENT 'of ${copy}'` })
  await client.command({ query: `SYSTEM STOP MERGES ${state.staging}` })
}

/** Drops the staging table, and ends an INSERT into it that a killed run has left to the server. */
export async function dropStaging(client: ClickHouseClient, { staging }: State): Promise<void> {
  if (staging === '') return
  const inserts = `query_kind = 'Insert' AND position(query, ' ${staging} ') > 0`
  await client.command({ query: `KILL QUERY WHERE ${inserts} SYNC` })
  await dropTable(client, `${staging} SYNC`)
}

/**
 * Puts what is whole in the staging table into the copy. REPLACE and not MOVE, which after a crash could have left rows in both: done again,
 * it gives the same. It links files, and copies nothing.
 */
export async function moveFilled(client: ClickHouseClient, copy: string, state: State): Promise<void> {
  for (const id of Object.keys(state.filled)) {
    const query = `ALTER TABLE ${copy} REPLACE PARTITION ID '${id}' FROM ${state.staging}`
    await client.command({ query, clickhouse_settings: ANY_SIZE })
  }
  Object.assign(state.done, state.filled)
  state.filled = {}
  await saveState(client, copy, state)
}

export function rebuildError(subject: string, found: string, expected: string, hint: string): OpsError {
  return new OpsError(1, [error('SCHEMA_REBUILD', subject, { found, expected, hint })])
}
