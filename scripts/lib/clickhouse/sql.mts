/** SQL helpers. */
import type { ClickHouseClient } from '@clickhouse/client'

/** Returns a text as a quoted SQL string literal. */
export const sqlText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`

/** Settings that allow a statement to drop a table, partition or database of any size. */
export const ANY_SIZE = { max_table_size_to_drop: '0', max_partition_size_to_drop: '0' }

/** Drops a table of any size, if it exists. `SYNC` after its name waits until the data is removed. */
export async function dropTable(client: ClickHouseClient, table: string): Promise<void> {
  await client.command({ query: `DROP TABLE IF EXISTS ${table}`, clickhouse_settings: ANY_SIZE })
}
