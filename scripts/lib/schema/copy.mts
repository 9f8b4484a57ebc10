/** Statements that copy rows within the server: they take as long as their tables are large. */
import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { cannotTell, error, type Finding, reason, unknown } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { onCluster } from './cluster.mts'
import type { ViewText } from './ddl.mts'

/** Deadline of an INSERT SELECT as a whole: a day. What ends it is a server that no longer answers. */
const COPY_MS = 86_400_000
/** Milliseconds between two looks at how far it is. */
const WATCH_MS = 500

export interface PatientOptions {
  /** Longest silence of the server when asked for the progress. */
  timeoutMs: number
  /** Receives the number of rows read so far. */
  show?: (rows: number) => void
}

/**
 * Runs one statement as long as the server answers: `use` gives it to the client, with what it is watched and ended by.
 * @throws {OpsError} exit code 3 when the server stops answering, 1 with the server's message when it fails
 */
async function patiently<T>(
  settings: Settings,
  { timeoutMs, show }: PatientOptions,
  use: (client: ClickHouseClient, watched: { query_id: string; abort_signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const [queryId, silence] = [randomUUID(), new AbortController()]
  return withClickHouse(settings, timeoutMs, async (client) => {
    let asking = false
    const look = async () => {
      const query = `SELECT read_rows AS rows FROM system.processes WHERE query_id = '${queryId}'`
      const [at] = await readRows<{ rows: string }>(client, query)
      if (at) show?.(Number(at.rows))
    }
    const watch = setInterval(() => {
      if (asking) return
      asking = true
      look()
        .catch((failure: unknown) => silence.abort(failure))
        .finally(() => {
          asking = false
        })
    }, WATCH_MS)
    try {
      return await withClickHouse(settings, COPY_MS, (patient) =>
        use(patient, { query_id: queryId, abort_signal: silence.signal }),
      )
    } catch (failure) {
      if (!silence.signal.aborted) throw failure
      const subject = `clickhouse ${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
      const found = `no answer within ${timeoutMs / 1000} s during the copy (${reason(silence.signal.reason)})`
      throw cannotTell(unknown('CLICKHOUSE_UNREACHABLE', subject, { found, hint: 'npm run health' }), failure)
    } finally {
      clearInterval(watch)
    }
  })
}

/**
 * Runs an INSERT SELECT as long as the server answers.
 * @returns the number of rows written
 * @throws {OpsError} as {@link patiently}
 */
export const copyRows = (settings: Settings, query: string, options: PatientOptions): Promise<number> =>
  patiently(settings, options, async (client, watched) => {
    const { summary } = await client.command({ query, ...watched, clickhouse_settings: { wait_end_of_query: 1 } })
    return Number(summary?.written_rows)
  })

/** The rows that a query answers, which may read a whole table. @throws {OpsError} as {@link patiently} */
export const readSlowly = <T,>(settings: Settings, query: string, options: PatientOptions): Promise<T[]> =>
  patiently(settings, options, async (client, watched) =>
    (await client.query({ query, format: 'JSONEachRow', ...watched })).json<T>(),
  )

/**
 * Passes the existing rows through a view as new ones will pass, then removes the comment that says this is still to be done. Rows that
 * arrive meanwhile pass twice, and all do after an interruption, so every view of clickhouse/init must give the same result when repeated.
 * @returns on a cluster whose servers have such rows: a finding that says so, for each server can only pass on its own
 */
export async function fillView(
  client: ClickHouseClient,
  settings: Settings,
  { name, target, query }: ViewText,
  timeoutMs: number,
): Promise<Finding | undefined> {
  const { CLICKHOUSE_CLUSTER: cluster, CLICKHOUSE_DATABASE: database } = settings
  const unmarked = onCluster(`ALTER TABLE ${name} MODIFY COMMENT ''`, cluster)
  const columns = await readRows<{ name: string }>(
    client,
    'SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {name:String} ORDER BY position',
    { name },
  )
  const names = columns.map((column) => column.name)
  const insert = `INSERT INTO ${target.replace('TO ', '')} (${names.join(', ')}) ${query}`
  if (cluster) {
    const source = / FROM (\w+)/.exec(query)?.[1] ?? ''
    const count = `SELECT count() AS rows FROM cluster('${cluster}', ${database}.${source})`
    const [counted] = await readRows<{ rows: string }>(client, count)
    if (Number(counted?.rows) > 0) {
      const found = `${counted?.rows} rows of before it on the shards, which have not passed it`
      const hint = `on one server of each shard: ${insert}; then: ${unmarked}`
      return error('SCHEMA_NOT_FILLED', name, { found, hint })
    }
  } else await copyRows(settings, insert, { timeoutMs })
  await client.command({ query: unmarked })
  return undefined
}
