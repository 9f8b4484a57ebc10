/** Copies a table chunk by chunk and verifies each chunk. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { FINGERPRINT, type Fingerprint, isEqual, names } from '../clickhouse/fingerprint.mts'
import { showProgress } from '../command/progress.mts'
import { formatCount } from '../common/count.mts'
import type { Settings } from '../settings/settings.mts'
import { copyRows, type LongQueryOptions, readLong } from './long-query.mts'
import {
  haveRowsChanged,
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

/** A rebuild in progress. */
export interface Work {
  client: ClickHouseClient
  settings: Settings
  source: Source
  copy: string
  state: State
  /** Deadline of each statement. Copying continues for as long as the server answers within it. */
  timeoutMs: number
  log: (line: string) => void
}

/**
 * Settings that make an INSERT store exactly the rows that were read: no deduplication, no collapsing of rows, and no limit on the parts
 * that accumulate while merges are stopped. A table partitioned by day exceeds the default limit of 100 partitions per INSERT.
 */
const EXACTLY = `insert_deduplicate = 0, optimize_on_insert = 0, insert_allow_materialized_columns = 1,
  max_partitions_per_insert_block = 0, parts_to_delay_insert = 100000, parts_to_throw_insert = 100000`

function insertRows(
  { settings, source, state }: Work,
  chunk: readonly Partition[],
  limit: string,
  options: LongQueryOptions,
): Promise<number> {
  const list = names(source.columns)
  const rows = `SELECT ${list} FROM ${rowsOf(source, chunk)} ${limit}`
  return copyRows(settings, `INSERT INTO ${state.staging} (${list}) ${rows} SETTINGS ${EXACTLY}`, options)
}

async function readFingerprint(
  { settings, source }: Work,
  from: string,
  options: LongQueryOptions,
): Promise<Fingerprint> {
  const compared = source.columns.filter((column) => !losesNull(column))
  const [found] = await readLong<Fingerprint>(settings, `SELECT ${FINGERPRINT(compared)} FROM ${from}`, options)
  return found as Fingerprint
}

const total = (partitions: readonly Partition[]): number => partitions.reduce((sum, { rows }) => sum + rows, 0)

/** Attempts per chunk. A merge of the table during a copy may drop duplicate rows, which makes the attempt fail. */
const ATTEMPTS = 5

/**
 * Copies and verifies each chunk. Skips a chunk whose rows change during the copy; the next run copies it.
 * @throws {OpsError} exit code 1 when a chunk cannot be verified
 */
export async function copyChunks(work: Work, chunks: readonly Partition[][], marks: Marks): Promise<void> {
  const progress = showProgress(work.log)
  const all = total(chunks.flat())
  let finished = 0
  try {
    for (const chunk of chunks) {
      await copyChunk(work, chunk, marks, (read) => {
        progress.show((finished + read) / all, `copying ${work.source.name}`)
      })
      finished += total(chunk)
    }
  } finally {
    progress.clear()
  }
}

/** @param show receives the estimated number of rows done: reading, writing and verifying count for a third each */
async function copyChunk(
  work: Work,
  chunk: readonly Partition[],
  marks: Marks,
  show: (rows: number) => void,
): Promise<void> {
  const { client, source, copy, state, timeoutMs } = work
  const rows = total(chunk)
  const third = (index: number): LongQueryOptions => ({
    timeoutMs,
    show: (read) => show((index * rows + Math.min(read, rows)) / 3),
  })
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    await renewStaging(client, copy, state)
    const before = await readFingerprint(work, rowsOf(source, chunk), third(0))
    const written = await insertRows(work, chunk, '', third(1))
    const after = await readFingerprint(work, state.staging, third(2))
    const origins = chunk.flatMap(({ from }) => from)
    if (haveRowsChanged(await readMarks(client, source.name), marks, origins)) return
    const filled = await rowsIn(client, state.staging)
    const isWhole = filled.size === chunk.length && chunk.every(({ id }) => filled.has(id))
    if (!isWhole || written !== after.rows || !isEqual(before, after)) continue
    state.filled = Object.fromEntries(chunk.map((each) => [each.id, [filled.get(each.id) ?? 0, markOf(each, marks)]]))
    await saveState(client, copy, state)
    return moveFilled(client, copy, state)
  }
  const found = `a copy that differs from the table, in each of ${ATTEMPTS} attempts`
  const hint = `wait for the merges of ${source.name} to end, then: ./scripts/apply-schema.mts --rebuild ${source.name}`
  throw rebuildError(source.name, found, 'the same rows', hint)
}

/** About one insert block: min_insert_block_size_rows is 524,288. */
const SAMPLE_ROWS = 500_000

/**
 * Logs how much time and disk space the copy takes, measured by copying a sample of the largest chunk to a temporary table.
 * @throws {OpsError} exit code 1 when the disk has too little free space
 */
export async function estimate(work: Work, chunks: readonly Partition[][]): Promise<void> {
  const { client, source, copy, state, timeoutMs, log } = work
  const rows = total(chunks.flat())
  const largest = chunks.reduce((best, chunk) => (total(chunk) > total(best) ? chunk : best))
  await renewStaging(client, copy, state)
  const startMs = performance.now()
  const sample = Math.max(1, await insertRows(work, largest, `LIMIT ${SAMPLE_ROWS}`, { timeoutMs }))
  // Verifying a chunk reads it twice: in the table and in the copy.
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
  // The sample is dropped, which frees its space.
  const free = bytes + (disk?.free ?? 0)
  const needed = (bytes / sample) * rows
  const done = Object.keys(state.done).length
  const resumed = done > 0 ? `, ${done} partitions already copied` : ''
  log(`${source.name}: ${formatCount(rows)} rows to copy${resumed}`)
  log(
    `about ${formatSeconds(seconds)}, and ${formatMib(needed)} of ${formatMib(free)} free disk space, estimated from ${formatCount(sample)} rows`,
  )
  if (needed <= free) return
  const hint = `free disk space, then: ./scripts/apply-schema.mts --rebuild ${source.name}`
  throw rebuildError(source.name, `${formatMib(free)} of free disk space`, `${formatMib(needed)} for its copy`, hint)
}

const formatMib = (bytes: number): string => `${formatCount(Math.ceil(bytes / 1024 ** 2))} MiB`

function formatSeconds(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`
}
