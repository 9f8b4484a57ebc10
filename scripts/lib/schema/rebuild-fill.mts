/** Copies the pieces of a table into the copy, proven one by one. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { FINGERPRINT, type Fingerprint, isEqual, names } from '../clickhouse/fingerprint.mts'
import { showProgress } from '../command/progress.mts'
import { count } from '../common/count.mts'
import type { Settings } from '../settings/settings.mts'
import { copyRows, type PatientOptions, readSlowly } from './copy.mts'
import {
  isOther,
  losesNull,
  type Marks,
  markOf,
  type Partition,
  readMarks,
  rowsIn,
  rowsOf,
  type Source,
} from './rebuild-chunks.mts'
import { moveFilled, rebuildError, renewStaging, type State, saveState } from './rebuild-state.mts'

/** A rebuild under way. */
export interface Work {
  client: ClickHouseClient
  settings: Settings
  source: Source
  copy: string
  state: State
  /** Deadline of each statement; the copy continues for as long as the server answers within it. */
  timeoutMs: number
  log: (line: string) => void
}

/**
 * What a copy takes to hold exactly the rows that were read: nothing left out as a repetition or replaced, now or by a merge, and room
 * for the parts that are not merged meanwhile. A table by day has more partitions than the 100 that one INSERT may write to by default.
 */
const EXACTLY = `insert_deduplicate = 0, optimize_on_insert = 0, insert_allow_materialized_columns = 1,
  max_partitions_per_insert_block = 0, parts_to_delay_insert = 100000, parts_to_throw_insert = 100000`

function insertRows(
  { settings, source, state }: Work,
  piece: readonly Partition[],
  limit: string,
  options: PatientOptions,
): Promise<number> {
  const list = names(source.columns)
  const rows = `SELECT ${list} FROM ${rowsOf(source, piece)} ${limit}`
  return copyRows(settings, `INSERT INTO ${state.staging} (${list}) ${rows} SETTINGS ${EXACTLY}`, options)
}

async function readFingerprint(
  { settings, source }: Work,
  from: string,
  options: PatientOptions,
): Promise<Fingerprint> {
  const compared = source.columns.filter((column) => !losesNull(column))
  const [found] = await readSlowly<Fingerprint>(settings, `SELECT ${FINGERPRINT(compared)} FROM ${from}`, options)
  return found as Fingerprint
}

const total = (partitions: readonly Partition[]): number => partitions.reduce((sum, { rows }) => sum + rows, 0)

/** How often a piece is copied again while the table is merged: each merge of it may drop repeated rows. */
const ATTEMPTS = 5

/**
 * Copies piece by piece. Leaves out one whose rows come or change meanwhile, which is for the next run.
 * @throws {OpsError} exit code 1 for one that is not the same afterwards
 */
export async function copyPieces(work: Work, pieces: readonly Partition[][], marks: Marks): Promise<void> {
  const progress = showProgress(work.log)
  const all = total(pieces.flat())
  let begun = 0
  try {
    for (const piece of pieces) {
      await copyPiece(work, piece, marks, (read) => {
        progress.show((begun + read) / all, `copying ${work.source.name}`)
      })
      begun += total(piece)
    }
  } finally {
    progress.clear()
  }
}

/** @param show receives the rows that are done, as far as one can say */
async function copyPiece(
  work: Work,
  piece: readonly Partition[],
  marks: Marks,
  show: (rows: number) => void,
): Promise<void> {
  const { client, source, copy, state, timeoutMs } = work
  const rows = total(piece)
  const third = (at: number): PatientOptions => ({
    timeoutMs,
    show: (read) => show((at * rows + Math.min(read, rows)) / 3),
  })
  for (let tries = 0; tries < ATTEMPTS; tries++) {
    await renewStaging(client, copy, state)
    const before = await readFingerprint(work, rowsOf(source, piece), third(0))
    const written = await insertRows(work, piece, '', third(1))
    const after = await readFingerprint(work, state.staging, third(2))
    const places = piece.flatMap(({ from }) => from)
    if (isOther(await readMarks(client, source.name), marks, places)) return
    const filled = await rowsIn(client, state.staging)
    const isWhole = filled.size === piece.length && piece.every(({ id }) => filled.has(id))
    if (!isWhole || written !== after.rows || !isEqual(before, after)) continue
    state.filled = Object.fromEntries(piece.map((each) => [each.id, [filled.get(each.id) ?? 0, markOf(each, marks)]]))
    await saveState(client, copy, state)
    return moveFilled(client, copy, state)
  }
  const found = `other rows in its copy than in the table, in each of ${ATTEMPTS} attempts`
  const hint = `wait for the merges of ${source.name} to end, then: ./scripts/apply-schema.mts --rebuild ${source.name}`
  throw rebuildError(source.name, found, 'the same rows', hint)
}

/** A block as an INSERT stores it. */
const SAMPLE_ROWS = 500_000

/**
 * Copies a few rows of the largest piece, which are dropped again, and says what all will take.
 * @throws {OpsError} exit code 1 when the disk has less
 */
export async function estimate(work: Work, pieces: readonly Partition[][]): Promise<void> {
  const { client, source, copy, state, timeoutMs, log } = work
  const rows = total(pieces.flat())
  const largest = pieces.reduce((best, piece) => (total(piece) > total(best) ? piece : best))
  await renewStaging(client, copy, state)
  const startMs = performance.now()
  const sample = Math.max(1, await insertRows(work, largest, `LIMIT ${SAMPLE_ROWS}`, { timeoutMs }))
  // Table and copy are read to be compared.
  for (const _ of [source.name, copy]) await readFingerprint(work, state.staging, { timeoutMs })
  const seconds = ((performance.now() - startMs) / 1000 / sample) * rows
  const [disk] = await readRows<{ sample: number; free: number }>(
    client,
    `SELECT toFloat64(sum(bytes_on_disk)) AS sample, (
       SELECT toFloat64(sum(unreserved_space)) FROM system.disks WHERE name IN (
         SELECT arrayJoin(disks) FROM system.storage_policies WHERE policy_name IN (
           SELECT storage_policy FROM system.tables WHERE database = currentDatabase() AND name = '${copy}'))) AS free
     FROM system.parts WHERE active AND database = currentDatabase() AND table = '${state.staging}'`,
  )
  const bytes = disk?.sample ?? 0
  // What the sample takes is free again.
  const free = bytes + (disk?.free ?? 0)
  const needed = (bytes / sample) * rows
  const done = Object.keys(state.done).length
  const beside = done > 0 ? `, beside ${done} partitions that are copied` : ''
  log(`${source.name}: ${count.format(rows)} rows to copy${beside}`)
  log(
    `about ${formatSeconds(seconds)}, and ${formatMib(needed)} of ${formatMib(free)} of free disk, by a sample of ${count.format(sample)} rows`,
  )
  if (needed <= free) return
  const hint = `free disk space, then: ./scripts/apply-schema.mts --rebuild ${source.name}`
  throw rebuildError(source.name, `${formatMib(free)} of free disk`, `${formatMib(needed)} for its copy`, hint)
}

const formatMib = (bytes: number): string => `${count.format(Math.ceil(bytes / 1024 ** 2))} MiB`

function formatSeconds(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`
}
