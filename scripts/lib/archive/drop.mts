/**
 * Drops archived partitions, and only what is proven. Dropping in place could take a row along that arrived a moment before. So a partition first
 * moves to a scratch table, which nobody writes to; there its rows are compared with the files, and there it is dropped, or it moves back.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { ANY_SIZE } from '../clickhouse/sql.mts'
import { error, type Finding } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { type Entry, entryOf } from './manifest.mts'
import { forgetBooks, isRolledUp, markStale } from './rollups.mts'
import type { Store } from './store.mts'
import { type Day, movePartition, partitionsOf, readDays, readScratch, type Table, withScratch } from './table.mts'

export interface Partition {
  partition: string
  days: Day[]
  rows: number
}

/** Longest wait for roll-ups: what was inserted last is due after 10 s, and every 5 s a run takes three hours' worth. */
const ROLLUP_MS = 120_000

/** The partitions that hold rows from a day on. */
export async function readOpen(client: ClickHouseClient, { name }: Table, from: string): Promise<Set<string>> {
  const query = `SELECT DISTINCT _partition_id AS partition FROM ${name} WHERE toDate(timestamp) >= '${from}'`
  return new Set((await readRows<{ partition: string }>(client, query)).map(({ partition }) => partition))
}

export function partitionsIn(days: readonly Day[]): Partition[] {
  const ids = [...new Set(days.map(({ partition }) => partition))]
  return ids.map((partition) => {
    const own = days.filter((day) => day.partition === partition)
    return { partition, days: own, rows: own.reduce((sum, { rows }) => sum + rows, 0) }
  })
}

/** Puts back what an interrupted run left outside of the table, and drops what one had read from a file. */
export async function tidyUp(client: ClickHouseClient, table: Table, log: (line: string) => void): Promise<void> {
  for (const scratch of await readScratch(client, table.name, 'in'))
    await client.command({ query: `DROP TABLE ${scratch}` })
  for (const scratch of await readScratch(client, table.name, 'out')) {
    const partitions = await partitionsOf(client, scratch)
    if (partitions.length > 0) log(`${table.name}: an interrupted run left ${partitions.join(', ')}: putting it back`)
    for (const partition of partitions) await moveBack(client, table, scratch, partition)
    await client.command({ query: `DROP TABLE IF EMPTY ${scratch}` })
  }
}

async function moveBack(client: ClickHouseClient, table: Table, scratch: string, partition: string): Promise<void> {
  const days = await readDays(client, table, { from: scratch, where: `_partition_id = '${partition}'` })
  await movePartition(client, scratch, partition, table.name)
  await markStale(
    client,
    table.name,
    days.map(({ day }) => day),
  )
}

/**
 * Drops a partition whose rows are those of the files.
 * @returns what kept it from that; undefined when it is dropped
 */
export async function dropProven(
  client: ClickHouseClient,
  table: Table,
  { partition, days }: Partition,
  { store, entries, hint }: { store: Store; entries: readonly Entry[]; hint: string },
): Promise<Finding | undefined> {
  const subject = `${table.name} ${partition}`
  const named = days.map(({ day }) => day)
  const proofs = new Map<string, Entry>()
  for (const day of named) {
    const sha256 = await store.sha256(table.name, day)
    const entry = sha256 === undefined ? undefined : entryOf(entries, day, sha256)
    if (!entry) return error('ARCHIVE_DAMAGED', store.nameOf(table.name, day), damaged(hint))
    proofs.set(day, entry)
  }
  const rolledUp = () => isRolledUp(client, table.name, named)
  const pending = () => error('ARCHIVE_ROLLUP', subject, { found: 'bars that are not rolled up yet: kept', hint })
  if (!(await waitUntil(rolledUp, { timeoutMs: ROLLUP_MS, pollMs: 1_000 }))) return pending()
  return withScratch(client, table, 'out', async (scratch) => {
    await movePartition(client, table.name, partition, scratch)
    const moved = await readDays(client, table, { from: scratch })
    const late = moved.find((day) => !isEqual(day, proofs.get(day.day) ?? { rows: 0, checksum: '' }))
    const missing = moved.length !== named.length
    if (late || missing || !(await rolledUp())) {
      await moveBack(client, table, scratch, partition)
      if (!late && !missing) return pending()
      const found = `${late?.rows ?? 0} rows on ${late?.day ?? named[0]}, which differ from the archive's: rows arrived, kept`
      return error('ARCHIVE_ROWS_ARRIVED', subject, { found, hint })
    }
    await forgetBooks(client, table.name, named)
    // For eight minutes UNDROP TABLE would bring it back.
    await client.command({ query: `DROP TABLE ${scratch}`, clickhouse_settings: ANY_SIZE })
    // What came meanwhile is rolled up again.
    await markStale(client, table.name, named)
    return undefined
  })
}

/** What a file is that no line of the manifest describes. */
export const damaged = (hint: string) => ({ found: 'a file that is missing, damaged, or not of this archive', hint })
