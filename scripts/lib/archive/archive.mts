/** Days of a market table as Parquet files, each proven; then, with consent, the partitions that they make up are dropped. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { deferEnd } from '../command/interrupt.mts'
import { error, type Finding, OpsError } from '../common/findings.mts'
import { quoted } from '../common/quote.mts'
import type { Settings } from '../settings/settings.mts'
import { damaged, dropProven, type Partition, tidyUp } from './drop.mts'
import { addEntry, type Entry, entryOf, fileOf, readManifest, withFile } from './manifest.mts'
import { insertFile, nameFile, readBack, writeParquet } from './parquet.mts'
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
export function archiveTable(settings: Settings, request: ArchiveRequest): Promise<Archived> {
  refuseCluster(settings, 'archive')
  const { folder, before, timeoutMs, dryRun, log } = request
  return withClickHouse(
    settings,
    timeoutMs,
    async (client) => {
      const table = await readTable(client, request.table)
      if (!dryRun) await tidyUp(client, table, log)
      const all = await readDays(client, table, { where: `toDate(timestamp) < '${before}'` })
      const entries = await readManifest(folder, table.name)
      const archived: Archived = { days: [], partitions: [], findings: [], declined: false }
      const work = { client, table, entries, request }
      for (const day of all) {
        const file = fileOf(folder, table.name, day.day)
        archived.days.push(await withFile(file, () => archiveDay(work, day, file, archived.findings)))
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
  request: ArchiveRequest
}

export const archiveCommand = ({
  table,
  before,
  folder,
}: Pick<ArchiveRequest, 'table' | 'before' | 'folder'>): string =>
  `npm run archive -- --table ${table} --before ${before} --to ${quoted(folder)}`

/** The partitions that hold rows from a day on. */
async function readOpen(client: ClickHouseClient, { name }: Table, from: string): Promise<Set<string>> {
  const query = `SELECT DISTINCT _partition_id AS partition FROM ${name} WHERE toDate(timestamp) >= '${from}'`
  return new Set((await readRows<{ partition: string }>(client, query)).map(({ partition }) => partition))
}

function partitionsIn(days: readonly Day[]): Partition[] {
  const ids = [...new Set(days.map(({ partition }) => partition))]
  return ids.map((partition) => {
    const own = days.filter((day) => day.partition === partition)
    return { partition, days: own, rows: own.reduce((sum, { rows }) => sum + rows, 0) }
  })
}

async function archiveDay(work: Work, now: Day, file: string, findings: Finding[]): Promise<ArchivedDay> {
  const { table, entries, request } = work
  const { day, rows } = now
  const entry = existsSync(file) ? await entryOf(request.folder, entries, table.name, day) : undefined
  const refused = (finding: Finding): ArchivedDay => {
    findings.push(finding)
    return { day, rows, file, state: 'refused' }
  }
  if (existsSync(file)) {
    const hint = `mv ${quoted(file)} ${quoted(`${file}.damaged`)}, then: ${archiveCommand(request)}`
    if (!entry) return refused(error('ARCHIVE_DAMAGED', file, damaged(hint)))
    const same = JSON.stringify(entry.columns) === JSON.stringify(table.columns) && isEqual(entry, now)
    if (same) return { day, rows, file, bytes: entry.bytes, state: 'proven' }
    if (!(await holdsAll(work, entry, file))) {
      const found = `${rows} rows, without some of the ${entry.rows} that are archived`
      const elsewhere = archiveCommand({ ...request, folder: `${request.folder}-2` })
      return refused(
        error('ARCHIVE_DIFFERS', `${table.name} ${day}`, {
          found,
          hint: `these into a folder of their own: ${elsewhere}`,
        }),
      )
    }
  }
  if (request.dryRun) return { day, rows, file, state: 'due' }
  const written = await writeDay(work, now, file)
  return { day, rows: written.rows, file, bytes: written.bytes, state: 'written' }
}

/** Whether the table still has every row of a file: only then may another take its place. */
function holdsAll({ client, table }: Work, entry: Entry, file: string): Promise<boolean> {
  if (lackingIn(table, entry.columns).length > 0) return Promise.resolve(false)
  return withScratch(client, table, 'in', async (scratch) => {
    await insertFile(client, file, entry.columns, scratch)
    return (await countPresent(client, table, entry.columns, scratch, entry.day)) === entry.rows
  })
}

async function writeDay({ client, table, entries, request }: Work, { day }: Day, file: string): Promise<Entry> {
  const half = `${file}.tmp`
  for (let run = 1; run <= TRIES; run++) {
    request.log(`${table.name} ${day}: writing ${path.relative(request.folder, file)}`)
    const written = await writeParquet(client, table, day, half)
    const held = await readBack(client, half, table.columns)
    // Rows may have arrived while the file was written.
    const now = await readFingerprint(client, table, table.columns, { where: ofDay(day) })
    if (!isEqual(held, now)) continue
    const provenAt = new Date().toISOString()
    const entry: Entry = { table: table.name, day, ...held, ...written, columns: table.columns, provenAt }
    // First, so that an interruption leaves no file that nothing describes.
    await addEntry(request.folder, entry)
    entries.push(entry)
    await nameFile(half, file)
    return entry
  }
  const found = `a file that differs from the table, ${TRIES} times: rows arrive, or what was written reads otherwise`
  throw new OpsError(1, [error('ARCHIVE_PROOF', `${table.name} ${day}`, { found, hint: archiveCommand(request) })])
}

async function dropAll({ client, table, entries, request }: Work, whole: readonly Partition[], archived: Archived) {
  const end = deferEnd()
  try {
    for (const [index, partition] of whole.entries()) {
      if (end.asked()) break
      request.log(`${table.name}: dropping ${partition.partition}`)
      const options = { folder: request.folder, entries, hint: archiveCommand(request) }
      const finding = await withFile(request.folder, () => dropProven(client, table, partition, options))
      if (finding) archived.findings.push(finding)
      const kept = archived.partitions[index]
      if (kept) kept.state = finding ? 'kept' : 'dropped'
    }
  } finally {
    end.resume()
  }
}
