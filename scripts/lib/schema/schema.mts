/** Makes the database match clickhouse/init: plan, apply, read back. apply-schema and `npm start` share it. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { onCluster } from './cluster.mts'
import { fillView } from './copy.mts'
import type { SchemaChange, SchemaPlan } from './plan.mts'
import { readSchemaPlan } from './read.mts'
import { impossibleSchemaFindings, schemaFindings } from './report.mts'

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
    const database = `CREATE DATABASE IF NOT EXISTS ${settings.CLICKHOUSE_DATABASE}`
    await runStatement(client, settings, database, options.timeoutMs)
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
    const { CLICKHOUSE_DATABASE: database, CLICKHOUSE_CLUSTER: cluster } = settings
    const own = `${database}.${change.name}`
    const table = cluster ? `cluster('${cluster}', ${own})` : own
    const query = `SELECT count() AS rows FROM ${table} WHERE ${change.ttl} < now()`
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
      for (const query of statements) await runStatement(client, settings, query, timeoutMs)
      const left = backfill && (await fillView(client, settings, backfill, timeoutMs))
      if (left) applied.findings.push(left)
      else applied.done.push(change)
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

/** Runs a statement; one for a cluster ends with what has answered before the deadline of the exchange. */
async function runStatement(
  client: ClickHouseClient,
  { CLICKHOUSE_CLUSTER: cluster }: Settings,
  statement: string,
  timeoutMs: number,
): Promise<void> {
  const seconds = Math.max(1, Math.floor(timeoutMs / 1000) - 1)
  const query = onCluster(statement, cluster)
  await client.command({
    query,
    ...(cluster ? { clickhouse_settings: { distributed_ddl_task_timeout: `${seconds}` } } : {}),
  })
}

/** Whether an error means that a server gave no answer; its own errors have numbers: those of a cluster whose servers are silent too. */
function isSilence(failure: unknown): boolean {
  if (failure instanceof OpsError) return failure.exitCode === 3
  const { code = '', message } = failure as { code?: string; message?: string }
  // TIMEOUT_EXCEEDED, ALL_CONNECTION_TRIES_FAILED
  return message === 'Timeout error.' || /^([A-Z]|(159|279)$)/.test(code)
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
