/** Makes the database match clickhouse/init: plans, applies and verifies changes. Used by apply-schema and `npm start`. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { onCluster } from './cluster.mts'
import { fillView } from './long-query.mts'
import type { SchemaChange, SchemaPlan } from './plan.mts'
import { readSchemaPlan } from './read.mts'
import { impossibleSchemaFindings, schemaFindings } from './report.mts'

interface SchemaOptions {
  /** `plan` and `check` change nothing; only `check` returns a finding for each difference. */
  mode: 'apply' | 'plan' | 'check'
  /** Deadline of each statement. Copying rows continues for as long as the server answers within it. */
  timeoutMs: number
  /** Returns whether rows past a retention setting may be deleted. Called only if there are any. */
  mayDelete: (changes: readonly SchemaChange[]) => Promise<boolean>
  log: (line: string) => void
}

interface SyncedSchema {
  plan: SchemaPlan
  /** One line for each change that was made and verified. */
  done: string[]
  findings: Finding[]
}

/**
 * Makes the live database match the declaration, or reports the changes needed. Creates the database if it is missing. Drops no table or
 * column, and deletes no rows except those past a retention setting.
 * @throws {OpsError} exit code 3 when ClickHouse does not answer, 2 when it refuses the credentials
 */
export async function syncSchema(settings: Settings, options: SchemaOptions): Promise<SyncedSchema> {
  // The market database may not exist yet.
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
    return { plan, done: await verify(client, settings, applied), findings: [...applied.findings, ...findings] }
  })
}

/** Sets `expired` of each change of a retention: the number of rows that it deletes immediately. */
async function countExpired(client: ClickHouseClient, settings: Settings, plan: SchemaPlan): Promise<void> {
  for (const change of plan.changes) {
    if (change.ttl === undefined) continue
    const { CLICKHOUSE_DATABASE: database, CLICKHOUSE_CLUSTER: cluster } = settings
    const name = `${database}.${change.name}`
    const table = cluster ? `cluster('${cluster}', ${name})` : name
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
      const found = `${change.expired} rows older than the retention, and no permission to delete them`
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
      // Every further statement would also wait for the whole deadline.
      break
    }
  }
  return applied
}

/** Runs a statement. On a cluster, the server gives up waiting for other servers 1 s before the client's deadline. */
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

/** Whether an error means that a server did not answer: a network error, whose code starts with a letter, or one about another server of the cluster. */
function isSilence(failure: unknown): boolean {
  if (failure instanceof OpsError) return failure.exitCode === 3
  const { code = '', message } = failure as { code?: string; message?: string }
  // TIMEOUT_EXCEEDED, ALL_CONNECTION_TRIES_FAILED
  return message === 'Timeout error.' || /^([A-Z]|(159|279)$)/.test(code)
}

/** Verifies changes by planning again. Returns a line for each one that is no longer planned, and adds a finding for each other one. */
async function verify(client: ClickHouseClient, settings: Settings, { done, findings }: Applied): Promise<string[]> {
  const left = (await readSchemaPlan(client, settings)).changes
  const same = (a: SchemaChange) => left.some((b) => a.name === b.name && a.what === b.what)
  for (const { name, what } of done.filter(same)) {
    const found = 'no change, although ClickHouse reported no error'
    findings.push(error('SCHEMA_FAILED', name, { found, expected: what, hint: 'npm run schema' }))
  }
  return done.filter((change) => !same(change)).map(({ action, name, what }) => `${action} ${name}: ${what}`)
}
