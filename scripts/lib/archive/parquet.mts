/** Writes days of a table to Parquet files and reads them back one row group at a time, which bounds the server's memory. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { insertStream } from '../clickhouse/client.mts'
import { type Column, FINGERPRINT, type Fingerprint, names } from '../clickhouse/fingerprint.mts'
import { sqlText } from '../clickhouse/sql.mts'
import { readRowGroups } from './row-groups.mts'
import { ofDay, sum, type Table } from './table.mts'

/** Rows per row group, which ClickHouse holds in memory when it writes and reads: at most 225 MB for a day of 20 million rows, see docs/archive.md. */
const GROUP_ROWS = 250_000
/** Seconds of inactivity after which the server closes a session; the server's maximum. */
const SESSION_TIMEOUT_S = 3_600

/** Writes a day to `file`, sorted by symbol and time, and syncs it to disk. Returns its size and SHA-256. */
export async function writeParquet(client: ClickHouseClient, table: Table, day: string, file: string) {
  await mkdir(path.dirname(file), { recursive: true })
  const handle = await open(file, 'w')
  const hash = createHash('sha256')
  let bytes = 0
  try {
    const { stream } = await client.exec({
      query: `SELECT ${names(table.columns)} FROM ${table.name} ${table.final} WHERE ${ofDay(day)} ORDER BY symbol, timestamp
              FORMAT Parquet
              SETTINGS output_format_parquet_compression_method = 'zstd', output_format_parquet_row_group_size = ${GROUP_ROWS}`,
    })
    for await (const chunk of stream) {
      hash.update(chunk as Buffer)
      bytes += (chunk as Buffer).length
      await handle.appendFile(chunk as Buffer)
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Returns the fingerprint of a file's rows as ClickHouse reads them. */
export async function readBack(
  client: ClickHouseClient,
  file: string,
  columns: readonly Column[],
): Promise<Fingerprint> {
  const session = {
    session_id: randomUUID(),
    clickhouse_settings: { session_timeout: SESSION_TIMEOUT_S } as unknown as ClickHouseSettings,
  }
  const run = (query: string) => client.command({ query, ...session })
  await run('CREATE TEMPORARY TABLE read_back (rows Float64, checksum String) ENGINE = Memory')
  const into = `INSERT INTO read_back SELECT ${FINGERPRINT(columns)} FROM ${input(columns)} SETTINGS max_threads = 1 FORMAT Parquet`
  for (const group of await readRowGroups(file)) await insertStream(client, into, group.body(), session)
  const query = 'SELECT rows, checksum FROM read_back'
  const { data } = await (await client.query({ query, format: 'JSON', ...session })).json<Fingerprint>()
  await run('DROP TEMPORARY TABLE read_back')
  return sum(data)
}

/** Inserts the rows of a file into a scratch table, without deduplication. */
export async function insertFile(
  client: ClickHouseClient,
  file: string,
  columns: readonly Column[],
  to: string,
): Promise<void> {
  const into = `INSERT INTO ${to} (${names(columns)}) SETTINGS insert_deduplicate = 0, insert_allow_materialized_columns = 1,
                max_threads = 1 FORMAT Parquet`
  for (const group of await readRowGroups(file)) await insertStream(client, into, group.body())
}

const input = (columns: readonly Column[]) =>
  `input(${sqlText(columns.map(({ name, type }) => `\`${name}\` ${type}`).join(', '))})`
