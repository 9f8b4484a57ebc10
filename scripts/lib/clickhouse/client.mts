/** The one place that talks to ClickHouse: client, errors, and the files of clickhouse/. */
import { readdirSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import path from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { cannotTell, configError, error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { readTextFile } from '../common/text-file.mts'
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
    // Failures become findings; the client's own log would repeat them.
    log: { level: ClickHouseLogLevel.OFF },
  })
}

/**
 * What `use` makes of a client for the market database, which is closed afterwards.
 * @param timeoutMs deadline of each request
 * @throws {OpsError} exit code 3 when ClickHouse gives no answer, 2 when it refuses the login or has no such database, 1 with its own
 *   message when a statement fails
 */
export async function withClickHouse<T>(
  settings: Settings,
  timeoutMs: number,
  use: (client: ClickHouseClient) => Promise<T>,
): Promise<T> {
  const client = await connectClickHouse(settings, timeoutMs)
  try {
    return await use(client)
  } catch (failure) {
    throw explained(settings, failure, timeoutMs)
  } finally {
    await client.close()
  }
}

function explained(settings: Settings, failure: unknown, timeoutMs: number): unknown {
  const refusal = refusalOf(settings, failure)
  if (refusal) return configError([refusal])
  const { code = '', message = '' } = failure as { code?: string; message?: string }
  // The server's own error codes are numbers, those of the network words.
  if (/^\d+$/.test(code)) {
    const hint = 'docker logs l2_clickhouse, or .embedded/data/logs/clickhouse.log'
    return new OpsError(
      1,
      [error('CLICKHOUSE_ERROR', 'clickhouse', { found: `error ${code}: ${message}`, hint })],
      failure,
    )
  }
  if (code === '' && message !== 'Timeout error.') return failure
  const address = `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`
  const found = message === 'Timeout error.' ? `no answer within ${timeoutMs / 1000} s` : networkCause(failure)
  return cannotTell(unknown('CLICKHOUSE_UNREACHABLE', `clickhouse ${address}`, { found, hint: 'npm start' }), failure)
}

/** The finding for a refused login or a missing database; undefined for any other error. */
export function refusalOf(settings: Settings, failure: unknown): Omit<Finding, 'severity'> | undefined {
  switch ((failure as { code?: unknown }).code) {
    // AUTHENTICATION_FAILED
    case '516':
      return error('CLICKHOUSE_AUTH', 'clickhouse', {
        found: `login as ${settings.CLICKHOUSE_USER} (CLICKHOUSE_USER, CLICKHOUSE_PASSWORD) refused`,
        hint: 'set them in .env as the server was started with, or restart it with the new ones: docker-compose up -d clickhouse',
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

/**
 * The text of each SQL file of a folder of clickhouse/, in the order of the file names.
 * @throws {OpsError} exit code 2, naming the first file that cannot be read as text
 */
export function sqlFiles(folder: 'init' | 'ingest'): string[] {
  const files = readdirSync(path.join(ROOT, 'clickhouse', folder)).filter((file) => file.endsWith('.sql'))
  return files.sort().map((file) => {
    const subject = path.join('clickhouse', folder, file)
    try {
      return readTextFile(path.join(ROOT, subject)) ?? ''
    } catch (failure) {
      const hint = `git checkout ${subject}`
      throw configError([{ code: 'SQL_FILE', subject, found: reason(failure), expected: 'a text file', hint }])
    }
  })
}

/** The statements of clickhouse/init, one a file, in the order of the file names. */
export const initStatements = (): string[] => sqlFiles('init')
