/** The table that a rebuild copies into. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { dropTable } from '../clickhouse/sql.mts'
import { initStatements } from '../clickhouse/statements.mts'
import { reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { parseCreate, type TableText } from './ddl.mts'
import { withTtl } from './read.mts'
import { commentOf, rebuildError, type State, saveState, shortHash, token } from './rebuild-state.mts'

/** What a copy is made from. */
export interface Origin {
  /** The statement of clickhouse/init. */
  declared: string
  live: TableText
  /** Changes with either. */
  hash: string
}

export async function readOrigin(client: ClickHouseClient, settings: Settings, name: string): Promise<Origin> {
  const declared = initStatements().find((each) => each.includes(`IF NOT EXISTS ${name}\n`)) ?? ''
  const text = await readCreate(client, name)
  const live = parseCreate(text, settings.CLICKHOUSE_DATABASE) as TableText
  return { declared, live, hash: shortHash(`${declared}\n${text}`) }
}

/**
 * Makes the copy: as declared, but with the retention that the live table has, for a shorter one is for the plan to ask about, and with
 * the columns that only the live one has.
 */
export async function createCopy(
  client: ClickHouseClient,
  settings: Settings,
  copy: string,
  { declared, live, hash }: Origin,
): Promise<State> {
  const { name } = live
  // Until it has all its columns, it is made from nothing that a later run could find again.
  const state: State = { run: token(), from: '', staging: '', filled: {}, done: {} }
  const statement = withTtl(declared.replace(`IF NOT EXISTS ${name}\n`, `${copy}\n`), live.ttl)
  await client.command({ query: `${statement.trimEnd()}\n${commentOf(state)}` })
  const { columns } = parseCreate(await readCreate(client, copy), settings.CLICKHOUSE_DATABASE) as TableText
  const own = [...live.columns].filter(([column]) => !columns.has(column))
  const additions = own.map(([column, { type, value, codec }]) =>
    ['ADD COLUMN', column, type, value, codec].filter(Boolean).join(' '),
  )
  try {
    if (own.length > 0) await client.command({ query: `ALTER TABLE ${copy} ${additions.join(', ')}` })
  } catch (failure) {
    await dropTable(client, copy)
    const names = own.map(([column]) => column).join(', ')
    const hint = `rename or drop the columns in conflict, then: ./scripts/apply-schema.mts --rebuild ${name}`
    const found = `columns of your own that the new table cannot have: ${names} (${reason(failure)})`
    throw rebuildError(name, found, 'to keep them', hint)
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
