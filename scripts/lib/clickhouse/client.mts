/** The one place that talks to ClickHouse: client, errors, and the files of clickhouse/init. */
import { readdirSync, readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import path from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { cannotTell, configError, type Finding, OpsError, reason } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { ROOT, type Settings } from '../settings/settings.mts'

/**
 * A client for the market database, logged in as CLICKHOUSE_USER. Close it when done.
 * @param timeoutMs deadline of each request
 */
export async function connectClickHouse(settings: Settings, timeoutMs: number): Promise<ClickHouseClient> {
  const { ClickHouseLogLevel, createClient } = await import('@clickhouse/client')
  const host = isIPv6(settings.CLICKHOUSE_HOST) ? `[${settings.CLICKHOUSE_HOST}]` : settings.CLICKHOUSE_HOST
  return createClient({
    url: `http://${host}:${settings.CLICKHOUSE_PORT}`,
    username: settings.CLICKHOUSE_USER,
    password: settings.CLICKHOUSE_PASSWORD,
    database: settings.CLICKHOUSE_DATABASE,
    request_timeout: timeoutMs,
    // Failures are told by our findings; the client's own log would say them a second time.
    log: { level: ClickHouseLogLevel.OFF },
  })
}

/**
 * What `use` makes of a client for the market database, which is closed afterwards.
 * @param timeoutMs deadline of each request
 * @throws {OpsError} exit code 3 when ClickHouse gives no answer, 2 when it refuses the login or the right, or knows no such database, 1 with its own
 *   words when it cannot do what it is asked
 */
export async function withClickHouse<T>(
  settings: Settings,
  timeoutMs: number,
  use: (client: ClickHouseClient) => Promise<T>,
): Promise<T> {
  const client = await connectClickHouse(settings, timeoutMs)
  try {
    return await use(client)
  } catch (error) {
    throw explained(settings, error, timeoutMs)
  } finally {
    await client.close()
  }
}

const MEMORY_LIMIT_EXCEEDED = '241'

function explained(settings: Settings, error: unknown, timeoutMs: number): unknown {
  const refusal = refusalOf(settings, error)
  if (refusal) return configError([refusal])
  const { code = '', message = '' } = error as { code?: string; message?: string }
  // The server's own error codes are numbers, those of the network words.
  if (/^\d+$/.test(code)) {
    const hint =
      code === MEMORY_LIMIT_EXCEEDED
        ? 'raise CLICKHOUSE_MEMORY_LIMIT in .env, then: docker-compose up -d, or npm stop and npm start'
        : 'docker logs l2_clickhouse, or .embedded/data/logs/clickhouse.log'
    const finding = { code: 'CLICKHOUSE_ERROR', subject: 'clickhouse', found: `error ${code}: ${message}` }
    return new OpsError(1, [{ severity: 'error', ...finding, expected: 'a statement that succeeds', hint }], error)
  }
  if (code === '' && message !== 'Timeout error.') return error
  const address = `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
  const found = message === 'Timeout error.' ? 'no answer' : networkCause(error)
  const expected = `a server that answers within ${timeoutMs / 1000} s`
  return cannotTell(
    { code: 'CLICKHOUSE_UNREACHABLE', subject: `clickhouse ${address}`, found, expected, hint: 'npm start' },
    error,
  )
}

/** The finding that the server's refusal of a login or a database means; undefined for any other error. */
export function refusalOf(settings: Settings, error: unknown): Omit<Finding, 'severity'> | undefined {
  switch ((error as { code?: unknown }).code) {
    // AUTHENTICATION_FAILED
    case '516':
      return {
        code: 'CLICKHOUSE_AUTH',
        subject: 'clickhouse',
        found: `a refused login as ${settings.CLICKHOUSE_USER}`,
        expected: 'a login with CLICKHOUSE_USER and CLICKHOUSE_PASSWORD',
        hint: 'put the values into .env that the server was started with, or restart it with the new ones: docker-compose up -d clickhouse',
      }
    // ACCESS_DENIED
    case '497':
      return {
        code: 'CLICKHOUSE_RIGHTS',
        subject: 'clickhouse',
        found: reason(error).replace(/\s+/g, ' ').slice(0, 300),
        expected: `what ${settings.CLICKHOUSE_USER} may do: databases whose name begins with ${settings.CLICKHOUSE_DB}`,
        hint: 'grep -n GRANT clickhouse/users.d/grants.xml; sources of data are opened by CLICKHOUSE_EXTRA_GRANTS in .env',
      }
    // UNKNOWN_DATABASE
    case '81': {
      const expected = `the database ${settings.CLICKHOUSE_DATABASE}`
      return {
        code: 'CLICKHOUSE_DATABASE',
        subject: 'clickhouse',
        found: 'no such database',
        expected,
        hint: 'npm run schema',
      }
    }
    default:
      return undefined
  }
}

/** The statements of clickhouse/init, one a file, in the order of the file names. */
export function initStatements(): string[] {
  const folder = path.join(ROOT, 'clickhouse', 'init')
  return readdirSync(folder)
    .sort()
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
}
