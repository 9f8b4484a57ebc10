/** Switches the built-in ingest on or off. */
import type { ClickHouseClient } from '@clickhouse/client'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { ingestStatements, type Statement } from '../clickhouse/statements.mts'
import { error, OpsError } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { openCluster, unreachable } from '../kafka/cluster.mts'
import { commitOffsets, findCoordinator } from '../kafka/group-requests.mts'
import { readSettledGroups } from '../kafka/groups.mts'
import { readEnds } from '../kafka/offsets.mts'
import type { Settings } from '../settings/settings.mts'
import { type Consumer, countRead, readConsumers, SETTLE_MS } from './consumers.mts'
import { dismissMembers, refuseOthers } from './groups.mts'
import { type Queue, queuesOf } from './queues.mts'
import { checkRequirements } from './requirements.mts'
import { type IngestState, judgeObjects, RESTART, readObjects } from './state.mts'

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
 * Switches the built-in ingest on. Reading resumes where it stopped. If objects are missing, differ from clickhouse/ingest, or do not read
 * all partitions, recreates all of them.
 * @param options.skipBacklog start at the end of topics that were never read
 * @throws {OpsError} exit code 1 when a requirement is missing, or not all partitions are read in time; 2 on a cluster; 3 when a service
 *   does not answer
 */
export async function switchOn(
  client: ClickHouseClient,
  settings: Settings,
  { timeoutMs, log, skipBacklog = false }: SwitchOptions & { skipBacklog?: boolean },
): Promise<Switched> {
  refuseCluster(settings, 'ingest')
  const statements = ingestStatements(settings)
  const queues = queuesOf(statements)
  const { state: before } = judgeObjects(statements, await readObjects(client))
  const partitions = await checkRequirements(client, settings, statements, timeoutMs)
  const groups = queues.map(({ group }) => group)
  await refuseOthers(client, settings, groups, timeoutMs)
  const settles = (waitMs: number) => waitForAssignment(client, statements, queues, partitions, waitMs)
  let idle: Consumer[] | undefined = []
  if (before === 'on') {
    idle = await settles(Math.min(SETTLE_MS, timeoutMs))
    if (!idle) return { before, changed: [] }
    log(`Only ${countRead(idle)} of ${partitions} partitions are read: recreating the ingest`)
  }
  const endMs = performance.now() + timeoutMs
  do {
    await dropAll(client, settings, timeoutMs)
    if (skipBacklog) await commitEnds(settings, queues, timeoutMs)
    if (!(await createAll(client, statements))) continue
    log(`Waiting until all ${partitions} partitions are read`)
    idle = await settles(Math.max(0, endMs - performance.now()))
    if (!idle) return { before, changed: statements.flatMap(({ name, version }) => (version ? [name] : [])) }
    // Retry: a concurrent `off` or `on` may have changed the objects.
  } while (performance.now() < endMs)
  const lastError = idle?.find((consumer) => consumer.lastError)?.lastError
  const found = `${countRead(idle)} of ${partitions} partitions read after ${timeoutMs / 1000} s${lastError ? `; ${lastError}` : ''}`
  throw new OpsError(1, [error('INGEST_NOT_READING', 'ingest', { found, hint: RESTART })])
}

/** ClickHouse error codes for an object that a concurrent command has dropped: UNKNOWN_TABLE, TABLE_IS_DROPPED. */
const DROPPED = ['60', '218']

/** Creates all objects. Returns false if a concurrent command drops them. */
async function createAll(client: ClickHouseClient, statements: readonly Statement[]): Promise<boolean> {
  try {
    for (const { sql } of statements) await client.command({ query: sql })
    return true
  } catch (failure) {
    if (DROPPED.includes(String((failure as { code?: string }).code))) return false
    throw failure
  }
}

/**
 * Switches the built-in ingest off. Stored rows and committed offsets are retained.
 * @throws {OpsError} exit code 3 when Kafka does not answer; the ingest is then off, but its group members remain until their sessions
 *   time out
 */
export async function switchOff(client: ClickHouseClient, settings: Settings, timeoutMs: number): Promise<Switched> {
  const { state: before } = judgeObjects(ingestStatements(settings), await readObjects(client))
  return { before, changed: await dropAll(client, settings, timeoutMs) }
}

/**
 * Drops all objects, including those that a concurrent `on` creates meanwhile, and returns their names. With SYNC, a name is free again on
 * return, and a Kafka table has stored or discarded its last block.
 */
async function dropAll(client: ClickHouseClient, settings: Settings, timeoutMs: number): Promise<string[]> {
  const dropped = new Set<string>()
  const allDropped = async () => {
    const objects = await readObjects(client)
    for (const { name } of objects) {
      await client.command({ query: `DROP TABLE IF EXISTS ${name} SYNC` })
      dropped.add(name)
    }
    return objects.length === 0
  }
  await waitUntil(allDropped, { timeoutMs, pollMs: 0 })
  const groups = queuesOf(ingestStatements(settings)).map(({ group }) => group)
  if (dropped.size > 0) await dismissMembers(settings, groups, timeoutMs)
  return [...dropped]
}

/**
 * Commits the end offsets of the topics for which their group has no committed offset.
 * @throws {OpsError} exit code 3, when Kafka does not report an end or accept the commit
 */
async function commitEnds(settings: Settings, queues: readonly Queue[], timeoutMs: number): Promise<void> {
  const cluster = await openCluster(settings, { timeoutMs })
  const failed = (found: string) => unreachable(settings.KAFKA_BOOTSTRAP_SERVERS.join(','), new Error(found), timeoutMs)
  try {
    const ids = queues.map(({ group }) => group)
    for (const { id, committed } of await readSettledGroups(cluster, settings, timeoutMs, ids)) {
      const names = queues.find(({ group }) => group === id)?.topics ?? []
      const open = names.filter((name) => !committed.some(({ topic }) => topic === name))
      const { high, unread } = await readEnds(cluster, open, timeoutMs)
      if (unread.size > 0) throw failed(`no high watermark of ${[...unread.keys()].join(', ')}`)
      const ends = open.map((name) => ({ name, offsets: [...high.values()].filter(({ topic }) => topic === name) }))
      const { brokerId } = await cluster.send(findCoordinator(id))
      const outcome = await cluster.sendTo(brokerId, commitOffsets(id, ends))
      if (outcome !== 'NONE') throw failed(`offsets of group ${id} not committed: ${outcome}`)
    }
  } finally {
    cluster.close()
  }
}

/**
 * Waits until all partitions are assigned and every consumer has at least one. Returns undefined then; returns the consumers of the last
 * poll on timeout, or as soon as the objects differ from their declaration.
 */
async function waitForAssignment(
  client: ClickHouseClient,
  statements: readonly Statement[],
  queues: readonly Queue[],
  partitions: number,
  timeoutMs: number,
): Promise<Consumer[] | undefined> {
  const tables = queues.map(({ name }) => name)
  let idle: Consumer[] | undefined
  const done = async () => {
    const [consumers, objects] = await Promise.all([readConsumers(client, tables), readObjects(client)])
    idle = consumers
    if (judgeObjects(statements, objects).state !== 'on') return true
    if (countRead(consumers) < partitions || consumers.some(({ assigned }) => assigned.length === 0)) return false
    idle = undefined
    return true
  }
  await waitUntil(done, { timeoutMs, pollMs: 100 })
  return idle
}
