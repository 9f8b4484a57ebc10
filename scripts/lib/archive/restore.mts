/** Restores archived days: verifies them in a scratch table, then moves them into the market table at once. */
import type { ClickHouseClient } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { configError, error, type Finding } from '../common/findings.mts'
import { quoted } from '../common/shell-quote.mts'
import { DAY_MS } from '../common/time.mts'
import { isS3 } from '../s3/address.mts'
import type { Settings } from '../settings/settings.mts'
import { damaged, recover } from './drop.mts'
import { type Entry, entryOf, explainFileErrors, readManifest } from './manifest.mts'
import { insertFile } from './parquet.mts'
import { keepLatest, markStale } from './rollups.mts'
import { openStore, type Store } from './store.mts'
import {
  countPresent,
  missingIn,
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
  /** An absolute path, or an S3 address without a trailing slash. */
  folder: string
  /** UTC, as 2026-11-25; empty for all archived days. */
  days: readonly string[]
  dryRun: boolean
  /** Deadline of each statement, and of each row group of a file. */
  timeoutMs: number
  log: (line: string) => void
}

export interface RestoredDay {
  day: string
  rows: number
  /** `present` before, `restored` by this run, `due` with --dry-run, `refused` because of a finding. */
  state: 'present' | 'restored' | 'due' | 'refused'
}

const RETENTION = {
  market_ticks: 'MARKET_TICKS_RETENTION_DAYS',
  market_l1: 'MARKET_L1_RETENTION_DAYS',
  market_l2: 'MARKET_L2_RETENTION_DAYS',
  market_metrics: 'MARKET_METRICS_RETENTION_DAYS',
} as const satisfies Record<TableName, keyof Settings>

/**
 * Restores archived days. Leaves days that are already present unchanged.
 * @throws {OpsError} exit code 3 when ClickHouse does not answer, 2 on a cluster or for a folder or day that is not archived
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
    const wanted = selectDays(request, entries)
    const table = await readTable(client, request.table)
    if (!dryRun) await recover(client, table, log)
    const findings: Finding[] = []
    const days: RestoredDay[] = []
    for (const day of wanted) {
      const work = { client, settings, table, entries, store, request }
      const outcome = await explainFileErrors(store.tempFileOf(table.name, day), () => restoreDay(work, day))
      if ('severity' in outcome) findings.push(outcome)
      days.push('severity' in outcome ? { day, rows: 0, state: 'refused' } : outcome)
    }
    return { days, findings }
  })
}

function selectDays({ table, folder, days }: RestoreRequest, entries: readonly Entry[]): string[] {
  const archived = [...new Set(entries.map(({ day }) => day))].sort()
  const hint = `${isS3(folder) ? 'aws s3 ls' : 'ls'} ${quoted(folder)}${isS3(folder) ? '/' : ''}`
  if (archived.length === 0) {
    throw configError([error('RESTORE_NOTHING', `--from ${folder}`, { found: `no archived day of ${table}`, hint })])
  }
  const unknown = days.filter((day) => !archived.includes(day))
  if (unknown.length > 0) {
    const expected = `an archived day from ${archived[0]} to ${archived.at(-1)}`
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
    error(
      'RESTORE_DAMAGED',
      store.nameOf(table.name, day),
      damaged('restore the file from another copy of the archive'),
    )
  )
}

async function restoreFile(
  { client, settings, table, store, request: { dryRun, log } }: Work,
  entry: Entry,
  file: string,
): Promise<RestoredDay | Finding> {
  const obstacle = findObstacle(settings, table, entry)
  if (obstacle) return obstacle
  const { day, rows, columns } = entry
  const stored = await readFingerprint(client, table, columns, { where: ofDay(day) })
  const present = async (): Promise<RestoredDay> => {
    // An interrupted run may have moved the rows without marking them.
    if (!dryRun) await markStale(client, table.name, [day])
    return { day, rows, state: 'present' }
  }
  if (isEqual(stored, entry)) return present()
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
        hint: `nothing was changed; inspect ${quoted(store.nameOf(table.name, day))}`,
      })
    }
    // Read again, because rows may have arrived while the file was inserted.
    const now = await readFingerprint(client, table, columns, { where: ofDay(day) })
    const common = now.rows === 0 ? 0 : await countPresent(client, table, columns, scratch, day)
    if (common === rows) return present()
    if (common > 0) {
      const others = now.rows > common ? `, and ${now.rows - common} other rows` : ''
      const found = `only ${common} of the ${rows} archived rows${others}`
      const what = `all rows of the day${others === '' ? '' : ', including those that are not in the archive'}`
      const hint = `delete ${what}, then restore: DELETE FROM ${table.name} WHERE ${ofDay(day)}`
      return error('RESTORE_PARTLY', subject, { found, hint })
    }
    await keepLatest(client, table.name, scratch)
    for (const partition of await partitionsOf(client, scratch))
      await movePartition(client, scratch, partition, table.name)
    await markStale(client, table.name, [day])
    return { day, rows, state: 'restored' }
  })
}

/** Returns the finding for a day that the table cannot hold: missing columns, or a retention that would delete it again. */
function findObstacle(settings: Settings, table: Table, { day, columns }: Entry): Finding | undefined {
  const subject = `${table.name} ${day}`
  const missing = missingIn(table, columns)
  if (missing.length > 0) {
    const found = `archived columns that the table does not have: ${missing.map(({ name, type }) => `${name} ${type}`).join(', ')}`
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
