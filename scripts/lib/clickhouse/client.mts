/** Connects to ClickHouse and turns its errors into findings. All access to ClickHouse goes through this module. */
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import type { Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { cannotTell, configError, error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { tlsMistake } from '../common/tls.mts'
import type { Settings } from '../settings/settings.mts'
import { boundExchanges, type Exchanges } from './response-limits.mts'

/** Milliseconds that a ping may take after an exchange was aborted. */
const PING_MS = 500

/**
 * Returns a client for the market database, authenticated as CLICKHOUSE_USER, and the limits on its exchanges. The caller must close both.
 * @param timeoutMs deadline of each exchange
 */
async function connect(
  settings: Settings,
  timeoutMs: number,
  maxResponseBytes?: number,
): Promise<{ client: ClickHouseClient; exchanges: Exchanges }> {
  const { ClickHouseLogLevel, createClient } = await import('@clickhouse/client')
  const host = isIPv6(settings.CLICKHOUSE_HOST) ? `[${settings.CLICKHOUSE_HOST}]` : settings.CLICKHOUSE_HOST
  const secure = settings.CLICKHOUSE_SECURE === 'true'
  const ca = settings.CLICKHOUSE_CA_CERT ? { ca: readFileSync(settings.CLICKHOUSE_CA_CERT) } : {}
  const exchanges = boundExchanges(timeoutMs, secure ? ca : undefined, maxResponseBytes)
  const client = createClient({
    url: `http${secure ? 's' : ''}://${host}:${settings.CLICKHOUSE_PORT}`,
    username: settings.CLICKHOUSE_USER,
    password: settings.CLICKHOUSE_PASSWORD,
    database: settings.CLICKHOUSE_DATABASE,
    // Longer than the limit of boundExchanges, which ends an exchange first and reports why.
    request_timeout: timeoutMs + 1_000,
    http_agent: exchanges.agent,
    // Failures become findings, so the client's log would only repeat them.
    log: { level: ClickHouseLogLevel.OFF },
  })
  return { client, exchanges }
}

/** Runs an INSERT with `values` as its data, in the query's FORMAT. Resolves when the rows are stored; rejects with the client's error. */
export async function insertStream(
  client: ClickHouseClient,
  query: string,
  values: Readable,
  options: { session_id?: string; clickhouse_settings?: ClickHouseSettings } = {},
): Promise<void> {
  const { stream } = await client.exec({ query, values, ...options })
  for await (const _ of stream) {
    // Drain the stream: only then do INSERT errors surface and is the connection free for the next request.
  }
}

/** Returns a client that the caller must close. Unlike with {@link withClickHouse}, errors are the client's. */
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
 * Runs `use` with a client for the market database, closes the client and returns the result.
 * @param timeoutMs deadline of each exchange
 * @param maxResponseBytes limit for each response; Infinity for streams that go to a file
 * @throws {OpsError} exit code 3 when ClickHouse does not answer; 2 when it refuses the credentials, a privilege is missing, the database does
 *   not exist, or the TLS settings do not match; 1 with ClickHouse's message when a statement fails
 */
export async function withClickHouse<T>(
  settings: Settings,
  timeoutMs: number,
  use: (client: ClickHouseClient) => Promise<T>,
  maxResponseBytes?: number,
): Promise<T> {
  const { client, exchanges } = await connect(settings, timeoutMs, maxResponseBytes)
  try {
    const result = await use(client)
    // A short response can be complete before its connection is destroyed.
    if (exchanges.ended()?.foreign) throw new Error('another server answered')
    return result
  } catch (failure) {
    throw await explained(settings, failure, exchanges.ended(), timeoutMs)
  } finally {
    await client.close()
    exchanges.close()
  }
}

/** Returns the rows of a query, keyed by column name. `values` are its parameters: `{name:Type}`. */
export async function readRows<T>(
  client: ClickHouseClient,
  query: string,
  values: Record<string, unknown> = {},
): Promise<T[]> {
  return (await client.query({ query, query_params: values, format: 'JSONEachRow' })).json<T>()
}

/** Returns whether ClickHouse is up, although an exchange was aborted: too slow, or too large. */
async function answersPing(settings: Settings): Promise<boolean> {
  const client = await connectClickHouse(settings, PING_MS)
  try {
    return (await client.ping()).success
  } finally {
    await client.close()
  }
}

async function explained(
  settings: Settings,
  failure: unknown,
  ended: ReturnType<Exchanges['ended']>,
  timeoutMs: number,
): Promise<unknown> {
  if (failure instanceof OpsError) return failure
  const { code = '', message = '' } = failure as { code?: string; message?: string }
  // ClickHouse's error codes are numbers; network errors have words.
  const isServerError = /^\d+$/.test(code)
  const target = {
    ...{ service: 'clickhouse' as const, host: settings.CLICKHOUSE_HOST, port: settings.CLICKHOUSE_PORT },
    ...{ secure: settings.CLICKHOUSE_SECURE === 'true', on: 'CLICKHOUSE_SECURE=true', off: 'CLICKHOUSE_SECURE=false' },
    ...{ hostVariable: 'CLICKHOUSE_HOST', caVariable: 'CLICKHOUSE_CA_CERT' },
  }
  const cause = ended ? new Error(ended.found) : failure
  const mistake = ended || (code && !isServerError) ? await tlsMistake(target, cause, timeoutMs) : undefined
  if (mistake) return configError([mistake])
  const silent = (found: string, hint = 'npm start') => {
    const address = `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
    return cannotTell(unknown('CLICKHOUSE_UNREACHABLE', `clickhouse ${address}`, { found, hint }), cause)
  }
  if (ended?.foreign) return silent(ended.found, 'npm run ports')
  if (ended && (await answersPing(settings)))
    return silent(`${ended.found}; the server is up and answers a ping`, './scripts/health-check.mts --only clickhouse')
  if (ended) return silent(ended.found)
  // ALL_CONNECTION_TRIES_FAILED
  if (code === '279' && settings.CLICKHOUSE_CLUSTER !== '') {
    const found = `a server that does not answer: ${message.replaceAll(/\s/g, ' ').slice(0, 300)}`
    const subject = `clickhouse cluster ${settings.CLICKHOUSE_CLUSTER}`
    return cannotTell(unknown('CLICKHOUSE_UNREACHABLE', subject, { found, hint: 'npm run health' }), failure)
  }
  const refusal = refusalOf(settings, failure)
  if (refusal) return configError([refusal])
  if (isServerError) {
    const details = { found: `error ${code}: ${message}`, hint: './scripts/health-check.mts --only clickhouse' }
    return new OpsError(1, [error('CLICKHOUSE_ERROR', 'clickhouse', details)], failure)
  }
  return code === '' ? failure : silent(networkCause(failure))
}

/** Returns the finding for a refused login, a missing privilege, cluster or database; undefined for any other error. */
export function refusalOf(settings: Settings, failure: unknown): Finding | undefined {
  switch ((failure as { code?: unknown }).code) {
    // AUTHENTICATION_FAILED
    case '516':
      return error('CLICKHOUSE_AUTH', 'clickhouse', {
        found: `login as ${settings.CLICKHOUSE_USER} (CLICKHOUSE_USER, CLICKHOUSE_PASSWORD) refused`,
        hint: 'set them in .env to the values that the server was started with, or restart it with the new ones: docker-compose up -d clickhouse',
      })
    // ACCESS_DENIED
    case '497':
      return error('CLICKHOUSE_RIGHTS', 'clickhouse', {
        found: `not allowed: ${reason(failure).replaceAll(/\s/g, ' ').slice(0, 300)}`,
        expected: `a privilege of ${settings.CLICKHOUSE_USER}, which may use databases whose name begins with ${settings.CLICKHOUSE_DB}`,
        hint: 'grep -n GRANT clickhouse/users.d/grants.xml; CLICKHOUSE_EXTRA_GRANTS in .env grants data sources',
      })
    // CLUSTER_DOESNT_EXIST
    case '701':
      return error('CLICKHOUSE_CLUSTER', 'clickhouse', {
        found: `no cluster ${settings.CLICKHOUSE_CLUSTER}`,
        expected: 'one of system.clusters',
        hint: 'correct CLICKHOUSE_CLUSTER in .env, or leave it empty',
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
