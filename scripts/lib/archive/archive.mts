/** Archives days of a market table as verified Parquet files, then, with consent, drops the partitions that consist of these days. */
import type { ClickHouseClient } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { deferEnd } from '../command/interrupt.mts'
import { error, type Finding, OpsError } from '../common/findings.mts'
import { quoted } from '../common/shell-quote.mts'
import { isS3 } from '../s3/address.mts'
import type { Settings } from '../settings/settings.mts'
import { damaged, dropVerified, type Partition, partitionsIn, readPartitionsSince, recover } from './drop.mts'
import { type Entry, entryOf, explainFileErrors, readManifest } from './manifest.mts'
import { insertFile, readBack, writeParquet } from './parquet.mts'
import { openStore, type Store } from './store.mts'
import {
  countPresent,
  type Day,
  missingIn,
  ofDay,
  readDays,
  readFingerprint,
  readTable,
  type Table,
  type TableName,
  withScratch,
} from './table.mts'

interface ArchiveRequest {
  table: TableName
  /** The first day that is not archived, UTC, as 2026-11-25. */
  before: string
  /** An absolute path, or an S3 address without a trailing slash. */
  folder: string
  dryRun: boolean
  /** Deadline of each statement, and of each file. */
  timeoutMs: number
  log: (line: string) => void
  /** Returns whether these partitions may be dropped. Called only if there are any. */
  mayDrop: (partitions: readonly Partition[]) => Promise<boolean>
}

interface ArchivedDay {
  day: string
  rows: number
  file: string
  /** Size of the file; undefined if it does not exist. */
  bytes?: number
  /** `proven`: verified by an earlier run; `written` by this run; `due` with --dry-run; `refused` because of a finding. */
  state: 'proven' | 'written' | 'due' | 'refused'
}

export interface Archived {
  days: ArchivedDay[]
  /** Partitions whose days are all archived. */
  partitions: (Omit<Partition, 'days'> & { days: string[]; state: 'archived' | 'dropped' | 'kept' })[]
  findings: Finding[]
  declined: boolean
}

/** Attempts to write a day while rows keep arriving. */
const ATTEMPTS = 3

/**
 * Archives the days of a table before a given day: writes, reads back and verifies the days that the archive does not contain.
 * @throws {OpsError} exit code 3 when ClickHouse does not answer, 2 on a cluster or for a missing table, 1 for a file error
 */
export async function archiveTable(settings: Settings, request: ArchiveRequest): Promise<Archived> {
  refuseCluster(settings, 'archive')
  const { folder, before, timeoutMs, dryRun, log } = request
  const store = await openStore(settings, folder, timeoutMs)
  return withClickHouse(
    settings,
    timeoutMs,
    async (client) => {
      const table = await readTable(client, request.table)
      if (!dryRun) await recover(client, table, log)
      const all = await readDays(client, table, { where: `toDate(timestamp) < '${before}'` })
      const entries = await readManifest(store, table.name)
      const archived: Archived = { days: [], partitions: [], findings: [], declined: false }
      const work = { client, table, entries, store, request }
      for (const day of all) {
        const file = store.tempFileOf(table.name, day.day)
        archived.days.push(await explainFileErrors(file, () => archiveDay(work, day, archived.findings)))
      }
      const safe = new Set(archived.days.filter(({ state }) => state !== 'refused').map(({ day }) => day))
      const open = await readPartitionsSince(client, table, before)
      const isComplete = ({ partition, days }: Partition) =>
        !open.has(partition) && days.every(({ day }) => safe.has(day))
      const complete = partitionsIn(all).filter(isComplete)
      archived.partitions = complete.map((each) => ({
        ...each,
        days: each.days.map(({ day }) => day),
        state: 'archived',
      }))
      if (dryRun || complete.length === 0) return archived
      if (await request.mayDrop(complete)) await dropAll(work, complete, archived)
      else archived.declined = true
      return archived
    },
    Number.POSITIVE_INFINITY,
  )
}

interface Work {
  client: ClickHouseClient
  table: Table
  entries: Entry[]
  store: Store
  request: ArchiveRequest
}

const archiveCommand = ({ table, before, folder }: ArchiveRequest): string =>
  `npm run archive -- --table ${table} --before ${before} --to ${quoted(folder)}`

async function archiveDay(work: Work, now: Day, findings: Finding[]): Promise<ArchivedDay> {
  const { table, entries, store, request } = work
  const { day, rows } = now
  const file = store.nameOf(table.name, day)
  const sha256 = await store.sha256(table.name, day)
  const refused = (finding: Finding): ArchivedDay => {
    findings.push(finding)
    return { day, rows, file, state: 'refused' }
  }
  if (sha256 !== undefined) {
    const entry = entryOf(entries, day, sha256)
    const move = isS3(file) ? 'aws s3 mv' : 'mv'
    const hint = `${move} ${quoted(file)} ${quoted(`${file}.damaged`)}, then: ${archiveCommand(request)}`
    if (!entry) return refused(error('ARCHIVE_DAMAGED', file, damaged(hint)))
    const isCurrent = JSON.stringify(entry.columns) === JSON.stringify(table.columns) && isEqual(entry, now)
    if (isCurrent) return { day, rows, file, bytes: entry.bytes, state: 'proven' }
    if (!(await hasAllRows(work, entry))) {
      const found = `${rows} rows, which do not include all ${entry.rows} archived rows`
      const elsewhere = archiveCommand({ ...request, folder: `${request.folder}${isS3(request.folder) ? '/2' : '-2'}` })
      return refused(
        error('ARCHIVE_DIFFERS', `${table.name} ${day}`, {
          found,
          hint: `archive them to another folder: ${elsewhere}`,
        }),
      )
    }
  }
  if (request.dryRun) return { day, rows, file, state: 'due' }
  const written = await writeDay(work, now)
  return { day, rows: written.rows, file, bytes: written.bytes, state: 'written' }
}

/** Whether the table still has every row of a file, so that the file may be replaced. */
async function hasAllRows({ client, table, store }: Work, entry: Entry): Promise<boolean> {
  if (missingIn(table, entry.columns).length > 0) return false
  const all = await store.withFile(table.name, entry.day, (file, sha256) =>
    withScratch(client, table, 'in', async (scratch) => {
      if (sha256 !== entry.sha256) return false
      await insertFile(client, file, entry.columns, scratch)
      return (await countPresent(client, table, entry.columns, scratch, entry.day)) === entry.rows
    }),
  )
  return all === true
}

async function writeDay({ client, table, entries, store, request }: Work, { day }: Day): Promise<Entry> {
  const file = store.tempFileOf(table.name, day)
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    request.log(`${table.name} ${day}: writing ${table.name}/${day}.parquet`)
    const written = await writeParquet(client, table, day, file)
    const stored = await readBack(client, file, table.columns)
    // Rows may have arrived while the file was written.
    const now = await readFingerprint(client, table, table.columns, { where: ofDay(day) })
    if (!isEqual(stored, now)) continue
    const provenAt = new Date().toISOString()
    const entry: Entry = { table: table.name, day, ...stored, ...written, columns: table.columns, provenAt }
    // Before publishing, so that an interruption cannot leave a file without an entry.
    await store.addLine(table.name, JSON.stringify(entry))
    entries.push(entry)
    await store.publish(table.name, day, entry.sha256)
    return entry
  }
  const found = `a file that differs from the table in each of ${ATTEMPTS} attempts: rows keep arriving, or the file does not read back as written`
  throw new OpsError(1, [error('ARCHIVE_PROOF', `${table.name} ${day}`, { found, hint: archiveCommand(request) })])
}

async function dropAll({ client, table, store, request }: Work, complete: readonly Partition[], archived: Archived) {
  const end = deferEnd()
  try {
    // Read from the archive itself: a partition is dropped only if its entries are stored.
    const entries = await readManifest(store, table.name)
    for (const [index, partition] of complete.entries()) {
      if (end.isInterrupted()) break
      request.log(`${table.name}: dropping ${partition.partition}`)
      const options = { store, entries, hint: archiveCommand(request) }
      const finding = await explainFileErrors(request.folder, () => dropVerified(client, table, partition, options))
      if (finding) archived.findings.push(finding)
      const outcome = archived.partitions[index]
      if (outcome) outcome.state = finding ? 'kept' : 'dropped'
    }
  } finally {
    end.resume()
  }
}
