import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { connectClickHouse, refusalOf } from '../clickhouse/client.mts'
import { reason } from '../common/findings.mts'
import type { SchemaPlan } from '../schema/plan.mts'
import { schemaFindings } from '../schema/report.mts'
import { readSchemaPlan } from '../schema/schema.mts'
import type { Settings } from '../settings/settings.mts'
import { Findings, isLeftover, type Probe, type ProbeOptions } from './probe.mts'

/** Parts in one partition from which on ClickHouse slows inserts down, by default (parts_to_delay_insert). */
const TOO_MANY_PARTS = 1000
/** Share of a disk that is free, below which inserts are about to fail, and below which it is time to act. */
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
     WHERE database = currentDatabase() AND exception != '') AS failedRefreshes
SETTINGS output_format_json_quote_64bit_integers = 0`

/** Whether ClickHouse serves: login, schema, parts, disk; with `deep`, a row written and read. @throws when it gives no answer */
export async function probeClickHouse(settings: Settings, options: ProbeOptions): Promise<Probe> {
  const client = await connectClickHouse(settings, options.timeoutMs)
  try {
    const [answer, plan] = await Promise.all([
      client.query({ query: FACTS, format: 'JSONEachRow' }),
      readSchemaPlan(client, settings),
    ])
    const [facts] = await answer.json<Facts>()
    if (!facts) throw new Error('an empty answer')
    const probe = judge(facts, plan)
    if (options.deep) {
      const written = new Findings('clickhouse')
      const hint = 'docker logs l2_clickhouse, or .embedded/data/logs/clickhouse.log'
      const expected = 'a row written and read'
      await written.attempt('CLICKHOUSE_WRITE', 'scratch table', { expected, hint, ...options }, () =>
        writeAndRead(client),
      )
      probe.findings.push(...written.list)
    }
    return probe
  } catch (error) {
    const refusal = refusalOf(settings, error)
    if (!refusal) throw error
    return { summary: 'refused', details: {}, findings: [{ severity: 'error', ...refusal }] }
  } finally {
    await client.close()
  }
}

function judge(facts: Facts, plan: SchemaPlan): Probe {
  const findings = new Findings('clickhouse')
  const drift = schemaFindings(plan)
  findings.list.push(...drift)
  if (facts.largestPartition > TOO_MANY_PARTS) {
    const hint = 'insert larger batches: a thousand rows and more at once'
    const expected = `at most ${TOO_MANY_PARTS}`
    findings.add(
      'warning',
      'CLICKHOUSE_PARTS',
      { found: `${facts.largestPartition}`, expected, hint },
      'parts of a partition',
    )
  }
  const free = facts.freeBytes / facts.totalBytes
  if (free < DISK_LOW) {
    const found = `${(free * 100).toFixed(1)} % free`
    const hint = 'drop old partitions, or set MARKET_…_RETENTION_DAYS in .env and run: npm run schema'
    const severity = free < DISK_FULL ? 'error' : 'warning'
    findings.add(severity, 'CLICKHOUSE_DISK', { found, expected: `${DISK_LOW * 100} % or more`, hint }, 'disk')
  }
  if (facts.readonlyReplicas > 0) {
    const found = `${facts.readonlyReplicas} read-only`
    const hint = 'SELECT * FROM system.replicas WHERE is_readonly'
    findings.add('error', 'CLICKHOUSE_REPLICAS', { found, expected: 'none', hint }, 'replicated tables')
  }
  if (facts.brokenParts > 0) {
    const hint = "SELECT * FROM system.detached_parts WHERE startsWith(reason, 'broken')"
    findings.add(
      'warning',
      'CLICKHOUSE_BROKEN',
      { found: `${facts.brokenParts}`, expected: 'none', hint },
      'broken parts',
    )
  }
  for (const [view, exception] of facts.failedRefreshes) {
    const found = `a last run that failed: ${reason(exception).slice(0, 200)}`
    const expected = 'roll-ups that succeed; until then its views answer from the raw rows, slower'
    findings.add('warning', 'CLICKHOUSE_REFRESH', { found, expected, hint: `SYSTEM REFRESH VIEW ${view}` }, view)
  }
  const { version, parts, freeBytes } = facts
  const schema = drift.length === 0 ? 'as declared' : `with ${drift.length} differences`
  return {
    summary: `${version}, schema ${schema}, ${Math.floor(freeBytes / 1e9)} GB free`,
    details: { version, tables: facts.tables.length, parts, freeBytes, brokenParts: facts.brokenParts },
    findings: findings.list,
  }
}

/** What the names of scratch tables begin with; the time follows, in ms. */
const SCRATCH = 'health_check_'

/**
 * Writes a row to a scratch table of its own, reads it and drops the table. Drops those, too, that checks left behind which were killed.
 * @throws {Error} when the row is not there
 */
async function writeAndRead(client: ClickHouseClient): Promise<void> {
  const tables = `SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '${SCRATCH}')`
  const names = await (await client.query({ query: tables, format: 'JSONEachRow' })).json<{ name: string }>()
  for (const { name } of names) {
    if (isLeftover(name, SCRATCH)) await client.command({ query: `DROP TABLE IF EXISTS ${name} SYNC` })
  }
  const table = `${SCRATCH}${Date.now()}_${randomUUID().replaceAll('-', '')}`
  await client.command({ query: `CREATE TABLE ${table} (value UInt64) ENGINE = MergeTree ORDER BY value` })
  try {
    await client.insert({ table, values: [{ value: 42 }], format: 'JSONEachRow' })
    const answer = await client.query({ query: `SELECT sum(value) AS sum FROM ${table}`, format: 'JSONEachRow' })
    const [row] = await answer.json<{ sum: string }>()
    if (Number(row?.sum) !== 42) throw new Error(`${row?.sum} read where 42 was written`)
  } finally {
    await client.command({ query: `DROP TABLE ${table} SYNC` })
  }
}
