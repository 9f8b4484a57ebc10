import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { sourceOf } from '../archive/table.mts'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { error, type Finding, OpsError, reason, warning } from '../common/findings.mts'
import { logHint } from '../engines/logs.mts'
import type { SchemaPlan } from '../schema/plan.mts'
import { readSchemaPlan } from '../schema/read.mts'
import { schemaFindings } from '../schema/report.mts'
import type { Settings } from '../settings/settings.mts'
import { attempt, isLeftover, type Probe, type ProbeOptions } from './probe.mts'

/** ClickHouse delays inserts above this number of parts in a partition (the default of parts_to_delay_insert). */
const TOO_MANY_PARTS = 1000
/** Fractions of free disk space below which inserts are about to fail, and below which a warning is due. */
const DISK_FULL = 0.02
const DISK_LOW = 0.1

interface Facts {
  version: string
  tables: string[]
  parts: number
  largestPartition: number
  freeBytes: number
  totalBytes: number
  readonlyReplicas: number
  brokenParts: number
  /** Refreshable views whose last refresh failed. */
  failedRefreshes: [view: string, exception: string][]
  /** Mutations that fail repeatedly and block later mutations of the same table. */
  failedMutations: [table: string, id: string, reason: string][]
  /**
   * Queries and merges that exceeded a memory limit since the server started; empty if none did in the last 10 minutes.
   */
  memoryRefusals: [count: number, last: string][]
  /** 0: everything, 1: reads only, 2: reads and settings. */
  readonly: number
}

// A single query needs only one round trip.
const FACTS = `
SELECT
    version() AS version,
    (SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()) AS tables,
    (SELECT count() FROM system.parts WHERE active AND database = currentDatabase()) AS parts,
    (SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = currentDatabase()
                         GROUP BY table, partition_id)) AS largestPartition,
    (SELECT min(free_space) FROM system.disks WHERE name = 'default') AS freeBytes,
    (SELECT min(total_space) FROM system.disks WHERE name = 'default') AS totalBytes,
    (SELECT count() FROM system.replicas WHERE is_readonly) AS readonlyReplicas,
    (SELECT count() FROM system.detached_parts WHERE database = currentDatabase() AND startsWith(reason, 'broken')) AS brokenParts,
    (SELECT groupArray((view, exception)) FROM system.view_refreshes
     WHERE database = currentDatabase() AND exception != '') AS failedRefreshes,
    (SELECT groupArray((table, mutation_id, latest_fail_reason)) FROM system.mutations
     WHERE database = currentDatabase() AND NOT is_done AND latest_fail_reason != '') AS failedMutations,
    (SELECT groupArray((value, formatDateTime(last_error_time, '%H:%i:%S', 'UTC'))) FROM system.errors
     WHERE name = 'MEMORY_LIMIT_EXCEEDED' AND NOT remote AND last_error_time > now() - INTERVAL 10 MINUTE) AS memoryRefusals,
    toUInt8(getSetting('readonly')) AS readonly
SETTINGS output_format_json_quote_64bit_integers = 0`

/**
 * Checks ClickHouse: credentials, schema, parts and disk; with `deep`, also writes and reads a row.
 * @throws if it does not answer
 */
export async function probeClickHouse(settings: Settings, options: ProbeOptions): Promise<Probe> {
  try {
    return await withClickHouse(settings, options.timeoutMs, async (client) => {
      const [[facts], plan] = await Promise.all([readRows<Facts>(client, FACTS), readSchemaPlan(client, settings)])
      if (!facts) throw new Error('empty answer')
      const isMissing = plan.changes.some(({ action }) => action === 'create')
      const probe = judge(facts, plan, isMissing ? await readDetached(client) : [])
      if (options.deep) {
        const details = { hint: logHint('clickhouse', settings), timeoutMs: options.timeoutMs }
        const write = () => writeAndRead(client)
        probe.findings.push(...(await attempt('CLICKHOUSE_WRITE', 'clickhouse scratch table', details, write)))
      }
      return probe
    })
  } catch (failure) {
    if (!(failure instanceof OpsError) || failure.exitCode === 3) throw failure
    return { summary: 'refused', details: {}, findings: failure.findings }
  }
}

/** Returns the tables that were detached with DETACH and can be attached again. */
async function readDetached(client: ClickHouseClient): Promise<string[]> {
  const query = 'SELECT table FROM system.detached_tables WHERE database = currentDatabase()'
  try {
    return (await readRows<{ table: string }>(client, query)).map(({ table }) => table)
  } catch (failure) {
    // NOT_IMPLEMENTED: the server queries all databases before it filters, and some database engines have no such list.
    if ((failure as { code?: string }).code === '48') return []
    throw failure
  }
}

function judge(facts: Facts, plan: SchemaPlan, detachedTables: readonly string[]): Probe {
  // A detached table is not missing: creating it again fails, or hides its rows.
  const drift = schemaFindings(plan).map((finding) => {
    const name = detachedTables.find((table) => finding.subject.split(/[\s.]/).includes(table))
    if (finding.code !== 'SCHEMA_MISSING' || !name) return finding
    return error('CLICKHOUSE_DETACHED', `clickhouse ${name}`, { found: 'detached', hint: `ATTACH TABLE ${name}` })
  })
  const findings: Finding[] = [...drift]
  if (facts.largestPartition > TOO_MANY_PARTS) {
    const details = { found: `${facts.largestPartition}`, expected: `at most ${TOO_MANY_PARTS}` }
    const hint = 'insert larger batches: at least 1,000 rows each'
    findings.push(warning('CLICKHOUSE_PARTS', 'clickhouse parts in one partition', { ...details, hint }))
  }
  const free = facts.freeBytes / facts.totalBytes
  if (free < DISK_LOW) {
    const details = { found: `${(free * 100).toFixed(1)} % free`, expected: `at least ${DISK_LOW * 100} %` }
    const hint = 'drop old partitions, or set MARKET_…_RETENTION_DAYS in .env and run: npm run schema'
    const make = free < DISK_FULL ? error : warning
    findings.push(make('CLICKHOUSE_DISK', 'clickhouse disk', { ...details, hint }))
  }
  if (facts.readonlyReplicas > 0) {
    const details = { found: `${facts.readonlyReplicas} read-only`, expected: 'none' }
    const hint = 'SELECT * FROM system.replicas WHERE is_readonly'
    findings.push(error('CLICKHOUSE_REPLICAS', 'clickhouse replicated tables', { ...details, hint }))
  }
  if (facts.brokenParts > 0) {
    const details = { found: `${facts.brokenParts}`, expected: 'none' }
    const hint = "SELECT * FROM system.detached_parts WHERE startsWith(reason, 'broken')"
    findings.push(warning('CLICKHOUSE_BROKEN', 'clickhouse broken parts', { ...details, hint }))
  }
  for (const scratch of facts.tables) {
    const source = sourceOf(scratch)
    if (!source) continue
    const found = `rows of an unfinished archive run in ${scratch}: the run is in progress, or was interrupted`
    const hint = `if it was interrupted: npm run archive -- --table ${source} --before DAY --to DIR, as before; it restores the rows first`
    findings.push(warning('CLICKHOUSE_ARCHIVE', `clickhouse ${source}`, { found, hint }))
  }
  for (const [view, exception] of facts.failedRefreshes) {
    const found = `last refresh failed: ${reason(exception).slice(0, 200)}; its views fall back to the raw rows, which is slower`
    findings.push(error('CLICKHOUSE_REFRESH', `clickhouse ${view}`, { found, hint: `SYSTEM REFRESH VIEW ${view}` }))
  }
  for (const [table, id, failure] of facts.failedMutations) {
    const found = `mutation ${id} fails and blocks later ones: ${reason(failure).slice(0, 200)}`
    const hint = `fix the cause, or cancel the mutation: KILL MUTATION WHERE table = '${table}' AND mutation_id = '${id}'`
    findings.push(error('CLICKHOUSE_MUTATION', `clickhouse ${table}`, { found, hint }))
  }
  for (const [count, last] of facts.memoryRefusals) {
    const found = `${count} exceeded a memory limit since the server started, most recently at ${last} UTC`
    const hint =
      'raise CLICKHOUSE_MEMORY_LIMIT in .env, or rewrite the query: docs/storage.md, "Queries larger than the memory"'
    findings.push(warning('CLICKHOUSE_MEMORY', 'clickhouse queries', { found, hint }))
  }
  if (facts.readonly > 0) {
    const hint = 'remove readonly from the profile of CLICKHOUSE_USER: clickhouse/users.d/l2.xml'
    const details = { found: `${facts.readonly}: writes are refused`, expected: '0' }
    findings.push(error('CLICKHOUSE_READONLY', 'clickhouse setting readonly', { ...details, hint }))
  }
  const { version, parts, freeBytes } = facts
  const schema =
    drift.length === 0 ? 'as declared' : `with ${drift.length} ${drift.length === 1 ? 'difference' : 'differences'}`
  return {
    summary: `${version}, schema ${schema}, ${Math.floor(freeBytes / 1e9)} GB free`,
    details: { version, tables: facts.tables.length, parts, freeBytes, brokenParts: facts.brokenParts },
    findings,
  }
}

/** Name prefix of scratch tables; the creation time in ms follows. */
const SCRATCH = 'health_check_'

/**
 * Creates a scratch table, writes and reads a row, and drops the table. Also drops the tables of checks that were
 * killed.
 * @throws {Error} if the row cannot be read back
 */
async function writeAndRead(client: ClickHouseClient): Promise<void> {
  const tables = `SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '${SCRATCH}')`
  const names = await readRows<{ name: string }>(client, tables)
  for (const { name } of names) {
    if (isLeftover(name, SCRATCH)) await client.command({ query: `DROP TABLE IF EXISTS ${name} SYNC` })
  }
  const table = `${SCRATCH}${Date.now()}_${randomUUID().replaceAll('-', '')}`
  await client.command({ query: `CREATE TABLE ${table} (value UInt64) ENGINE = MergeTree ORDER BY value` })
  try {
    await client.insert({ table, values: [{ value: 42 }], format: 'JSONEachRow' })
    const [row] = await readRows<{ sum: string }>(client, `SELECT sum(value) AS sum FROM ${table}`)
    if (Number(row?.sum) !== 42) throw new Error(`read ${row?.sum}, wrote 42`)
  } finally {
    await client.command({ query: `DROP TABLE ${table} SYNC` })
  }
}
