/** What the built-in ingest needs of the services. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import type { Statement } from '../clickhouse/statements.mts'
import { error, type Finding, OpsError } from '../common/findings.mts'
import { openCluster } from '../kafka/cluster.mts'
import type { Settings } from '../settings/settings.mts'
import { type Queue, queuesOf, viewsOf } from './queues.mts'
import { IS_OURS } from './state.mts'

/**
 * The number of partitions that there are to read.
 * @throws {OpsError} exit code 1, naming everything that is missing or in the way
 */
export async function checkNeeds(
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
  /** Whether it is an object of the ingest. */
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
             (SELECT groupArray((name, engine, ${IS_OURS}, columns)::Tuple(name String, engine String, own Bool, columns Array(String)))
              FROM system.tables
              LEFT JOIN
              (
                  SELECT table AS name, groupArray(system.columns.name) AS columns
                  FROM system.columns WHERE database = currentDatabase() GROUP BY table
              ) AS described USING name
              WHERE database = currentDatabase()) AS tables`,
  )
  if (!macros.includes('l2_kafka')) {
    const found = 'the server does not know where Kafka is: it runs without clickhouse/config.d/ingest.xml'
    const hint = 'docker-compose up -d clickhouse, or: npm stop, then npm start'
    findings.push(error('INGEST_CONFIG', 'clickhouse', { found, hint }))
  }
  for (const { name, version } of statements) {
    const taken = tables.find((table) => table.name === name)
    if (!version || !taken || taken.own) continue
    const found = `the ingest needs this name, which a table of yours has (${taken.engine})`
    findings.push(error('INGEST_NAME', name, { found, hint: `RENAME TABLE ${name} TO another_name` }))
  }
  const made = statements.map(({ name }) => name)
  const views = viewsOf(statements).filter(({ table }) => !made.includes(table))
  for (const table of new Set(views.map((view) => view.table))) {
    const there = tables.find(({ name }) => name === table)?.columns
    const missing = views.flatMap((view) =>
      view.table === table ? view.columns.filter((column) => !there?.includes(column)) : [],
    )
    if (missing.length === 0) continue
    const found = there ? `no column ${[...new Set(missing)].join(', ')}` : 'no such table'
    const expected = `${table} in ${settings.CLICKHOUSE_DATABASE} as clickhouse/init says`
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
      // The two small topics have one consumer, whatever the setting.
      else if (table !== 'market_messages' && settings.INGEST_CONSUMERS > count) {
        const found = `${count} partitions for ${settings.INGEST_CONSUMERS} consumers`
        const hint = `edit .env: INGEST_CONSUMERS=${count}`
        findings.push(error('INGEST_CONSUMERS', name, { found, expected: 'a partition for each', hint }))
      }
    }
  }
  return { partitions, findings }
}
