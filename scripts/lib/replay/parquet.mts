/** Parquet files, read by ClickHouse: it knows every encoding and codec, and no program here needs a library for them. */
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

/** Rows of one question to ClickHouse. */
const CHUNK_ROWS = 20_000
/** Milliseconds that ClickHouse gets to take in a file. */
const LOAD_MS = 600_000
/** Seconds without a question after which the server forgets the rows, its greatest; and milliseconds between signs of life. */
const SESSION_TIMEOUT_S = 3_600
const KEEP_ALIVE_MS = 600_000
/** Bytes of the marks and the length that every Parquet file has. */
const MIN_BYTES = 12
/** The server's refusals that say nothing of the file: MEMORY_LIMIT_EXCEEDED, NOT_ENOUGH_SPACE. */
const OWN_TROUBLE = ['241', '243']

/**
 * A Parquet file as a recording. Its rows pass through a temporary table of the server's, which ends with the session.
 * A column that is no value, such as a list, is left out and reported.
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
  // One after the other: a session that is asked while it answers refuses (SESSION_IS_LOCKED).
  const use = <T,>(work: (client: ClickHouseClient) => Promise<T>): Promise<T> => {
    const answer = latest.then(() => withClickHouse(settings, LOAD_MS, work))
    latest = answer.catch(() => {
      // The caller gets the failure.
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
      options.log(`${file}: column ${name} left out: ${type} is no value`)
    const used = known.filter(({ isValue }) => isValue)
    const columns = used.map(({ name }) => `${name} Nullable(String)`).join(', ')
    const create = `CREATE TEMPORARY TABLE recording (line UInt64, ${columns}) ENGINE = MergeTree ORDER BY line`
    // Few rows at once: a file may be larger than the server's memory.
    const load = `
      INSERT INTO recording SELECT rowNumberInAllBlocks() + 1, * FROM input('${columns}')
      SETTINGS max_threads = 1, max_insert_threads = 1, input_format_parquet_preserve_order = 1,
        max_insert_block_size = ${CHUNK_ROWS}, min_insert_block_size_rows = ${CHUNK_ROWS}, input_format_parquet_max_block_size = 8192
      FORMAT Parquet`
    await use((client) => client.command({ query: create, ...session }))
    // Apart from what is sent, which breaks with the connection too: what breaks here is the file.
    const source = createReadStream(file)
    const values = new PassThrough()
    source.on('error', () => values.destroy()).pipe(values)
    try {
      await use((client) => client.exec({ query: load, values, ...session }))
    } catch (error) {
      const objection = source.errored ?? objectionOf(error)
      throw objection ? unreadable(file, objection) : error
    } finally {
      source.destroy()
    }
    const keepAlive = setInterval(() => {
      ask('SELECT 1').catch(() => {
        // The next question for rows meets the same failure and reports it.
      })
    }, keepAliveMs).unref()
    try {
      const present = used.map(({ name }) => `, count(${name})`).join('')
      const [counts = []] = await ask<string[]>(`SELECT count()${present} FROM recording`)
      total = Number(counts[0])
      // A table of several kinds has columns that are empty throughout.
      const filled = used.filter((_, index) => Number(counts[index + 1]) > 0)
      const rowKind = options.kind ?? kindOf(filled.map(({ name }) => name)) ?? kind
      // ClickHouse shows a time of UTC without an offset, as it shows one of no zone.
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
  /** Parquet's own word for what it holds. */
  type: string
  /** One value a row, not a list or a group. */
  isValue: boolean
  /** A time of UTC, not of a clock anywhere. */
  isUtc: boolean
}

/** The columns of a Parquet file, from its end. @throws {OpsError} exit code 2, when it is none or cannot be read */
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

/** What the server says against a file; undefined for all that is no fault of it. */
function objectionOf(error: unknown): unknown {
  if (!(error instanceof OpsError) || error.exitCode !== 1) return undefined
  return OWN_TROUBLE.includes((error.cause as { code: string }).code) ? undefined : error.cause
}
