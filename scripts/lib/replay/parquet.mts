/** Reads Parquet files with ClickHouse, which supports all encodings and codecs without another dependency. */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { OpsError } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { kindOfColumns } from './columns.mts'
import { COLUMNS } from './fields.mts'
import { kindOf } from './forms.mts'
import { messageOf } from './message.mts'
import { type Entry, entryOf, noteSymbol, type ReadOptions, type Recording, unreadable, usable } from './recording.mts'

/** Rows per query. */
const CHUNK_ROWS = 20_000
/** Milliseconds in which ClickHouse must load a file. */
const LOAD_MS = 600_000
/** Seconds without a query after which the server drops the session and its rows; the server's maximum. */
const SESSION_TIMEOUT_S = 3_600
const KEEP_ALIVE_MS = 600_000
/** Bytes of the smallest Parquet file: two magic numbers and the footer length. */
const MIN_BYTES = 12
/** Error codes of the server that the file does not cause: MEMORY_LIMIT_EXCEEDED, NOT_ENOUGH_SPACE. */
const SERVER_LIMITS = ['241', '243']

/**
 * Opens a Parquet file. Its rows pass through a temporary table, which exists until the server session ends. Skips and logs columns with
 * several values per row, such as lists.
 */
export function readParquet(
  file: string,
  options: ReadOptions,
  settings: Settings,
  keepAliveMs = KEEP_ALIVE_MS,
): Recording {
  const session = {
    session_id: randomUUID(),
    clickhouse_settings: { session_timeout: SESSION_TIMEOUT_S } as unknown as ClickHouseSettings,
  }
  let latest: Promise<unknown> = Promise.resolve()
  // One request at a time: a busy session refuses another one (SESSION_IS_LOCKED).
  const use = <T,>(work: (client: ClickHouseClient) => Promise<T>): Promise<T> => {
    const answer = latest.then(() => withClickHouse(settings, LOAD_MS, work))
    latest = answer.catch(() => {
      // `answer` reports the failure.
    })
    return answer
  }
  const ask = <T,>(query: string): Promise<T[]> =>
    use(async (client) => (await client.query({ query, format: 'JSONCompactEachRow', ...session })).json<T>())
  let [read, total] = [0, 0]
  async function* entries(): AsyncGenerator<Entry[]> {
    const schema = await schemaOf(file)
    const names = schema.map(({ name }) => name)
    const kind = kindOfColumns(file, names, options)
    noteSymbol(file, names, options)
    const known = schema.filter(({ name }) => COLUMNS.includes(name))
    for (const { name, type } of known.filter(({ isValue }) => !isValue))
      options.log(`${file}: skipping column ${name}: ${type} is not a single value`)
    const used = known.filter(({ isValue }) => isValue)
    const columns = used.map(({ name }) => `${name} Nullable(String)`).join(', ')
    const create = `CREATE TEMPORARY TABLE recording (line UInt64, ${columns}) ENGINE = MergeTree ORDER BY line`
    // Small blocks: a file may be larger than the server's memory.
    const load = `
      INSERT INTO recording SELECT rowNumberInAllBlocks() + 1, * FROM input('${columns}')
      SETTINGS max_threads = 1, max_insert_threads = 1, input_format_parquet_preserve_order = 1,
        max_insert_block_size = ${CHUNK_ROWS}, min_insert_block_size_rows = ${CHUNK_ROWS}, input_format_parquet_max_block_size = 8192
      FORMAT Parquet`
    await use((client) => client.command({ query: create, ...session }))
    // The PassThrough also fails with the connection; only errors of the source mean that the file cannot be read.
    const source = createReadStream(file)
    const values = new PassThrough()
    source.on('error', () => values.destroy()).pipe(values)
    try {
      await use((client) => client.exec({ query: load, values, ...session }))
    } catch (error) {
      const cause = source.errored ?? fileErrorOf(error)
      throw cause ? unreadable(file, cause) : error
    } finally {
      source.destroy()
    }
    const keepAlive = setInterval(() => {
      ask('SELECT 1').catch(() => {
        // The next query for rows fails in the same way and reports it.
      })
    }, keepAliveMs).unref()
    try {
      const present = used.map(({ name }) => `, count(${name})`).join('')
      const [counts = []] = await ask<string[]>(`SELECT count()${present} FROM recording`)
      total = Number(counts[0])
      // A table for several kinds has columns that are always empty.
      const filled = used.filter((_, index) => Number(counts[index + 1]) > 0)
      const rowKind = options.kind ?? kindOf(filled.map(({ name }) => name)) ?? kind
      // ClickHouse prints UTC times without an offset, like times without a zone.
      const values = filled.map(({ name, isUtc }) => (isUtc && options.zone ? `concat(${name}, 'Z')` : name)).join(', ')
      while (read < total) {
        const rows = await ask<(string | null)[]>(
          `SELECT ${values} FROM recording WHERE line > ${read} AND line <= ${read + CHUNK_ROWS} ORDER BY line`,
        )
        const first = read + 1
        yield rows.map((values, index) => {
          const row = Object.fromEntries(filled.map(({ name }, at) => [name, values[at] ?? '']))
          return entryOf(file, first + index, () => messageOf(rowKind, row, options))
        })
        read += CHUNK_ROWS
      }
    } finally {
      clearInterval(keepAlive)
      await use((client) => client.command({ query: 'DROP TEMPORARY TABLE IF EXISTS recording', ...session }))
    }
  }
  return { file, entries: usable(file, entries()), fraction: () => (total === 0 ? 0 : Math.min(1, read / total)) }
}

interface Column {
  name: string
  /** Parquet's name of the type. */
  type: string
  /** Whether it has a single value per row, unlike lists and groups. */
  isValue: boolean
  /** Whether it contains times in UTC, unlike local times of an unknown zone. */
  isUtc: boolean
}

/** Returns the columns of a Parquet file. @throws {OpsError} exit code 2, when it is not Parquet or cannot be read */
async function schemaOf(file: string): Promise<Column[]> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetSchema } = await import('hyparquet')
  try {
    const bytes = await asyncBufferFromFile(file)
    if (bytes.byteLength < MIN_BYTES) throw new RangeError('too short for Parquet')
    const { children } = parquetSchema(await parquetMetadataAsync(bytes))
    return children.map(({ element, children: parts }) => {
      const { name, type = 'group', logical_type: logical, converted_type: converted } = element
      return {
        name,
        type: logical?.type ?? converted ?? type,
        isValue: parts.length === 0 && element.repetition_type !== 'REPEATED',
        isUtc: logical?.type === 'TIMESTAMP' && logical.isAdjustedToUTC,
      }
    })
  } catch (error) {
    throw unreadable(file, error)
  }
}

/** Returns the server's error if the file caused it, else undefined. */
function fileErrorOf(error: unknown): unknown {
  if (!(error instanceof OpsError) || error.exitCode !== 1) return undefined
  return SERVER_LIMITS.includes((error.cause as { code: string }).code) ? undefined : error.cause
}
