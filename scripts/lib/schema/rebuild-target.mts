/** Creates the table that a rebuild copies into. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { dropTable } from '../clickhouse/sql.mts'
import { initStatements } from '../clickhouse/statements.mts'
import { reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { parseCreate, type TableText } from './ddl.mts'
import { withTtl } from './read.mts'
import { commentOf, rebuildError, type State, saveState, shortHash, token } from './rebuild-state.mts'

/** The two definitions that a copy is based on. */
export interface Origin {
  /** The statement of clickhouse/init. */
  declared: string
  live: TableText
  /** A hash of both definitions. */
  hash: string
}

export async function readOrigin(client: ClickHouseClient, settings: Settings, name: string): Promise<Origin> {
  const declared = initStatements().find((each) => each.includes(`IF NOT EXISTS ${name}\n`)) ?? ''
  const text = await readCreate(client, name)
  const live = parseCreate(text, settings.CLICKHOUSE_DATABASE) as TableText
  return { declared, live, hash: shortHash(`${declared}\n${text}`) }
}

/**
 * Creates the copy as declared, with two exceptions: it keeps the retention of the live table, because a shorter one needs consent (see
 * syncSchema), and it adds the columns that only the live table has.
 * @throws {OpsError} exit code 1 when the declared table cannot have one of these columns
 */
export async function createCopy(
  client: ClickHouseClient,
  settings: Settings,
  copy: string,
  { declared, live, hash }: Origin,
): Promise<State> {
  const { name } = live
  // `from` stays empty until the copy has all its columns, so that a later run does not resume an incomplete copy.
  const state: State = { run: token(), from: '', staging: '', filled: {}, done: {} }
  const statement = withTtl(declared.replace(`IF NOT EXISTS ${name}\n`, `${copy}\n`), live.ttl)
  await client.command({ query: `${statement.trimEnd()}\n${commentOf(state)}` })
  const { columns } = parseCreate(await readCreate(client, copy), settings.CLICKHOUSE_DATABASE) as TableText
  const extra = [...live.columns].filter(([column]) => !columns.has(column))
  const additions = extra.map(([column, { type, value, codec }]) =>
    ['ADD COLUMN', column, type, value, codec].filter(Boolean).join(' '),
  )
  try {
    if (extra.length > 0) await client.command({ query: `ALTER TABLE ${copy} ${additions.join(', ')}` })
  } catch (failure) {
    await dropTable(client, copy)
    const names = extra.map(([column]) => column).join(', ')
    const hint = `rename or drop these columns, then: ./scripts/apply-schema.mts --rebuild ${name}`
    const found = `custom columns that the new table cannot have: ${names} (${reason(failure)})`
    throw rebuildError(name, found, 'columns that it can keep', hint)
  }
  state.from = hash
  await saveState(client, copy, state)
  return state
}

async function readCreate(client: ClickHouseClient, name: string): Promise<string> {
  const query = `SELECT formatQuerySingleLine(create_table_query) AS text FROM system.tables
                 WHERE database = currentDatabase() AND name = '${name}'`
  const [row] = await readRows<{ text: string }>(client, query)
  return row?.text ?? ''
}
