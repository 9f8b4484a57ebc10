/**
 * Stores the progress of a rebuild in the comment of the copy, so that the next run can resume after a kill of the command or the server.
 * The stored state is valid at every moment: each step changes the tables before the state, or can be repeated.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { ANY_SIZE, dropTable, sqlText } from '../clickhouse/sql.mts'
import { error, OpsError } from '../common/findings.mts'

/** Verified partitions of the new layout by id: the number of rows copied, and the mark of the old table's rows at that time. */
type Verified = Record<string, [rows: number, mark: string]>

export interface State {
  /** The run that owns the copy. A later run takes it over. */
  run: string
  /** The hash of the definitions that the copy is based on; empty until the copy has all its columns. */
  from: string
  /** The current staging table. Its name is unique, so that a run that was taken over no longer finds its own. */
  staging: string
  /** Partitions that are complete in the staging table but not yet in the copy. */
  filled: Verified
  /** Partitions that are complete in the copy. */
  done: Verified
  /** Set while the copy replaces the table: the new name of the old table, and its {@link blocksOf}. */
  placing?: { old: string; blocks: number }
}

export const token = (): string => randomBytes(4).toString('hex')
export const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

const PREFIX = 'rebuild: '
const inComment = (state: State): string => sqlText(`${PREFIX}${JSON.stringify(state)}`)

/** Returns the COMMENT clause of the CREATE statement of a copy. */
export const commentOf = (state: State): string => `COMMENT ${inComment(state)}`

/** Reads the state from the comment of a table. Returns null for a table without a state, undefined if the table does not exist. */
export async function readState(client: ClickHouseClient, table: string): Promise<State | null | undefined> {
  const query = 'SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = {table:String}'
  const [row] = await readRows<{ comment: string }>(client, query, { table })
  if (!row) return undefined
  return row.comment.startsWith(PREFIX) ? JSON.parse(row.comment.slice(PREFIX.length)) : null
}

/** Takes over a copy: saves its state under a new run id. */
export async function takeOver(client: ClickHouseClient, copy: string, state: State): Promise<void> {
  state.run = token()
  await write(client, copy, state)
}

/** @throws {OpsError} exit code 1 when another run has taken over */
export async function saveState(client: ClickHouseClient, copy: string, state: State): Promise<void> {
  if ((await readState(client, copy))?.run !== state.run) {
    const hint = `wait for it: SELECT comment FROM system.tables WHERE name = '${copy}'`
    throw rebuildError(copy, 'another run of --rebuild, which has taken over', 'one run at a time', hint)
  }
  await write(client, copy, state)
}

const write = (client: ClickHouseClient, copy: string, state: State) =>
  client.command({
    query: `ALTER TABLE ${copy} MODIFY COMMENT ${inComment(state)}`,
    // The state takes 30 bytes per partition; the default limit allows 8,000 partitions.
    clickhouse_settings: { max_query_size: '16777216' },
  })

/** Replaces the staging table with a new, empty one. */
export async function renewStaging(client: ClickHouseClient, copy: string, state: State): Promise<void> {
  await dropStaging(client, state)
  state.staging = `${copy}_${token()}`
  await saveState(client, copy, state)
  await client.command({ query: `CREATE TABLE ${state.staging} AS ${copy} COMMENT 'of ${copy}'` })
  await client.command({ query: `SYSTEM STOP MERGES ${state.staging}` })
}

/** Drops the staging table, after killing any INSERT into it that a killed run left behind. */
export async function dropStaging(client: ClickHouseClient, { staging }: State): Promise<void> {
  if (staging === '') return
  const inserts = `query_kind = 'Insert' AND position(query, ' ${staging} ') > 0`
  await client.command({ query: `KILL QUERY WHERE ${inserts} SYNC` })
  await dropTable(client, `${staging} SYNC`)
}

/**
 * Puts the filled partitions of the staging table into the copy. REPLACE PARTITION is idempotent; MOVE PARTITION could leave rows in both
 * tables after a crash. It hard-links files and copies nothing.
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
