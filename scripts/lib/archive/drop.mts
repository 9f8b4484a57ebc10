/**
 * Drops archived partitions after verifying them. Dropping a partition in place could delete a row that arrived a moment before. So the
 * partition first moves to a scratch table that nobody writes to. There it is compared with the files and dropped, or else moved back.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { ANY_SIZE } from '../clickhouse/sql.mts'
import { error, type Finding } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { type Entry, entryOf } from './manifest.mts'
import { deleteBooks, isRolledUp, markStale } from './rollups.mts'
import type { Store } from './store.mts'
import { type Day, movePartition, partitionsOf, readDays, readScratch, type Table, withScratch } from './table.mts'

export interface Partition {
  partition: string
  days: Day[]
  rows: number
}

/** Longest wait for roll-ups. New rows are rolled up after 10 s; every 5 s, a refresh rolls up three hours of data. */
const ROLLUP_MS = 120_000

/** Returns the partitions with rows of the day `from` or later. */
export async function readPartitionsSince(
  client: ClickHouseClient,
  { name }: Table,
  from: string,
): Promise<Set<string>> {
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

/** Cleans up after an interrupted run: moves partitions back into the table and drops scratch tables. */
export async function recover(client: ClickHouseClient, table: Table, log: (line: string) => void): Promise<void> {
  for (const scratch of await readScratch(client, table.name, 'in'))
    await client.command({ query: `DROP TABLE ${scratch}` })
  for (const scratch of await readScratch(client, table.name, 'out')) {
    const partitions = await partitionsOf(client, scratch)
    if (partitions.length > 0) log(`${table.name}: moving back ${partitions.join(', ')}, left by an interrupted run`)
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
 * Drops a partition if its rows equal those of the archived files.
 * @returns the reason why the partition was kept; undefined if it was dropped
 */
export async function dropVerified(
  client: ClickHouseClient,
  table: Table,
  { partition, days }: Partition,
  { store, entries, hint }: { store: Store; entries: readonly Entry[]; hint: string },
): Promise<Finding | undefined> {
  const subject = `${table.name} ${partition}`
  const named = days.map(({ day }) => day)
  const archived = new Map<string, Entry>()
  for (const day of named) {
    const sha256 = await store.sha256(table.name, day)
    const entry = sha256 === undefined ? undefined : entryOf(entries, day, sha256)
    if (!entry) return error('ARCHIVE_DAMAGED', store.nameOf(table.name, day), damaged(hint))
    archived.set(day, entry)
  }
  const rolledUp = () => isRolledUp(client, table.name, named)
  const pending = () =>
    error('ARCHIVE_ROLLUP', subject, { found: 'bars that are not rolled up yet; partition kept', hint })
  if (!(await waitUntil(rolledUp, { timeoutMs: ROLLUP_MS, pollMs: 1_000 }))) return pending()
  return withScratch(client, table, 'out', async (scratch) => {
    await movePartition(client, table.name, partition, scratch)
    const moved = await readDays(client, table, { from: scratch })
    const late = moved.find((day) => !isEqual(day, archived.get(day.day) ?? { rows: 0, checksum: '' }))
    const missing = moved.length !== named.length
    if (late || missing || !(await rolledUp())) {
      await moveBack(client, table, scratch, partition)
      if (!late && !missing) return pending()
      const found = `${late?.rows ?? 0} rows on ${late?.day ?? named[0]} that differ from the archive: rows arrived; partition kept`
      return error('ARCHIVE_ROWS_ARRIVED', subject, { found, hint })
    }
    await deleteBooks(client, table.name, named)
    // Without SYNC: UNDROP TABLE can restore the table for eight minutes.
    await client.command({ query: `DROP TABLE ${scratch}`, clickhouse_settings: ANY_SIZE })
    // Rows that arrived meanwhile must be rolled up again.
    await markStale(client, table.name, named)
    return undefined
  })
}

/** The finding for a file that matches no entry of the manifest. */
export const damaged = (hint: string) => ({
  found: 'a file that is missing, damaged, or not part of this archive',
  hint,
})
