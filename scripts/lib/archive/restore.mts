/** Brings archived days back: verified outside of the table, then in it at once. */
import type { ClickHouseClient } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { configError, error, type Finding } from '../common/findings.mts'
import { quoted } from '../common/shell-quote.mts'
import { DAY_MS } from '../common/time.mts'
import { isS3 } from '../s3/address.mts'
import type { Settings } from '../settings/settings.mts'
import { damaged, tidyUp } from './drop.mts'
import { type Entry, entryOf, readManifest, withFile } from './manifest.mts'
import { insertFile } from './parquet.mts'
import { keepLatest, markStale } from './rollups.mts'
import { openStore, type Store } from './store.mts'
import {
  countPresent,
  lackingIn,
  movePartition,
  ofDay,
  partitionsOf,
  readFingerprint,
  readTable,
  type Table,
  type TableName,
  withScratch,
} from './table.mts'

export interface RestoreRequest {
  table: TableName
  /** As `placeOf` has it. */
  folder: string
  /** UTC, as 2026-11-25; all that are archived for none. */
  days: readonly string[]
  dryRun: boolean
  /** Deadline of each statement, and of each piece of a file. */
  timeoutMs: number
  log: (line: string) => void
}

export interface RestoredDay {
  day: string
  rows: number
  /** `present` before, `restored` by this run, `due` with --dry-run, `refused` by a finding. */
  state: 'present' | 'restored' | 'due' | 'refused'
}

const RETENTION = {
  market_ticks: 'MARKET_TICKS_RETENTION_DAYS',
  market_l1: 'MARKET_L1_RETENTION_DAYS',
  market_l2: 'MARKET_L2_RETENTION_DAYS',
  market_metrics: 'MARKET_METRICS_RETENTION_DAYS',
} as const satisfies Record<TableName, keyof Settings>

/**
 * Brings days back. A day that is there already stays as it is.
 * @throws {OpsError} exit code 3 when ClickHouse gives no answer, 2 on a cluster and for a folder or day that is not archived
 */
export async function restoreDays(
  settings: Settings,
  request: RestoreRequest,
): Promise<{ days: RestoredDay[]; findings: Finding[] }> {
  refuseCluster(settings, 'restore')
  const { folder, timeoutMs, dryRun, log } = request
  const store = await openStore(settings, folder, timeoutMs)
  return withClickHouse(settings, timeoutMs, async (client) => {
    const entries = await readManifest(store, request.table)
    const wanted = chosen(request, entries)
    const table = await readTable(client, request.table)
    if (!dryRun) await tidyUp(client, table, log)
    const findings: Finding[] = []
    const days: RestoredDay[] = []
    for (const day of wanted) {
      const work = { client, settings, table, entries, store, request }
      const outcome = await withFile(store.halfOf(table.name, day), () => restoreDay(work, day))
      if ('severity' in outcome) findings.push(outcome)
      days.push('severity' in outcome ? { day, rows: 0, state: 'refused' } : outcome)
    }
    return { days, findings }
  })
}

function chosen({ table, folder, days }: RestoreRequest, entries: readonly Entry[]): string[] {
  const archived = [...new Set(entries.map(({ day }) => day))].sort()
  const hint = `${isS3(folder) ? 'aws s3 ls' : 'ls'} ${quoted(folder)}${isS3(folder) ? '/' : ''}`
  if (archived.length === 0) {
    throw configError([error('RESTORE_NOTHING', `--from ${folder}`, { found: `no archived day of ${table}`, hint })])
  }
  const unknown = days.filter((day) => !archived.includes(day))
  if (unknown.length > 0) {
    const expected = `a day from ${archived[0]} to ${archived.at(-1)} that is archived`
    throw configError(
      unknown.map((day) => error('RESTORE_NOTHING', `--day ${day}`, { found: 'not archived', expected, hint })),
    )
  }
  return days.length > 0 ? [...new Set(days)].sort() : archived
}

interface Work {
  client: ClickHouseClient
  settings: Settings
  table: Table
  entries: readonly Entry[]
  store: Store
  request: RestoreRequest
}

async function restoreDay(work: Work, day: string): Promise<RestoredDay | Finding> {
  const { table, entries, store } = work
  const outcome = await store.withFile(table.name, day, async (file, sha256) => {
    const entry = entryOf(entries, day, sha256)
    return entry && restoreFile(work, entry, file)
  })
  return (
    outcome ??
    error('RESTORE_DAMAGED', store.nameOf(table.name, day), damaged('take the file from another copy of the archive'))
  )
}

async function restoreFile(
  { client, settings, table, store, request: { dryRun, log } }: Work,
  entry: Entry,
  file: string,
): Promise<RestoredDay | Finding> {
  const objection = unfit(settings, table, entry)
  if (objection) return objection
  const { day, rows, columns } = entry
  const held = await readFingerprint(client, table, columns, { where: ofDay(day) })
  const present = async (): Promise<RestoredDay> => {
    // An interrupted run may not have come to this.
    if (!dryRun) await markStale(client, table.name, [day])
    return { day, rows, state: 'present' }
  }
  if (isEqual(held, entry)) return present()
  if (dryRun) return { day, rows, state: 'due' }
  log(`${table.name} ${day}: restoring ${rows} rows`)
  return withScratch(client, table, 'in', async (scratch) => {
    await insertFile(client, file, columns, scratch)
    const subject = `${table.name} ${day}`
    const inserted = await readFingerprint(client, table, columns, { from: scratch })
    if (!isEqual(inserted, entry)) {
      const found = `${inserted.rows} rows that differ from the ${rows} archived ones`
      return error('RESTORE_PROOF', subject, {
        found,
        hint: `nothing was changed; look at ${quoted(store.nameOf(table.name, day))}`,
      })
    }
    // Looked at again: reading the file took its time.
    const now = await readFingerprint(client, table, columns, { where: ofDay(day) })
    const common = now.rows === 0 ? 0 : await countPresent(client, table, columns, scratch, day)
    if (common === rows) return present()
    if (common > 0) {
      const found = `${common} of the ${rows} archived rows, beside others`
      const hint = `delete them, then restore: DELETE FROM ${table.name} WHERE ${ofDay(day)}`
      return error('RESTORE_PARTLY', subject, { found, hint })
    }
    await keepLatest(client, table.name, scratch)
    for (const partition of await partitionsOf(client, scratch))
      await movePartition(client, scratch, partition, table.name)
    await markStale(client, table.name, [day])
    return { day, rows, state: 'restored' }
  })
}

/** Why the table cannot take a day in: its columns, or a retention that would delete it again. */
function unfit(settings: Settings, table: Table, { day, columns }: Entry): Finding | undefined {
  const subject = `${table.name} ${day}`
  const gone = lackingIn(table, columns)
  if (gone.length > 0) {
    const found = `archived columns that the table does not have: ${gone.map(({ name, type }) => `${name} ${type}`).join(', ')}`
    return error('RESTORE_COLUMNS', subject, { found, hint: 'npm run schema -- --dry-run' })
  }
  const retention = settings[RETENTION[table.name]]
  if (retention === 0 || Date.parse(`${day}T00:00:00Z`) + retention * DAY_MS > Date.now()) return undefined
  const found = `older than ${RETENTION[table.name]}=${retention}: it would be deleted again`
  return error('RESTORE_EXPIRED', subject, {
    found,
    hint: `edit .env: ${RETENTION[table.name]}=0, then: npm run schema`,
  })
}
