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

/** Parts in one partition above which ClickHouse slows inserts down, by default (parts_to_delay_insert). */
const TOO_MANY_PARTS = 1000
/** Free share of a disk below which inserts are about to fail, and below which a warning is due. */
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
  /** Refreshed views whose last run failed, with what it said. */
  failedRefreshes: [view: string, exception: string][]
  /** Changes of rows that fail again and again; those of the same table that came later wait for them. */
  failedMutations: [table: string, id: string, reason: string][]
  /** Queries and merges that were refused for memory since the server started, if one was in the last ten minutes; else empty. */
  memoryRefusals: [count: number, last: string][]
  /** 0: everything, 1: reads only, 2: reads and settings. */
  readonly: number
}

// One question, one round trip: what the market database and its disk look like.
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

/** Whether ClickHouse serves: login, schema, parts, disk; with `deep`, a row written and read. @throws when it gives no answer */
export async function probeClickHouse(settings: Settings, options: ProbeOptions): Promise<Probe> {
  try {
    return await withClickHouse(settings, options.timeoutMs, async (client) => {
      const [[facts], plan] = await Promise.all([readRows<Facts>(client, FACTS), readSchemaPlan(client, settings)])
      if (!facts) throw new Error('an empty answer')
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

/** Tables that were taken away by DETACH and can be attached again. */
async function readDetached(client: ClickHouseClient): Promise<string[]> {
  const query = 'SELECT table FROM system.detached_tables WHERE database = currentDatabase()'
  try {
    return (await readRows<{ table: string }>(client, query)).map(({ table }) => table)
  } catch (failure) {
    // NOT_IMPLEMENTED: the server asks every database first, and some engines keep no such list. A table is missing then, no more is known.
    if ((failure as { code?: string }).code === '48') return []
    throw failure
  }
}

function judge(facts: Facts, plan: SchemaPlan, detachedTables: readonly string[]): Probe {
  // A table that is detached is not missing: creating it again fails, or hides its rows.
  const attach = (name: string) => `ATTACH TABLE ${name}`
  const drift = schemaFindings(plan).map((finding) => {
    const name = detachedTables.find((table) => finding.subject.split(/[\s.]/).includes(table))
    if (finding.code !== 'SCHEMA_MISSING' || !name) return finding
    return error('CLICKHOUSE_DETACHED', `clickhouse ${name}`, { found: 'detached', hint: attach(name) })
  })
  const findings: Finding[] = [...drift]
  if (facts.largestPartition > TOO_MANY_PARTS) {
    const details = { found: `${facts.largestPartition}`, expected: `at most ${TOO_MANY_PARTS}` }
    const hint = 'insert larger batches: a thousand rows or more at once'
    findings.push(warning('CLICKHOUSE_PARTS', 'clickhouse parts of a partition', { ...details, hint }))
  }
  const free = facts.freeBytes / facts.totalBytes
  if (free < DISK_LOW) {
    const details = { found: `${(free * 100).toFixed(1)} % free`, expected: `${DISK_LOW * 100} % or more` }
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
    const found = `rows on their way into an archive, in ${scratch}: a run is at work, or was interrupted`
    const hint = `if none is: npm run archive -- --table ${source} --before DAY --to DIR, as before; it puts them back first`
    findings.push(warning('CLICKHOUSE_ARCHIVE', `clickhouse ${source}`, { found, hint }))
  }
  for (const [view, exception] of facts.failedRefreshes) {
    const found = `its last run failed: ${reason(exception).slice(0, 200)}; its views read the raw rows, which is slower`
    findings.push(error('CLICKHOUSE_REFRESH', `clickhouse ${view}`, { found, hint: `SYSTEM REFRESH VIEW ${view}` }))
  }
  for (const [table, id, failure] of facts.failedMutations) {
    const found = `mutation ${id} fails, and later ones wait for it: ${reason(failure).slice(0, 200)}`
    const hint = `correct its cause, or give it up: KILL MUTATION WHERE table = '${table}' AND mutation_id = '${id}'`
    findings.push(error('CLICKHOUSE_MUTATION', `clickhouse ${table}`, { found, hint }))
  }
  for (const [count, last] of facts.memoryRefusals) {
    const found = `${count} refused for memory since the server started, the last at ${last} UTC`
    const hint =
      'raise CLICKHOUSE_MEMORY_LIMIT in .env, or rewrite the query: docs/storage.md, "Queries larger than the memory"'
    findings.push(warning('CLICKHOUSE_MEMORY', 'clickhouse queries', { found, hint }))
  }
  if (facts.readonly > 0) {
    const hint = 'take readonly out of the profile of CLICKHOUSE_USER: clickhouse/users.d/l2.xml'
    const details = { found: `${facts.readonly}: writes are refused`, expected: '0' }
    findings.push(error('CLICKHOUSE_READONLY', 'clickhouse setting readonly', { ...details, hint }))
  }
  const { version, parts, freeBytes } = facts
  const schema = drift.length === 0 ? 'as declared' : `with ${drift.length} differences`
  return {
    summary: `${version}, schema ${schema}, ${Math.floor(freeBytes / 1e9)} GB free`,
    details: { version, tables: facts.tables.length, parts, freeBytes, brokenParts: facts.brokenParts },
    findings,
  }
}

/** What the names of scratch tables begin with; the time follows, in ms. */
const SCRATCH = 'health_check_'

/**
 * Writes a row to a scratch table of its own, reads it and drops the table. Drops also the tables of checks that were killed.
 * @throws {Error} when the row is not there
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
    if (Number(row?.sum) !== 42) throw new Error(`${row?.sum} read where 42 was written`)
  } finally {
    await client.command({ query: `DROP TABLE ${table} SYNC` })
  }
}
