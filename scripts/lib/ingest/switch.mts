/** Switches the built-in ingest on and off. */
import type { ClickHouseClient } from '@clickhouse/client'
import { type Finding, OpsError, reason } from '../findings.mts'
import { openCluster, openKafkajs } from '../kafka.mts'
import type { Settings } from '../settings.mts'
import { waitUntil } from '../wait.mts'
import { dismissMembers } from './groups.mts'
import { type IngestState, judgeObjects, readObjects } from './state.mts'
import { ingestStatements, type Queue, queuesOf } from './statements.mts'

export interface SwitchOptions {
  timeoutMs: number
  log: (line: string) => void
}

export interface Switched {
  before: IngestState
  /** Names of the objects created or dropped, in order. */
  changed: string[]
}

/**
 * Makes the built-in ingest read the topics, from where it stood: what is missing or differs from clickhouse/ingest is made anew.
 * @param options.skipBacklog begin with what is sent from now on, where nothing was read before
 * @throws {OpsError} exit code 1 when the services lack what it needs, or it does not come to read in time; 3 when one does not answer
 */
export async function switchOn(
  client: ClickHouseClient,
  settings: Settings,
  { timeoutMs, log, skipBacklog = false }: SwitchOptions & { skipBacklog?: boolean },
): Promise<Switched> {
  const statements = ingestStatements(settings)
  const queues = queuesOf(statements)
  const objects = await readObjects(client)
  const { state: before } = judgeObjects(statements, objects)
  const partitions = await checkNeeds(client, settings, queues, timeoutMs)
  const changed: string[] = []
  if (before !== 'on') {
    await dropAll(
      client,
      settings,
      objects.map(({ name }) => name),
      timeoutMs,
    )
    if (skipBacklog) await commitEnds(settings, queues, timeoutMs)
    for (const { name, sql, version } of statements) {
      await client.command({ query: sql })
      if (version) changed.push(name)
    }
    log(`Waiting until all ${partitions} partitions are read`)
  }
  await waitForAssignment(client, partitions, timeoutMs)
  return { before, changed }
}

/**
 * Makes the built-in ingest read nothing more. What it has stored stays, and so do its offsets.
 * @throws {OpsError} exit code 3 when Kafka does not answer, after it is off: only that its groups end at once is then not so
 */
export async function switchOff(client: ClickHouseClient, settings: Settings, timeoutMs: number): Promise<Switched> {
  const objects = await readObjects(client)
  const { state: before } = judgeObjects(ingestStatements(settings), objects)
  const changed = objects.map(({ name }) => name)
  await dropAll(client, settings, changed, timeoutMs)
  return { before, changed }
}

/** SYNC: a name is free at once, and a Kafka table has stored or given up its last block. */
async function dropAll(
  client: ClickHouseClient,
  settings: Settings,
  names: readonly string[],
  timeoutMs: number,
): Promise<void> {
  if (names.length === 0) return
  for (const name of names) await client.command({ query: `DROP TABLE IF EXISTS ${name} SYNC` })
  const groups = queuesOf(ingestStatements(settings)).map(({ group }) => group)
  await dismissMembers(settings, groups, timeoutMs)
}

/** The number of partitions that there are to read. @throws {OpsError} exit code 1, naming everything that is missing */
async function checkNeeds(
  client: ClickHouseClient,
  settings: Settings,
  queues: readonly Queue[],
  timeoutMs: number,
): Promise<number> {
  const findings: Finding[] = []
  const lack = (code: string, subject: string, found: string, expected: string, hint: string) =>
    findings.push({ severity: 'error', code, subject, found, expected, hint })
  const answer = await client.query({
    query: `
      SELECT (SELECT groupArray(macro) FROM system.macros) AS macros,
             (SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()) AS tables`,
    format: 'JSONEachRow',
  })
  const [seen] = await answer.json<{ macros: string[]; tables: string[] }>()
  if (!seen?.macros.includes('l2_kafka')) {
    const hint = 'docker-compose up -d clickhouse, or: npm stop, then npm start'
    lack(
      'INGEST_CONFIG',
      'clickhouse',
      'a server that does not know where Kafka is',
      'clickhouse/config.d/ingest.xml',
      hint,
    )
  }
  for (const { table } of queues.filter(({ table }) => table !== 'market_messages' && !seen?.tables.includes(table)))
    lack('INGEST_TABLE', table, 'no such table', `${table} in ${settings.CLICKHOUSE_DATABASE}`, 'npm run schema')
  const cluster = await openCluster(settings, { timeoutMs })
  cluster.close()
  let partitions = 0
  for (const { topics, table } of queues) {
    for (const name of topics) {
      const count = cluster.metadata.topics.find((topic) => topic.name === name)?.partitions.length ?? 0
      partitions += count
      if (count === 0) lack('INGEST_TOPIC', name, 'no such topic', 'a topic to read', './scripts/create-topics.mts')
      // The two small topics have one consumer, whatever the setting.
      else if (table !== 'market_messages' && settings.INGEST_CONSUMERS > count) {
        const found = `${count} partitions for ${settings.INGEST_CONSUMERS} consumers`
        lack('INGEST_CONSUMERS', name, found, 'a partition for each', `edit .env: INGEST_CONSUMERS=${count}`)
      }
    }
  }
  if (findings.length > 0) throw new OpsError(1, findings)
  return partitions
}

/** Commits the ends of all topics for groups that have committed nothing yet. */
async function commitEnds(settings: Settings, queues: readonly Queue[], timeoutMs: number): Promise<void> {
  const kafkajs = await openKafkajs(settings, { timeoutMs })
  try {
    const admin = await kafkajs.admin()
    for (const { group, topics } of queues) {
      const committed = await admin.fetchOffsets({ groupId: group, topics })
      for (const { topic, partitions } of committed) {
        if (partitions.some(({ offset }) => offset !== '-1')) continue
        const ends = await admin.fetchTopicOffsets(topic)
        const offsets = ends.map(({ partition, high }) => ({ partition, offset: high }))
        await admin.setOffsets({ groupId: group, topic, partitions: offsets })
      }
    }
  } finally {
    await kafkajs.close()
  }
}

interface Reading {
  /** Partitions that consumers have. */
  assigned: number
  /** Consumers that have none yet. */
  idle: number
  lastException: string
}

/** Waits until consumers have all partitions, and each of them some. Those of a server that was killed keep theirs for 6 s. */
async function waitForAssignment(client: ClickHouseClient, partitions: number, timeoutMs: number): Promise<void> {
  const read = async (): Promise<Reading> => {
    const answer = await client.query({
      query: `
        SELECT toUInt32(sum(length(assignments.partition_id))) AS assigned,
            toUInt32(countIf(empty(assignments.partition_id))) AS idle, max(exceptions.text[-1]) AS lastException
        FROM system.kafka_consumers WHERE database = currentDatabase() AND startsWith(table, 'ingest_')`,
      format: 'JSONEachRow',
    })
    return (await answer.json<Reading>())[0] ?? { assigned: 0, idle: 0, lastException: '' }
  }
  let seen: Reading | undefined
  const all = async () => {
    seen = await read()
    return seen.assigned >= partitions && seen.idle === 0
  }
  if (await waitUntil(all, { timeoutMs, pollMs: 100 })) return
  const cause = seen?.lastException ? `; ${reason(seen.lastException).slice(0, 300)}` : ''
  throw new OpsError(1, [
    {
      severity: 'error',
      code: 'INGEST_NOT_READING',
      subject: 'ingest',
      found: `${seen?.assigned} of ${partitions} partitions read after ${timeoutMs / 1000} s${cause}`,
      expected: 'all of them',
      hint: './scripts/ingest.mts status',
    },
  ])
}
