/** Copies tables into a declared layout that ClickHouse cannot change in place. The old tables are kept. */
import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { withClickHouse } from './clickhouse.mts'
import { configError, OpsError } from './findings.mts'
import { declaredStatements, readSchemaPlan } from './schema.mts'
import type { Settings } from './settings.mts'

interface RebuildOptions {
  /** Deadline of each statement but the copying, which may take as long as a day. */
  timeoutMs: number
  log: (line: string) => void
  /** Told how far the copying is, from 0 to 1. */
  show: (part: number, text: string) => void
}

const COPY_MS = 86_400_000
/** Milliseconds between two looks at how far the copying is. */
const WATCH_MS = 500

/**
 * Copies the named tables into the layout that clickhouse/init declares and puts the copies in their place.
 * @returns a line for each, with where its old table is
 * @throws {OpsError} exit code 2 for a table that needs no rebuilding, 1 when rows arrived meanwhile or an earlier run was interrupted
 */
export async function rebuildTables(
  settings: Settings,
  names: readonly string[],
  options: RebuildOptions,
): Promise<string[]> {
  if (names.length === 0) return []
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
  return { code: 'USAGE', subject: `--rebuild ${name}`, found: 'a table that needs no rebuilding', expected, hint }
}

async function rebuild(
  client: ClickHouseClient,
  settings: Settings,
  name: string,
  { log, show }: RebuildOptions,
): Promise<string> {
  const copy = `${name}_rebuilt`
  const old = `${name}_before_${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}`
  const run = (query: string) => client.command({ query })
  const [taken] = await rows<{ name: string }>(
    client,
    `SELECT name FROM system.tables WHERE database = currentDatabase() AND name = '${copy}'`,
  )
  if (taken) {
    throw failed(
      copy,
      'a table that an interrupted rebuilding left',
      'no such table',
      `compare it with ${name}, then: DROP TABLE ${copy}`,
    )
  }
  const statement = declaredStatements(settings).find((each) => each.includes(`IF NOT EXISTS ${name}\n`)) ?? ''
  const before = await countRows(client, name)
  await run(statement.replace(`IF NOT EXISTS ${name}\n`, `${copy}\n`))
  log(`copy ${name}: ${before} rows`)
  const columns = await rows<{ name: string }>(
    client,
    `SELECT name FROM system.columns WHERE database = currentDatabase() AND table IN ('${name}', '${copy}')
     AND default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL') GROUP BY name HAVING count() = 2`,
  )
  const list = columns.map((column) => `\`${column.name}\``).join(', ')
  const queryId = randomUUID()
  const watch = setInterval(() => {
    const query = `SELECT read_rows AS rows FROM system.processes WHERE query_id = '${queryId}'`
    rows<{ rows: string }>(client, query).then(
      ([at]) => at && show(Number(at.rows) / before, `copying ${name}`),
      () => {
        // Only the bar stands still; what is wrong with the server, the copying itself tells.
      },
    )
  }, WATCH_MS)
  try {
    await withClickHouse(settings, COPY_MS, (patient) =>
      // A table by day has more partitions than the 100 that one INSERT may write to by default.
      patient.command({
        query: `INSERT INTO ${copy} (${list}) SELECT ${list} FROM ${name} SETTINGS max_partitions_per_insert_block = 0`,
        query_id: queryId,
      }),
    )
  } finally {
    clearInterval(watch)
  }
  const arrived = (await countRows(client, name)) - before
  if (arrived !== 0) {
    await run(`DROP TABLE ${copy}`)
    throw failed(
      name,
      `${arrived} rows that arrived during the copying`,
      'a table that nobody writes to',
      `stop its writers, then: ./scripts/apply-schema.mts --rebuild ${name}`,
    )
  }
  await run(`EXCHANGE TABLES ${name} AND ${copy}`)
  await run(`RENAME TABLE ${copy} TO ${old}`)
  const late = (await countRows(client, old)) - before
  if (late !== 0) {
    throw failed(
      old,
      `${late} rows that arrived in the last moment`,
      `all rows in ${name}`,
      `insert them again, or copy them from ${old}`,
    )
  }
  return `${name}: ${before} rows copied, the old table is ${old}`
}

async function rows<T>(client: ClickHouseClient, query: string): Promise<T[]> {
  return (await client.query({ query, format: 'JSONEachRow' })).json<T>()
}

async function countRows(client: ClickHouseClient, table: string): Promise<number> {
  const [row] = await rows<{ rows: string }>(client, `SELECT count() AS rows FROM ${table}`)
  return Number(row?.rows)
}

function failed(subject: string, found: string, expected: string, hint: string): OpsError {
  return new OpsError(1, [{ severity: 'error', code: 'SCHEMA_REBUILD', subject, found, expected, hint }])
}
