/** Days of a market table as Parquet files, each proven; then, with consent, the partitions that they make up are dropped. */
import type { ClickHouseClient } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { deferEnd } from '../command/interrupt.mts'
import { error, type Finding, OpsError } from '../common/findings.mts'
import { quoted } from '../common/shell-quote.mts'
import { isS3 } from '../s3/address.mts'
import type { Settings } from '../settings/settings.mts'
import { damaged, dropProven, type Partition, partitionsIn, readOpen, tidyUp } from './drop.mts'
import { type Entry, entryOf, readManifest, withFile } from './manifest.mts'
import { insertFile, readBack, writeParquet } from './parquet.mts'
import { openStore, type Store } from './store.mts'
import {
  countPresent,
  type Day,
  lackingIn,
  ofDay,
  readDays,
  readFingerprint,
  readTable,
  type Table,
  type TableName,
  withScratch,
} from './table.mts'

export interface ArchiveRequest {
  table: TableName
  /** The first day that is not archived, UTC, as 2026-11-25. */
  before: string
  /** As `placeOf` has it. */
  folder: string
  dryRun: boolean
  /** Deadline of each statement, and of each file. */
  timeoutMs: number
  log: (line: string) => void
  /** Whether these partitions may be dropped; called only when there are any. */
  mayDrop: (partitions: readonly Partition[]) => Promise<boolean>
}

export interface ArchivedDay {
  day: string
  rows: number
  file: string
  /** Of the file; undefined while there is none. */
  bytes?: number
  /** `proven` before, `written` by this run, `due` with --dry-run, `refused` by a finding. */
  state: 'proven' | 'written' | 'due' | 'refused'
}

export interface Archived {
  days: ArchivedDay[]
  /** Partitions whose days are all archived. */
  partitions: (Omit<Partition, 'days'> & { days: string[]; state: 'archived' | 'dropped' | 'kept' })[]
  findings: Finding[]
  declined: boolean
}

/** Writes of a day until no row arrives meanwhile. */
const TRIES = 3

/**
 * Archives the days of a table before a day: those that the folder does not hold are written, read back and compared.
 * @throws {OpsError} exit code 3 when ClickHouse gives no answer, 2 on a cluster and for a table that is not there, 1 for trouble with a file
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
      if (!dryRun) await tidyUp(client, table, log)
      const all = await readDays(client, table, { where: `toDate(timestamp) < '${before}'` })
      const entries = await readManifest(store, table.name)
      const archived: Archived = { days: [], partitions: [], findings: [], declined: false }
      const work = { client, table, entries, store, request }
      for (const day of all) {
        const half = store.halfOf(table.name, day.day)
        archived.days.push(await withFile(half, () => archiveDay(work, day, archived.findings)))
      }
      const safe = new Set(archived.days.filter(({ state }) => state !== 'refused').map(({ day }) => day))
      const open = await readOpen(client, table, before)
      const isWhole = ({ partition, days }: Partition) => !open.has(partition) && days.every(({ day }) => safe.has(day))
      const whole = partitionsIn(all).filter(isWhole)
      archived.partitions = whole.map((each) => ({ ...each, days: each.days.map(({ day }) => day), state: 'archived' }))
      if (dryRun || whole.length === 0) return archived
      if (await request.mayDrop(whole)) await dropAll(work, whole, archived)
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

export const archiveCommand = ({
  table,
  before,
  folder,
}: Pick<ArchiveRequest, 'table' | 'before' | 'folder'>): string =>
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
    const same = JSON.stringify(entry.columns) === JSON.stringify(table.columns) && isEqual(entry, now)
    if (same) return { day, rows, file, bytes: entry.bytes, state: 'proven' }
    if (!(await holdsAll(work, entry))) {
      const found = `${rows} rows, without some of the ${entry.rows} that are archived`
      const elsewhere = archiveCommand({ ...request, folder: `${request.folder}${isS3(request.folder) ? '/2' : '-2'}` })
      return refused(
        error('ARCHIVE_DIFFERS', `${table.name} ${day}`, {
          found,
          hint: `these into a folder of their own: ${elsewhere}`,
        }),
      )
    }
  }
  if (request.dryRun) return { day, rows, file, state: 'due' }
  const written = await writeDay(work, now)
  return { day, rows: written.rows, file, bytes: written.bytes, state: 'written' }
}

/** Whether the table still has every row of a file: only then may another take its place. */
async function holdsAll({ client, table, store }: Work, entry: Entry): Promise<boolean> {
  if (lackingIn(table, entry.columns).length > 0) return false
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
  const half = store.halfOf(table.name, day)
  for (let run = 1; run <= TRIES; run++) {
    request.log(`${table.name} ${day}: writing ${table.name}/${day}.parquet`)
    const written = await writeParquet(client, table, day, half)
    const held = await readBack(client, half, table.columns)
    // Rows may have arrived while the file was written.
    const now = await readFingerprint(client, table, table.columns, { where: ofDay(day) })
    if (!isEqual(held, now)) continue
    const provenAt = new Date().toISOString()
    const entry: Entry = { table: table.name, day, ...held, ...written, columns: table.columns, provenAt }
    // First, so that an interruption leaves no file that nothing describes.
    await store.addLine(table.name, JSON.stringify(entry))
    entries.push(entry)
    await store.keep(table.name, day, entry.sha256)
    return entry
  }
  const found = `a file that differs from the table, ${TRIES} times: rows arrive, or what was written reads otherwise`
  throw new OpsError(1, [error('ARCHIVE_PROOF', `${table.name} ${day}`, { found, hint: archiveCommand(request) })])
}

async function dropAll({ client, table, store, request }: Work, whole: readonly Partition[], archived: Archived) {
  const end = deferEnd()
  try {
    // As it is there: what is dropped needs its line.
    const entries = await readManifest(store, table.name)
    for (const [index, partition] of whole.entries()) {
      if (end.asked()) break
      request.log(`${table.name}: dropping ${partition.partition}`)
      const options = { store, entries, hint: archiveCommand(request) }
      const finding = await withFile(request.folder, () => dropProven(client, table, partition, options))
      if (finding) archived.findings.push(finding)
      const kept = archived.partitions[index]
      if (kept) kept.state = finding ? 'kept' : 'dropped'
    }
  } finally {
    end.resume()
  }
}
