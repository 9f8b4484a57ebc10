/** Pieces of SQL that stand in a statement as text, and settings that several statements share. */
import type { ClickHouseClient } from '@clickhouse/client'

/** A text as SQL writes it, quoted. */
export const sqlText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`

/** Settings of a statement that drops a table, partition or database however large it is. */
export const ANY_SIZE = { max_table_size_to_drop: '0', max_partition_size_to_drop: '0' }

/** Drops a table if it is there, however large. `SYNC` after its name waits until it is gone. */
export async function dropTable(client: ClickHouseClient, table: string): Promise<void> {
  await client.command({ query: `DROP TABLE IF EXISTS ${table}`, clickhouse_settings: ANY_SIZE })
}
