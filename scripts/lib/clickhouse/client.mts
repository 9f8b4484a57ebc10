/** The one place that talks to ClickHouse: client and errors. */
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import type { Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { cannotTell, configError, error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { tlsMistake } from '../common/tls.mts'
import type { Settings } from '../settings/settings.mts'
import { boundExchanges, type Exchanges } from './response-limits.mts'

/**
 * A client for the market database, logged in as CLICKHOUSE_USER, and what bounds its exchanges. Close both when done.
 * @param timeoutMs deadline of each exchange
 */
async function connect(
  settings: Settings,
  timeoutMs: number,
  maxAnswerBytes?: number,
): Promise<{ client: ClickHouseClient; exchanges: Exchanges }> {
  const { ClickHouseLogLevel, createClient } = await import('@clickhouse/client')
  const host = isIPv6(settings.CLICKHOUSE_HOST) ? `[${settings.CLICKHOUSE_HOST}]` : settings.CLICKHOUSE_HOST
  const secure = settings.CLICKHOUSE_SECURE === 'true'
  const ca = settings.CLICKHOUSE_CA_CERT ? { ca: readFileSync(settings.CLICKHOUSE_CA_CERT) } : {}
  const exchanges = boundExchanges(timeoutMs, secure ? ca : undefined, maxAnswerBytes)
  const client = createClient({
    url: `http${secure ? 's' : ''}://${host}:${settings.CLICKHOUSE_PORT}`,
    username: settings.CLICKHOUSE_USER,
    password: settings.CLICKHOUSE_PASSWORD,
    database: settings.CLICKHOUSE_DATABASE,
    // Exchanges end before it, with the reason.
    request_timeout: timeoutMs + 1_000,
    http_agent: exchanges.agent,
    // Failures become findings; the client's own log would repeat them.
    log: { level: ClickHouseLogLevel.OFF },
  })
  return { client, exchanges }
}

/** Runs an INSERT whose rows are `values`, in its FORMAT, and returns when they are stored; fails with the client's own error. */
export async function insertStream(
  client: ClickHouseClient,
  query: string,
  values: Readable,
  options: { session_id?: string; clickhouse_settings?: ClickHouseSettings } = {},
): Promise<void> {
  const { stream } = await client.exec({ query, values, ...options })
  for await (const _ of stream) {
    // Read to its end: an error of the INSERT shows only then, and the connection is free for the next.
  }
}

/** As {@link withClickHouse}, for who keeps the client: errors are the client's own. */
export async function connectClickHouse(settings: Settings, timeoutMs: number): Promise<ClickHouseClient> {
  const { client, exchanges } = await connect(settings, timeoutMs)
  const close = client.close.bind(client)
  client.close = async () => {
    await close()
    exchanges.close()
  }
  return client
}

/**
 * What `use` makes of a client for the market database, which is closed afterwards.
 * @param timeoutMs deadline of each exchange
 * @param maxAnswerBytes of each answer: Infinity for streams that go to a file, else what no answer to a question comes near
 * @throws {OpsError} exit code 3 when ClickHouse gives no answer, 2 when it refuses the login or a right, has no such database, or TLS does not fit,
 *   1 with its own message when a statement fails
 */
export async function withClickHouse<T>(
  settings: Settings,
  timeoutMs: number,
  use: (client: ClickHouseClient) => Promise<T>,
  maxAnswerBytes?: number,
): Promise<T> {
  const { client, exchanges } = await connect(settings, timeoutMs, maxAnswerBytes)
  try {
    const result = await use(client)
    // A short answer can be complete before its connection ends.
    if (exchanges.ended()?.foreign) throw new Error('another server answered')
    return result
  } catch (failure) {
    throw await explained(settings, failure, exchanges.ended(), timeoutMs)
  } finally {
    await client.close()
    exchanges.close()
  }
}

/** The rows that a query answers, by the names of its columns; `values` fill its `{name:Type}` in. */
export async function readRows<T>(
  client: ClickHouseClient,
  query: string,
  values: Record<string, unknown> = {},
): Promise<T[]> {
  return (await client.query({ query, query_params: values, format: 'JSONEachRow' })).json<T>()
}

async function explained(
  settings: Settings,
  failure: unknown,
  ended: ReturnType<Exchanges['ended']>,
  timeoutMs: number,
): Promise<unknown> {
  if (failure instanceof OpsError) return failure
  const { code = '', message = '' } = failure as { code?: string; message?: string }
  // The server's own error codes are numbers, those of the network words.
  const isOwn = /^\d+$/.test(code)
  const target = {
    ...{ service: 'clickhouse' as const, host: settings.CLICKHOUSE_HOST, port: settings.CLICKHOUSE_PORT },
    ...{ secure: settings.CLICKHOUSE_SECURE === 'true', on: 'CLICKHOUSE_SECURE=true', off: 'CLICKHOUSE_SECURE=false' },
    ...{ hostVariable: 'CLICKHOUSE_HOST', caVariable: 'CLICKHOUSE_CA_CERT' },
  }
  const cause = ended ? new Error(ended.found) : failure
  const mistake = ended || (code && !isOwn) ? await tlsMistake(target, cause, timeoutMs) : undefined
  if (mistake) return configError([mistake])
  const silent = (found: string) => {
    const address = `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
    const hint = ended?.foreign ? 'npm run ports' : 'npm start'
    return cannotTell(unknown('CLICKHOUSE_UNREACHABLE', `clickhouse ${address}`, { found, hint }), cause)
  }
  if (ended) return silent(ended.found)
  // ALL_CONNECTION_TRIES_FAILED
  if (code === '279' && settings.CLICKHOUSE_CLUSTER !== '') {
    const found = `a server that does not answer: ${message.replaceAll(/\s/g, ' ').slice(0, 300)}`
    const subject = `clickhouse cluster ${settings.CLICKHOUSE_CLUSTER}`
    return cannotTell(unknown('CLICKHOUSE_UNREACHABLE', subject, { found, hint: 'npm run health' }), failure)
  }
  const refusal = refusalOf(settings, failure)
  if (refusal) return configError([refusal])
  if (isOwn) {
    const details = { found: `error ${code}: ${message}`, hint: './scripts/health-check.mts --only clickhouse' }
    return new OpsError(1, [error('CLICKHOUSE_ERROR', 'clickhouse', details)], failure)
  }
  return code === '' ? failure : silent(networkCause(failure))
}

/** The finding for a refused login or a missing database; undefined for any other error. */
export function refusalOf(settings: Settings, failure: unknown): Finding | undefined {
  switch ((failure as { code?: unknown }).code) {
    // AUTHENTICATION_FAILED
    case '516':
      return error('CLICKHOUSE_AUTH', 'clickhouse', {
        found: `login as ${settings.CLICKHOUSE_USER} (CLICKHOUSE_USER, CLICKHOUSE_PASSWORD) refused`,
        hint: 'set them in .env as the server was started with, or restart it with the new ones: docker-compose up -d clickhouse',
      })
    // ACCESS_DENIED
    case '497':
      return error('CLICKHOUSE_RIGHTS', 'clickhouse', {
        found: `not allowed: ${reason(failure).replaceAll(/\s/g, ' ').slice(0, 300)}`,
        expected: `what ${settings.CLICKHOUSE_USER} may do: databases whose name begins with ${settings.CLICKHOUSE_DB}`,
        hint: 'grep -n GRANT clickhouse/users.d/grants.xml; CLICKHOUSE_EXTRA_GRANTS in .env opens sources of data',
      })
    // CLUSTER_DOESNT_EXIST
    case '701':
      return error('CLICKHOUSE_CLUSTER', 'clickhouse', {
        found: `no cluster ${settings.CLICKHOUSE_CLUSTER}`,
        expected: 'one of system.clusters',
        hint: 'set CLICKHOUSE_CLUSTER, or leave it empty',
      })
    // UNKNOWN_DATABASE
    case '81':
      return error('CLICKHOUSE_DATABASE', 'clickhouse', {
        found: `no database ${settings.CLICKHOUSE_DATABASE}`,
        hint: 'npm run schema',
      })
    default:
      return undefined
  }
}
