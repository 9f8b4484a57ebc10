/** Statements that copy rows within the server: they take as long as their tables are large. */
import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { cannotTell, reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import type { ViewText } from './text.mts'

/** Of an INSERT SELECT as a whole, for want of a smaller one: what counts is that the server goes on answering. */
const COPY_MS = 86_400_000
/** Milliseconds between two looks at how far it is. */
const WATCH_MS = 500

interface CopyOptions {
  /** How long the server may give no answer about it. */
  timeoutMs: number
  /** Told how many rows were read so far. */
  show?: (rows: number) => void
}

/**
 * Runs an INSERT SELECT as long as the server answers.
 * @returns the number of rows that it wrote
 * @throws {OpsError} exit code 3 when the server answers no more, 1 with its own words when it fails
 */
export async function copyRows(settings: Settings, query: string, { timeoutMs, show }: CopyOptions): Promise<number> {
  const [queryId, silence] = [randomUUID(), new AbortController()]
  return withClickHouse(settings, timeoutMs, async (client) => {
    let asking = false
    const look = async () => {
      const query = `SELECT read_rows AS rows FROM system.processes WHERE query_id = '${queryId}'`
      const [at] = await (await client.query({ query, format: 'JSONEachRow' })).json<{ rows: string }>()
      if (at) show?.(Number(at.rows))
    }
    const watch = setInterval(() => {
      if (asking) return
      asking = true
      look()
        .catch((error: unknown) => silence.abort(error))
        .finally(() => {
          asking = false
        })
    }, WATCH_MS)
    try {
      return await withClickHouse(settings, COPY_MS, async (patient) => {
        const { summary } = await patient.command({
          query,
          query_id: queryId,
          abort_signal: silence.signal,
          clickhouse_settings: { wait_end_of_query: 1 },
        })
        return Number(summary?.written_rows)
      })
    } catch (error) {
      if (!silence.signal.aborted) throw error
      const subject = `clickhouse ${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
      const found = `no answer during the copying (${reason(silence.signal.reason)})`
      const expected = `a server that answers within ${timeoutMs / 1000} s`
      throw cannotTell({ code: 'CLICKHOUSE_UNREACHABLE', subject, found, expected, hint: 'npm run health' }, error)
    } finally {
      clearInterval(watch)
    }
  })
}

/**
 * Does for the rows that are there what a view does for those to come, and takes away the mark that says it is to be done. Rows that
 * arrive meanwhile are done twice, and after an interruption all are, so what clickhouse/init declares must come to the same when repeated.
 */
export async function fillView(
  client: ClickHouseClient,
  settings: Settings,
  { name, target, query }: ViewText,
  timeoutMs: number,
): Promise<void> {
  const columns = await client.query({
    query:
      'SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {name:String} ORDER BY position',
    query_params: { name },
    format: 'JSONEachRow',
  })
  const names = (await columns.json<{ name: string }>()).map((column) => column.name)
  const insert = `INSERT INTO ${target.replace('TO ', '')} (${names.join(', ')}) ${query}`
  await copyRows(settings, insert, { timeoutMs })
  await client.command({ query: `ALTER TABLE ${name} MODIFY COMMENT ''` })
}
