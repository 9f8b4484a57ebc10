/** The one place that talks to ClickHouse: client, errors, and the files of clickhouse/init. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { ROOT, type Settings } from './settings.mts'

/**
 * A client for the market database, logged in as CLICKHOUSE_USER. Close it when done.
 * @param timeoutMs deadline of each request
 */
export async function connectClickHouse(settings: Settings, timeoutMs: number): Promise<ClickHouseClient> {
  const { ClickHouseLogLevel, createClient } = await import('@clickhouse/client')
  return createClient({
    url: `http://${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`,
    username: settings.CLICKHOUSE_USER,
    password: settings.CLICKHOUSE_PASSWORD,
    database: settings.CLICKHOUSE_DATABASE,
    request_timeout: timeoutMs,
    // Failures are told by our findings; the client's own log would say them a second time.
    log: { level: ClickHouseLogLevel.OFF },
  })
}

/**
 * Creates the market database and runs every file of clickhouse/init in it, one statement each, in the order of their names,
 * as the image's entrypoint does on an empty volume. Each creates what is missing and leaves what is there.
 */
export async function applyInitFiles(settings: Settings): Promise<void> {
  const server = await connectClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'default' }, 30_000)
  try {
    await server.command({ query: `CREATE DATABASE IF NOT EXISTS ${settings.CLICKHOUSE_DATABASE}` })
  } finally {
    await server.close()
  }
  const client = await connectClickHouse(settings, 30_000)
  try {
    for (const query of initStatements()) await client.command({ query })
  } finally {
    await client.close()
  }
}

/** The statements of clickhouse/init, one a file, in the order of the file names. */
function initStatements(): string[] {
  const folder = path.join(ROOT, 'clickhouse', 'init')
  return readdirSync(folder)
    .sort()
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
}

/** The names of the tables and views that clickhouse/init declares. */
export function declaredTables(): string[] {
  return initStatements().flatMap((statement) => /^CREATE [A-Z ]+ IF NOT EXISTS (\w+)/m.exec(statement)?.[1] ?? [])
}
