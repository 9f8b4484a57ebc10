/** Switches the built-in ingest on and off. */
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
import { checkNeeds } from './requirements.mts'
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
 * Makes the built-in ingest read the topics, from where it stopped: creates what is missing, and replaces what differs from
 * clickhouse/ingest or reads nothing.
 * @param options.skipBacklog begin with what is sent from now on, where nothing was read before
 * @throws {OpsError} exit code 1 when the services lack what it needs, or it does not come to read in time; 2 on a cluster; 3 when one does not answer
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
  const partitions = await checkNeeds(client, settings, statements, timeoutMs)
  const groups = queues.map(({ group }) => group)
  await refuseOthers(client, settings, groups, timeoutMs)
  const settles = (waitMs: number) => waitForAssignment(client, statements, queues, partitions, waitMs)
  let idle: Consumer[] | undefined = []
  if (before === 'on') {
    idle = await settles(Math.min(SETTLE_MS, timeoutMs))
    if (!idle) return { before, changed: [] }
    log(`Only ${countRead(idle)} of ${partitions} partitions are read: creating it again`)
  }
  const endMs = performance.now() + timeoutMs
  do {
    await dropAll(client, settings, timeoutMs)
    if (skipBacklog) await commitEnds(settings, queues, timeoutMs)
    if (!(await createAll(client, statements))) continue
    log(`Waiting until all ${partitions} partitions are read`)
    idle = await settles(Math.max(0, endMs - performance.now()))
    if (!idle) return { before, changed: statements.flatMap(({ name, version }) => (version ? [name] : [])) }
    // Not as declared: an `off` or another `on` is at work too, and this one goes on until it is done.
  } while (performance.now() < endMs)
  const complaint = idle?.find((consumer) => consumer.complaint)?.complaint
  const found = `${countRead(idle)} of ${partitions} partitions read after ${timeoutMs / 1000} s${complaint ? `; ${complaint}` : ''}`
  throw new OpsError(1, [error('INGEST_NOT_READING', 'ingest', { found, hint: RESTART })])
}

/** ClickHouse's codes for a statement that needs what another command has just dropped: UNKNOWN_TABLE, TABLE_IS_DROPPED. */
const DROPPED = ['60', '218']

/** False: another command drops the same objects. */
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
 * Stops the built-in ingest. What it has stored stays, and so do its offsets.
 * @throws {OpsError} exit code 3 when Kafka does not answer, after it is off: only that its groups end at once is then not so
 */
export async function switchOff(client: ClickHouseClient, settings: Settings, timeoutMs: number): Promise<Switched> {
  const { state: before } = judgeObjects(ingestStatements(settings), await readObjects(client))
  return { before, changed: await dropAll(client, settings, timeoutMs) }
}

/**
 * The names of what was dropped, what an `on` at the same time has created meanwhile too. SYNC: a name is free at once, and a Kafka table has
 * stored or given up its last block.
 */
async function dropAll(client: ClickHouseClient, settings: Settings, timeoutMs: number): Promise<string[]> {
  const dropped = new Set<string>()
  const gone = async () => {
    const objects = await readObjects(client)
    for (const { name } of objects) {
      await client.command({ query: `DROP TABLE IF EXISTS ${name} SYNC` })
      dropped.add(name)
    }
    return objects.length === 0
  }
  await waitUntil(gone, { timeoutMs, pollMs: 0 })
  const groups = queuesOf(ingestStatements(settings)).map(({ group }) => group)
  if (dropped.size > 0) await dismissMembers(settings, groups, timeoutMs)
  return [...dropped]
}

/**
 * Commits the ends of all topics for groups that have committed nothing for them yet.
 * @throws {OpsError} exit code 3, when Kafka does not report an end, or does not take the commit
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
 * Waits until consumers have all partitions, and each of them some; the last look, if that does not come about in time, or the ingest is
 * not as declared meanwhile.
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
