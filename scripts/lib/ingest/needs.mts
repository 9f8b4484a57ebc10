/** What the built-in ingest needs of the services. */
import type { ClickHouseClient } from '@clickhouse/client'
import { type Finding, OpsError } from '../common/findings.mts'
import { openCluster } from '../kafka/cluster.mts'
import type { Settings } from '../settings/settings.mts'
import { type Queue, queuesOf, type Statement, viewsOf } from './queues.mts'
import type { IngestObject } from './state.mts'

/**
 * The number of partitions that there are to read.
 * @param objects those of the ingest that are there
 * @throws {OpsError} exit code 1, naming everything that is missing or in the way
 */
export async function checkNeeds(
  client: ClickHouseClient,
  settings: Settings,
  statements: readonly Statement[],
  objects: readonly IngestObject[],
  timeoutMs: number,
): Promise<number> {
  const { partitions, findings } = await checkTopics(settings, queuesOf(statements), timeoutMs)
  const all = [...(await checkServer(client, settings, statements, objects)), ...findings]
  if (all.length > 0) throw new OpsError(1, all)
  return partitions
}

interface Table {
  name: string
  engine: string
  columns: string[]
}

async function checkServer(
  client: ClickHouseClient,
  settings: Settings,
  statements: readonly Statement[],
  objects: readonly IngestObject[],
): Promise<Finding[]> {
  const findings: Finding[] = []
  const answer = await client.query({
    query: `
      SELECT (SELECT groupArray(macro) FROM system.macros) AS macros,
             (SELECT groupArray((name, engine, columns)::Tuple(name String, engine String, columns Array(String)))
              FROM system.tables
              LEFT JOIN
              (
                  SELECT table AS name, groupArray(system.columns.name) AS columns
                  FROM system.columns WHERE database = currentDatabase() GROUP BY table
              ) AS described USING name
              WHERE database = currentDatabase()) AS tables`,
    format: 'JSONEachRow',
  })
  const [{ macros, tables } = { macros: [], tables: [] }] = await answer.json<{ macros: string[]; tables: Table[] }>()
  if (!macros.includes('l2_kafka')) {
    const found = 'a server that does not know where Kafka is'
    const hint = 'docker-compose up -d clickhouse, or: npm stop, then npm start'
    findings.push(lack('INGEST_CONFIG', 'clickhouse', found, 'clickhouse/config.d/ingest.xml', hint))
  }
  for (const { name, version } of statements) {
    const taken = tables.find((table) => table.name === name)
    if (!version || !taken || objects.some((object) => object.name === name)) continue
    const found = `a table of another's (${taken.engine})`
    const hint = `RENAME TABLE ${name} TO another_name`
    findings.push(lack('INGEST_NAME', name, found, 'no table of this name but the ingest’s own', hint))
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
    findings.push(lack('INGEST_TABLE', table, found, expected, 'npm run schema'))
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
        findings.push(lack('INGEST_TOPIC', name, 'no such topic', 'a topic to read', './scripts/create-topics.mts'))
      // The two small topics have one consumer, whatever the setting.
      else if (table !== 'market_messages' && settings.INGEST_CONSUMERS > count) {
        const found = `${count} partitions for ${settings.INGEST_CONSUMERS} consumers`
        const hint = `edit .env: INGEST_CONSUMERS=${count}`
        findings.push(lack('INGEST_CONSUMERS', name, found, 'a partition for each', hint))
      }
    }
  }
  return { partitions, findings }
}

function lack(code: string, subject: string, found: string, expected: string, hint: string): Finding {
  return { severity: 'error', code, subject, found, expected, hint }
}
