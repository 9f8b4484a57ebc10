/** Keeps the roll-ups correct while rows are archived and restored. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import type { TableName } from './table.mts'

const ROLLUP: Partial<Record<TableName, 'bars' | 'book'>> = { market_ticks: 'bars', market_l2: 'book' }

const list = (days: readonly string[]) => days.map((day) => `'${day}'`).join(', ')

/**
 * Whether the bars of these days are rolled up. Bars outlive their trades, so they must be complete before the trades are dropped. Books are
 * deleted with their events, as by a retention, because without events a book is exact only at the end of a minute.
 */
export async function isRolledUp(
  client: ClickHouseClient,
  table: TableName,
  days: readonly string[],
): Promise<boolean> {
  if (ROLLUP[table] !== 'bars') return true
  const stale = await readRows(
    client,
    `SELECT bucket FROM market_rollup_state FINAL
     WHERE rollup = 'bars' AND toDate(bucket) IN (${list(days)}) AND computed_at <= inserted_at + INTERVAL 10 SECOND LIMIT 1`,
  )
  return stale.length === 0
}

/** Marks the roll-ups of these days as stale, so that they are computed again. Until then, the views read the rows themselves. */
export async function markStale(client: ClickHouseClient, table: TableName, days: readonly string[]): Promise<void> {
  const rollup = ROLLUP[table]
  if (rollup === undefined) return
  await client.command({
    query: `INSERT INTO market_rollup_state (rollup, bucket, inserted_at)
            SELECT DISTINCT '${rollup}', toStartOfFiveMinutes(timestamp), now64(6, 'UTC') FROM ${table}
            WHERE toDate(timestamp) IN (${list(days)})`,
  })
}

/** Deletes the rolled-up books of these days. */
export async function deleteBooks(client: ClickHouseClient, table: TableName, days: readonly string[]): Promise<void> {
  if (ROLLUP[table] !== 'book') return
  const query = `DELETE FROM market_book_1m WHERE toDate(minute) IN (${list(days)})`
  await client.command({ query, clickhouse_settings: { lightweight_deletes_sync: '2' } })
}

/** Updates market_l1_latest with the quotes of `from`. Quotes older than the stored ones change nothing. */
export async function keepLatest(client: ClickHouseClient, table: TableName, from: string): Promise<void> {
  if (table !== 'market_l1') return
  const view = 'market_l1_latest_insert'
  const [found] = await readRows<{ query: string; columns: string[] }>(
    client,
    `SELECT as_select AS query,
       (SELECT groupArray(name) FROM (SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '${view}' ORDER BY position)) AS columns
     FROM system.tables WHERE database = currentDatabase() AND name = '${view}'`,
  )
  if (!found) return
  const query = found.query.replace(/\bmarket_l1\b/g, () => from)
  await client.command({ query: `INSERT INTO market_l1_latest (${found.columns.join(', ')}) ${query}` })
}
