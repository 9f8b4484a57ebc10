/** Checks the requirements of the built-in ingest. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import type { Statement } from '../clickhouse/statements.mts'
import { error, type Finding, OpsError } from '../common/findings.mts'
import { openCluster } from '../kafka/cluster.mts'
import type { Settings } from '../settings/settings.mts'
import { type Queue, queuesOf, viewsOf } from './queues.mts'
import { IS_INGEST_OBJECT } from './state.mts'

/**
 * Verifies that Kafka and ClickHouse meet the requirements of the ingest, and returns the number of partitions to read.
 * @throws {OpsError} exit code 1, naming everything that is missing or conflicts
 */
export async function checkRequirements(
  client: ClickHouseClient,
  settings: Settings,
  statements: readonly Statement[],
  timeoutMs: number,
): Promise<number> {
  const { partitions, findings } = await checkTopics(settings, queuesOf(statements), timeoutMs)
  const all = [...(await checkServer(client, settings, statements)), ...findings]
  if (all.length > 0) throw new OpsError(1, all)
  return partitions
}

interface Table {
  name: string
  engine: string
  /** Whether it belongs to the ingest. */
  own: boolean
  columns: string[]
}

async function checkServer(
  client: ClickHouseClient,
  settings: Settings,
  statements: readonly Statement[],
): Promise<Finding[]> {
  const findings: Finding[] = []
  const [{ macros, tables } = { macros: [], tables: [] }] = await readRows<{ macros: string[]; tables: Table[] }>(
    client,
    `
      SELECT (SELECT groupArray(macro) FROM system.macros) AS macros,
             (SELECT groupArray((name, engine, ${IS_INGEST_OBJECT}, columns)::Tuple(name String, engine String, own Bool, columns Array(String)))
              FROM system.tables
              LEFT JOIN
              (
                  SELECT table AS name, groupArray(system.columns.name) AS columns
                  FROM system.columns WHERE database = currentDatabase() GROUP BY table
              ) AS described USING name
              WHERE database = currentDatabase()) AS tables`,
  )
  if (!macros.includes('l2_kafka')) {
    const found = 'the server does not know the address of Kafka: it runs without clickhouse/config.d/ingest.xml'
    const hint = 'docker-compose up -d clickhouse, or: npm stop, then npm start'
    findings.push(error('INGEST_CONFIG', 'clickhouse', { found, hint }))
  }
  for (const { name, version } of statements) {
    const taken = tables.find((table) => table.name === name)
    if (!version || !taken || taken.own) continue
    const found = `a table of yours (${taken.engine}) has a name that the ingest needs`
    findings.push(error('INGEST_NAME', name, { found, hint: `RENAME TABLE ${name} TO another_name` }))
  }
  const created = statements.map(({ name }) => name)
  const views = viewsOf(statements).filter(({ table }) => !created.includes(table))
  for (const table of new Set(views.map((view) => view.table))) {
    const existing = tables.find(({ name }) => name === table)?.columns
    const missing = views.flatMap((view) =>
      view.table === table ? view.columns.filter((column) => !existing?.includes(column)) : [],
    )
    if (missing.length === 0) continue
    const found = existing ? `no column ${[...new Set(missing)].join(', ')}` : 'no such table'
    const expected = `${table} in ${settings.CLICKHOUSE_DATABASE} as declared in clickhouse/init`
    findings.push(error('INGEST_TABLE', table, { found, expected, hint: 'npm run schema' }))
  }
  return findings
}

async function checkTopics(
  settings: Settings,
  queues: readonly Queue[],
  timeoutMs: number,
): Promise<{ partitions: number; findings: Finding[] }> {
  const cluster = await openCluster(settings, { timeoutMs })
  cluster.close()
  const findings: Finding[] = []
  let partitions = 0
  for (const { topics, table } of queues) {
    for (const name of topics) {
      const count = cluster.metadata.topics.find((topic) => topic.name === name)?.partitions.length ?? 0
      partitions += count
      if (count === 0)
        findings.push(error('INGEST_TOPIC', name, { found: 'no such topic', hint: './scripts/create-topics.mts' }))
      // The topics of market_messages always have one consumer.
      else if (table !== 'market_messages' && settings.INGEST_CONSUMERS > count) {
        const found = `${count} partitions for ${settings.INGEST_CONSUMERS} consumers`
        const hint = `edit .env: INGEST_CONSUMERS=${count}`
        findings.push(error('INGEST_CONSUMERS', name, { found, expected: 'at least one partition per consumer', hint }))
      }
    }
  }
  return { partitions, findings }
}
