/** Reads the declared schema and the live one, and plans the difference. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { ingestStatements, initStatements } from '../clickhouse/statements.mts'
import type { Settings } from '../settings/settings.mts'
import { clusterStatements, mergePlans } from './cluster.mts'
import { parseCreate } from './ddl.mts'
import { type Declared, planSchema, type SchemaPlan } from './plan.mts'

/** The retention setting of each table, and the column that it applies to. */
const RETENTION = {
  market_ticks: ['MARKET_TICKS_RETENTION_DAYS', 'timestamp'],
  market_l1: ['MARKET_L1_RETENTION_DAYS', 'timestamp'],
  market_l2: ['MARKET_L2_RETENTION_DAYS', 'timestamp'],
  market_book_1m: ['MARKET_L2_RETENTION_DAYS', 'minute'],
  market_metrics: ['MARKET_METRICS_RETENTION_DAYS', 'timestamp'],
} as const satisfies Record<string, readonly [keyof Settings, string]>

/** Returns the statements of clickhouse/init, with the retention settings added to the TTL clauses. */
function declaredStatements(settings: Settings): string[] {
  return initStatements().map((statement) => {
    const name = /IF NOT EXISTS (\w+)/.exec(statement)?.[1] ?? ''
    const [variable, column] = RETENTION[name as keyof typeof RETENTION] ?? []
    const days = variable === undefined ? 0 : settings[variable]
    if (days === 0) return statement
    return withTtl(statement, `toDateTime(${column}) + INTERVAL ${days} DAY`)
  })
}

/** Adds `ttl` to the TTL clause of a CREATE TABLE statement of clickhouse/init. Returns it unchanged if `ttl` is empty. */
export function withTtl(statement: string, ttl: string): string {
  if (ttl === '') return statement
  if (/^TTL /m.test(statement)) return statement.replace(/^TTL /m, () => `TTL ${ttl}, `)
  const clause = `TTL ${ttl}\n`
  return /^SETTINGS/m.test(statement)
    ? statement.replace(/^SETTINGS/m, () => `${clause}SETTINGS`)
    : `${statement}${clause}`
}

// The server's formatter normalizes both sides, so differences in whitespace and comments do not matter.
const FORMATTED = 'SELECT formatQuerySingleLine(arrayJoin({statements:Array(String)})) AS text'

/** Returns one row for each table of each server, and one row with an empty name for each server. */
const liveTables = (cluster: string) => {
  const [servers, tables] = ['one', 'tables'].map((name) =>
    cluster ? `clusterAllReplicas('${cluster}', system.${name})` : `system.${name}`,
  )
  const server = "concat(hostName(), ':', toString(tcpPort())) AS server"
  return `
SELECT ${server}, '' AS name, '' AS text FROM ${servers}
UNION ALL
SELECT ${server}, name, formatQuerySingleLine(create_table_query) AS text FROM ${tables}
WHERE database = {database:String} AND create_table_query != ''`
}

async function readDeclared(client: ClickHouseClient, statements: string[], database: string): Promise<Declared[]> {
  const rows = await readRows<{ text: string }>(client, FORMATTED, { statements })
  return statements.map((statement, index) => ({ statement, text: parseCreate(rows[index]?.text ?? '', database) }))
}

/**
 * Returns the plan that makes the live database match clickhouse/init and the retention settings, on every server of CLICKHOUSE_CLUSTER.
 * Changes nothing.
 * @param client connected to any database
 */
export async function readSchemaPlan(client: ClickHouseClient, settings: Settings): Promise<SchemaPlan> {
  const { CLICKHOUSE_DATABASE: database, CLICKHOUSE_CLUSTER: cluster, CLICKHOUSE_USER: user } = settings
  const [single, rows] = await Promise.all([
    readDeclared(client, declaredStatements(settings), database),
    readRows<{ server: string; name: string; text: string }>(client, liveTables(cluster), { database }),
  ])
  const declared = cluster ? await readDeclared(client, clusterStatements(single, cluster, database), database) : single
  const order = declared.map(({ text }) => text.name)
  const names = new Set(order)
  const servers = [...new Set(rows.map(({ server }) => server))]
  const plans = servers.map((server) => {
    const live = rows.filter((row) => row.server === server && names.has(row.name))
    return planSchema(
      declared,
      live.map(({ text }) => parseCreate(text, database)),
      user,
    )
  })
  const plan: SchemaPlan = { ...mergePlans(plans, order), ...(cluster ? { cluster } : {}) }
  for (const { name } of ingestStatements(settings)) names.add(name)
  const undeclared = rows.map(({ name }) => name).filter((name) => name !== '' && !names.has(name))
  plan.undeclared = [...new Set(undeclared)].sort()
  return plan
}
