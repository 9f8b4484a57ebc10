/** Makes the database match clickhouse/init: plan, apply, read back. apply-schema and `npm start` share it. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { ingestStatements, initStatements } from '../clickhouse/statements.mts'
import { error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { fillView } from './copy.mts'
import { planSchema, type SchemaChange, type SchemaPlan } from './plan.mts'
import { impossibleSchemaFindings, schemaFindings } from './report.mts'
import { parseCreate } from './text.mts'

/** The tables that a retention setting governs, and the column that says how old a row is. */
const RETENTION = {
  market_ticks: ['MARKET_TICKS_RETENTION_DAYS', 'timestamp'],
  market_l1: ['MARKET_L1_RETENTION_DAYS', 'timestamp'],
  market_l2: ['MARKET_L2_RETENTION_DAYS', 'timestamp'],
  market_book_1m: ['MARKET_L2_RETENTION_DAYS', 'minute'],
  market_metrics: ['MARKET_METRICS_RETENTION_DAYS', 'timestamp'],
} as const satisfies Record<string, readonly [keyof Settings, string]>

/** The statements of clickhouse/init, each with the retention of its table in its TTL. */
export function declaredStatements(settings: Settings): string[] {
  return initStatements().map((statement) => {
    const name = /IF NOT EXISTS (\w+)/.exec(statement)?.[1] ?? ''
    const [variable, column] = RETENTION[name as keyof typeof RETENTION] ?? []
    const days = variable === undefined ? 0 : settings[variable]
    if (days === 0) return statement
    return withTtl(statement, `toDateTime(${column}) + INTERVAL ${days} DAY`)
  })
}

/** A CREATE TABLE statement of clickhouse/init with a TTL, beside the one it may have; unchanged for an empty one. */
export function withTtl(statement: string, ttl: string): string {
  if (ttl === '') return statement
  if (/^TTL /m.test(statement)) return statement.replace(/^TTL /m, () => `TTL ${ttl}, `)
  const clause = `TTL ${ttl}\n`
  return /^SETTINGS/m.test(statement)
    ? statement.replace(/^SETTINGS/m, () => `${clause}SETTINGS`)
    : `${statement}${clause}`
}

// Both sides pass the server's own formatter, so that spelling makes no difference.
const BOTH_SIDES = `
SELECT '' AS name, formatQuerySingleLine(arrayJoin({statements:Array(String)})) AS text
UNION ALL
SELECT name, formatQuerySingleLine(create_table_query) FROM system.tables
WHERE database = {database:String} AND create_table_query != ''`

/**
 * The plan that makes the live database match clickhouse/init and the retention settings. Changes nothing; one query.
 * @param client connected to any database
 */
export async function readSchemaPlan(client: ClickHouseClient, settings: Settings): Promise<SchemaPlan> {
  const database = settings.CLICKHOUSE_DATABASE
  const statements = declaredStatements(settings)
  const rows = await readRows<{ name: string; text: string }>(client, BOTH_SIDES, { statements, database })
  const formatted = rows.filter(({ name }) => name === '')
  const declared = statements.map((statement, index) => ({
    statement,
    text: parseCreate(formatted[index]?.text ?? '', database),
  }))
  const names = new Set(declared.map(({ text }) => text.name))
  const live = rows.filter(({ name }) => names.has(name)).map(({ text }) => parseCreate(text, database))
  const plan = planSchema(declared, live, settings.CLICKHOUSE_USER)
  for (const { name } of ingestStatements(settings)) names.add(name)
  plan.undeclared = rows
    .map(({ name }) => name)
    .filter((name) => name !== '' && !names.has(name))
    .sort()
  return plan
}

export interface SchemaOptions {
  /** `plan` changes nothing and finds nothing wrong in what it would change; `check` changes nothing and reports it. */
  mode: 'apply' | 'plan' | 'check'
  /** Deadline of each statement; rows are copied for as long as the server answers within it. */
  timeoutMs: number
  /** Whether rows past a retention setting may be deleted; called only when there are any. */
  mayDelete: (changes: readonly SchemaChange[]) => Promise<boolean>
  log: (line: string) => void
}

export interface SyncedSchema {
  plan: SchemaPlan
  /** Changes made and proven, a line each. */
  done: string[]
  findings: Finding[]
}

/**
 * Makes the live database match the declaration, or reports what that takes. Creates the database if it is missing; deletes no column,
 * table or row, except rows past a retention setting.
 * @throws {OpsError} exit code 3 when ClickHouse gives no answer, 2 when it refuses the login
 */
export async function syncSchema(settings: Settings, options: SchemaOptions): Promise<SyncedSchema> {
  // The database itself may still be missing.
  return withClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'system' }, options.timeoutMs, async (client) => {
    const plan = await readSchemaPlan(client, settings)
    await countExpired(client, settings, plan)
    if (options.mode === 'check') return { plan, done: [], findings: schemaFindings(plan) }
    const findings = impossibleSchemaFindings(plan)
    if (options.mode === 'plan' || plan.changes.length === 0) return { plan, done: [], findings }
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${settings.CLICKHOUSE_DATABASE}` })
    const applied = await withClickHouse(settings, options.timeoutMs, (market) =>
      applyChanges(market, settings, plan, options),
    )
    return { plan, done: await proven(client, settings, applied), findings: [...applied.findings, ...findings] }
  })
}

/** Adds to the changes of retention how many rows each would delete at once. */
async function countExpired(client: ClickHouseClient, settings: Settings, plan: SchemaPlan): Promise<void> {
  for (const change of plan.changes) {
    if (change.ttl === undefined) continue
    const query = `SELECT count() AS rows FROM ${settings.CLICKHOUSE_DATABASE}.${change.name} WHERE ${change.ttl} < now()`
    const [row] = await readRows<{ rows: string }>(client, query)
    change.expired = Number(row?.rows)
  }
}

interface Applied {
  done: SchemaChange[]
  findings: Finding[]
}

async function applyChanges(
  client: ClickHouseClient,
  settings: Settings,
  { changes }: SchemaPlan,
  { mayDelete, log, timeoutMs }: SchemaOptions,
): Promise<Applied> {
  const deleting = changes.filter(({ expired = 0 }) => expired > 0)
  const allowed = deleting.length === 0 || (await mayDelete(deleting))
  const applied: Applied = { done: [], findings: [] }
  for (const change of changes) {
    const { action, name, what, statements, backfill } = change
    const expected = `to ${action} ${what}`
    if (!allowed && deleting.includes(change)) {
      const found = `${change.expired} rows older than the retention, and no consent to delete them`
      applied.findings.push(
        error('SCHEMA_DELETES_ROWS', name, { found, expected, hint: './scripts/apply-schema.mts --yes' }),
      )
      continue
    }
    try {
      log(`${action} ${name}: ${what}`)
      for (const query of statements) await client.command({ query })
      if (backfill) await fillView(client, settings, backfill, timeoutMs)
      applied.done.push(change)
    } catch (failure) {
      if (!isSilence(failure)) {
        applied.findings.push(
          error('SCHEMA_FAILED', name, { found: reason(failure), expected, hint: 'npm run schema' }),
        )
        continue
      }
      const hint = `./scripts/apply-schema.mts --timeout ${Math.ceil((5 * timeoutMs) / 1000)}`
      const found = `no answer in ${timeoutMs / 1000} s (${reason(failure)})`
      applied.findings.push(unknown('SCHEMA_NO_ANSWER', name, { found, expected, hint }))
      // Each further one would wait as long.
      break
    }
  }
  return applied
}

/** Whether an error means that the server gave no answer; its own errors have numbers. */
function isSilence(failure: unknown): boolean {
  if (failure instanceof OpsError) return failure.exitCode === 3
  const { code = '', message } = failure as { code?: string; message?: string }
  return message === 'Timeout error.' || /^[A-Z]/.test(code)
}

/** A line for each change made, once reading back shows that nothing of it is left to do. */
async function proven(client: ClickHouseClient, settings: Settings, { done, findings }: Applied): Promise<string[]> {
  const left = (await readSchemaPlan(client, settings)).changes
  const same = (a: SchemaChange) => left.some((b) => a.name === b.name && a.what === b.what)
  for (const { name, what } of done.filter(same)) {
    const found = 'no change, although ClickHouse reported no error'
    findings.push(error('SCHEMA_FAILED', name, { found, expected: what, hint: 'npm run schema' }))
  }
  return done.filter((change) => !same(change)).map(({ action, name, what }) => `${action} ${name}: ${what}`)
}
