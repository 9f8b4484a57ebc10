/** The consumer groups of the queues. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { error, OpsError } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { openCluster } from '../kafka/cluster.mts'
import { findCoordinator, leaveGroup } from '../kafka/group-requests.mts'
import { type GroupReading, readSettledGroups } from '../kafka/groups.mts'
import type { Settings } from '../settings/settings.mts'

/**
 * Takes the members out of groups whose consumers are gone. ClickHouse's leave without a word (StorageKafkaUtils.cpp, 26.3): Kafka
 * would keep their partitions for them until their session times out, from the next consumer too.
 * @throws {OpsError} exit code 3, when Kafka does not answer
 */
export async function dismissMembers(
  settings: Settings,
  groupIds: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const cluster = await openCluster(settings, { timeoutMs })
  try {
    for (const { id, memberIds } of await readSettledGroups(cluster, settings, timeoutMs, groupIds)) {
      if (memberIds.length === 0) continue
      const { brokerId } = await cluster.send(findCoordinator(id))
      // A member that is gone already, or a group that is on its way to another coordinator, times out by itself.
      for (const memberId of memberIds) await cluster.sendTo(brokerId, leaveGroup(id, memberId))
    }
  } finally {
    cluster.close()
  }
}

/**
 * Milliseconds. Members of a server that was killed stay for 6 s (session_timeout_ms in clickhouse/config.d/ingest.xml). A Kafka that was
 * killed knows its members again, and a consumer that loses it a second time, while it joins again, leaves one more behind: those of
 * this server may take longer.
 */
const SESSION_MS = 8_000

interface Other {
  group: string
  /** Whose it is: a database of this ClickHouse, or what Kafka knows of the client. */
  name: string
  database?: string
  /** A consumer that this server has no longer, or one of another server of the same name. */
  ownName?: boolean
}

/**
 * Makes sure that the groups have no members but the consumers of this database's queues: of two ingests in one group, each gets only
 * a part of the messages.
 * @throws {OpsError} exit code 1, naming the others; 3 when Kafka does not answer
 */
export async function refuseOthers(
  client: ClickHouseClient,
  settings: Settings,
  groupIds: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const cluster = await openCluster(settings, { timeoutMs })
  let others: Other[] = []
  try {
    const endMs = performance.now() + SESSION_MS
    const found = async () => {
      others = await othersAmong(client, await readSettledGroups(cluster, settings, timeoutMs, groupIds))
      const strange = others.some(({ ownName }) => !ownName)
      return others.length === 0 || others.some(({ database }) => database) || (strange && performance.now() > endMs)
    }
    // Only a member that this server knows nothing of may be a dead one's.
    await waitUntil(found, { timeoutMs, pollMs: 500 })
  } finally {
    cluster.close()
  }
  if (others.length === 0) return
  const database = others.find((other) => other.database)?.database
  const unique = (names: string[]) => [...new Set(names)].join(', ')
  throw new OpsError(1, [
    error('INGEST_ELSEWHERE', unique(others.map(({ group }) => group)), {
      found: `read by ${unique(others.map(({ name }) => name))}`,
      expected: `no reader but database ${settings.CLICKHOUSE_DATABASE}: each gets only a part of the messages`,
      hint: database ? `CLICKHOUSE_DATABASE=${database} ./scripts/ingest.mts off` : 'there: ./scripts/ingest.mts off',
    }),
  ])
}

/** The members that are no consumers of the current database. */
async function othersAmong(client: ClickHouseClient, groups: readonly GroupReading[]): Promise<Other[]> {
  const query = 'SELECT consumer_id AS id, database, database = currentDatabase() AS own FROM system.kafka_consumers'
  const [rows, [names]] = await Promise.all([
    readRows<{ id: string; database: string; own: number }>(client, query),
    // How a Kafka table without kafka_client_id names itself.
    readRows<{ start: string }>(client, "SELECT concat('ClickHouse-', FQDN(), '-', currentDatabase(), '-') AS start"),
  ])
  const consumers = new Map(rows.map((row) => [row.id, row]))
  return groups.flatMap(({ id: group, members, memberIds }) =>
    memberIds.flatMap((memberId, index): Other[] => {
      const consumer = consumers.get(memberId)
      const name = members[index] ?? ''
      if (!consumer) return [{ group, name, ownName: names !== undefined && name.startsWith(names.start) }]
      return consumer.own ? [] : [{ group, name: `database ${consumer.database}`, database: consumer.database }]
    }),
  )
}
