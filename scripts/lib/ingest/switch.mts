/** Switches the built-in ingest on and off. */
import type { ClickHouseClient } from '@clickhouse/client'
import { OpsError } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { openKafkajs } from '../kafka/cluster.mts'
import type { Settings } from '../settings/settings.mts'
import { type Consumer, countRead, readConsumers, SETTLE_MS } from './consumers.mts'
import { dismissMembers, refuseOthers } from './groups.mts'
import { checkNeeds } from './needs.mts'
import { ingestStatements, type Queue, queuesOf } from './queues.mts'
import { ANEW } from './report.mts'
import { type IngestState, judgeObjects, readObjects } from './state.mts'

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
 * Makes the built-in ingest read the topics, from where it stood: what is missing, differs from clickhouse/ingest or reads nothing is made
 * anew.
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
  const partitions = await checkNeeds(client, settings, statements, objects, timeoutMs)
  const groups = queues.map(({ group }) => group)
  await refuseOthers(client, settings, groups, timeoutMs)
  const changed: string[] = []
  const settleMs = Math.min(SETTLE_MS, timeoutMs)
  const stuck = before === 'on' && (await waitForAssignment(client, queues, partitions, settleMs))
  if (stuck) log(`Only ${countRead(stuck)} of ${partitions} partitions are read: making it anew`)
  if (before !== 'on' || stuck) {
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
  const idle = await waitForAssignment(client, queues, partitions, timeoutMs)
  if (!idle) return { before, changed }
  const complaint = idle.find((consumer) => consumer.complaint)?.complaint
  const found = `${countRead(idle)} of ${partitions} partitions read after ${timeoutMs / 1000} s${complaint ? `; ${complaint}` : ''}`
  const finding = { code: 'INGEST_NOT_READING', subject: 'ingest', found, expected: 'all of them', hint: ANEW }
  throw new OpsError(1, [{ severity: 'error', ...finding }])
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

/** Waits until consumers have all partitions, and each of them some; the last look, if that does not come about in time. */
async function waitForAssignment(
  client: ClickHouseClient,
  queues: readonly Queue[],
  partitions: number,
  timeoutMs: number,
): Promise<Consumer[] | undefined> {
  const tables = queues.map(({ name }) => name)
  let consumers: Consumer[] = []
  const all = async () => {
    consumers = await readConsumers(client, tables)
    return countRead(consumers) >= partitions && consumers.every(({ assigned }) => assigned.length > 0)
  }
  return (await waitUntil(all, { timeoutMs, pollMs: 100 })) ? undefined : consumers
}
