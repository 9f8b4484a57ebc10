/** Parquet files, read by ClickHouse: it knows every encoding and codec, and no program here needs a library for them. */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { OpsError } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { COLUMNS, type Kind, kindOf } from './fields.mts'
import { messageOf } from './message.mts'
import { type Entry, entryOf, type Recording, unknownKind, unreadable } from './recording.mts'

/** Rows of one question to ClickHouse. */
const CHUNK_ROWS = 20_000
/** Milliseconds that ClickHouse gets to take in a file. */
const LOAD_MS = 600_000
/** Seconds without a question after which the server forgets the rows, its greatest; and milliseconds between signs of life. */
const SESSION_TIMEOUT_S = 3_600
const KEEP_ALIVE_MS = 600_000
/** The server's refusals that say nothing of the file: MEMORY_LIMIT_EXCEEDED, NOT_ENOUGH_SPACE. */
const OWN_TROUBLE = ['241', '243']

/**
 * A Parquet file as a recording. Its rows pass through a temporary table of the server's, which ends with the session.
 * @param kind what its rows are; without it, its columns decide
 */
export function readParquet(
  file: string,
  kind: Kind | undefined,
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
      // Told to who asked.
    })
    return answer
  }
  const ask = <T,>(query: string): Promise<T[]> =>
    use(async (client) => (await client.query({ query, format: 'JSONCompactEachRow', ...session })).json<T>())
  let [read, total] = [0, 0]
  async function* entries(): AsyncGenerator<Entry[]> {
    const columns = COLUMNS.map((name) => `${name} Nullable(String)`).join(', ')
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
        // The next question for rows meets the same failure, and tells it.
      })
    }, keepAliveMs).unref()
    try {
      const present = COLUMNS.map((name) => `count(${name})`).join(', ')
      const [counts = []] = await ask<number[]>(`SELECT count(), ${present} FROM recording`)
      total = Number(counts[0])
      const filled = COLUMNS.filter((_, index) => Number(counts[index + 1]) > 0)
      const rowKind = kind ?? kindOf(filled)
      if (total > 0 && !rowKind) throw unknownKind(file, filled)
      while (read < total && rowKind) {
        const rows = await ask<(string | null)[]>(
          `SELECT ${filled.join(', ')} FROM recording WHERE line > ${read} AND line <= ${read + CHUNK_ROWS} ORDER BY line`,
        )
        const first = read + 1
        yield rows.map((values, index) => {
          const row = Object.fromEntries(filled.map((name, at) => [name, values[at] ?? '']))
          return entryOf(file, first + index, () => messageOf(rowKind, row))
        })
        read += CHUNK_ROWS
      }
    } finally {
      clearInterval(keepAlive)
      await use((client) => client.command({ query: 'DROP TEMPORARY TABLE IF EXISTS recording', ...session }))
    }
  }
  return { file, entries: entries(), fraction: () => (total === 0 ? 0 : Math.min(1, read / total)) }
}

/** What the server says against a file; undefined for all that is no fault of it. */
function objectionOf(error: unknown): unknown {
  if (!(error instanceof OpsError) || error.exitCode !== 1) return undefined
  return OWN_TROUBLE.includes((error.cause as { code: string }).code) ? undefined : error.cause
}
