/** Runs statements that copy or read whole tables inside the server and may take hours. */
import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { cannotTell, error, type Finding, reason, unknown } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { onCluster } from './cluster.mts'
import type { ViewText } from './ddl.mts'

/** Deadline of the whole statement: one day. In practice, a server that stops answering ends it earlier. */
const STATEMENT_MS = 86_400_000
/** Milliseconds between two progress queries. */
const POLL_MS = 500

export interface LongQueryOptions {
  /** Deadline of each progress query. */
  timeoutMs: number
  /** Receives the number of rows read so far. */
  show?: (rows: number) => void
}

/**
 * Runs one statement for as long as the server answers progress queries.
 * @param use sends the statement with the given query id and abort signal
 * @throws {OpsError} exit code 3 when the server stops answering, 1 with the server's message when the statement fails
 */
async function runLong<T>(
  settings: Settings,
  { timeoutMs, show }: LongQueryOptions,
  use: (client: ClickHouseClient, options: { query_id: string; abort_signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const [queryId, silence] = [randomUUID(), new AbortController()]
  return withClickHouse(settings, timeoutMs, async (client) => {
    let polling = false
    const poll = async () => {
      const query = `SELECT read_rows AS rows FROM system.processes WHERE query_id = '${queryId}'`
      const [progress] = await readRows<{ rows: string }>(client, query)
      if (progress) show?.(Number(progress.rows))
    }
    const timer = setInterval(() => {
      if (polling) return
      polling = true
      poll()
        .catch((failure: unknown) => silence.abort(failure))
        .finally(() => {
          polling = false
        })
    }, POLL_MS)
    try {
      return await withClickHouse(settings, STATEMENT_MS, (runner) =>
        use(runner, { query_id: queryId, abort_signal: silence.signal }),
      )
    } catch (failure) {
      if (!silence.signal.aborted) throw failure
      const subject = `clickhouse ${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
      const found = `no answer within ${timeoutMs / 1000} s during the copy (${reason(silence.signal.reason)})`
      throw cannotTell(unknown('CLICKHOUSE_UNREACHABLE', subject, { found, hint: 'npm run health' }), failure)
    } finally {
      clearInterval(timer)
    }
  })
}

/**
 * Runs an INSERT SELECT of any duration.
 * @returns the number of rows written
 * @throws {OpsError} as {@link runLong}
 */
export const copyRows = (settings: Settings, query: string, options: LongQueryOptions): Promise<number> =>
  runLong(settings, options, async (client, tracked) => {
    const { summary } = await client.command({ query, ...tracked, clickhouse_settings: { wait_end_of_query: 1 } })
    return Number(summary?.written_rows)
  })

/** Returns the rows of a query of any duration. @throws {OpsError} as {@link runLong} */
export const readLong = <T,>(settings: Settings, query: string, options: LongQueryOptions): Promise<T[]> =>
  runLong(settings, options, async (client, tracked) =>
    (await client.query({ query, format: 'JSONEachRow', ...tracked })).json<T>(),
  )

/**
 * Backfills a materialized view: inserts the existing rows of its source through its query, then removes the comment that marks the view
 * as unfilled. Rows that arrive meanwhile are inserted twice, and after an interruption all rows are, so every view of clickhouse/init must
 * be idempotent.
 * @returns a finding if the source has rows on a cluster, where each shard must be backfilled manually
 */
export async function fillView(
  client: ClickHouseClient,
  settings: Settings,
  { name, target, query }: ViewText,
  timeoutMs: number,
): Promise<Finding | undefined> {
  const { CLICKHOUSE_CLUSTER: cluster, CLICKHOUSE_DATABASE: database } = settings
  const unmark = onCluster(`ALTER TABLE ${name} MODIFY COMMENT ''`, cluster)
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
      const found = `${counted?.rows} existing rows on the shards that the view has not processed`
      const hint = `on one server of each shard: ${insert}; then: ${unmark}`
      return error('SCHEMA_NOT_FILLED', name, { found, hint })
    }
  } else await copyRows(settings, insert, { timeoutMs })
  await client.command({ query: unmark })
  return undefined
}
