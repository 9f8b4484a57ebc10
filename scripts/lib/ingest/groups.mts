/** Members of the ingest's consumer groups. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import { error, OpsError } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { openCluster } from '../kafka/cluster.mts'
import { findCoordinator, leaveGroup } from '../kafka/group-requests.mts'
import { type GroupReading, readSettledGroups } from '../kafka/groups.mts'
import type { Settings } from '../settings/settings.mts'

/**
 * Removes all members from groups whose consumers no longer exist. ClickHouse's consumers do not leave their group
 * (StorageKafkaUtils.cpp, 26.3), so Kafka would withhold their partitions from new consumers until their sessions time out.
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
      // An error code is ignored: the member has already left, or its session times out.
      for (const memberId of memberIds) await cluster.sendTo(brokerId, leaveGroup(id, memberId))
    }
  } finally {
    cluster.close()
  }
}

/**
 * Milliseconds to wait for members unknown to this server to disappear: members of a killed server stay for 6 s (session_timeout_ms in
 * clickhouse/config.d/ingest.xml). There is no such limit for members with this server's name: a killed Kafka restores its members, and a
 * consumer that loses Kafka again while it rejoins leaves one more member behind.
 */
const SESSION_MS = 8_000

interface Other {
  group: string
  /** The owner: a database of this ClickHouse server, or the client as Kafka reports it. */
  name: string
  database?: string
  /** Whether it has this server's client name: a former consumer of this server, or one of another server with the same name. */
  ownName?: boolean
}

/**
 * Verifies that the groups have no members other than the consumers of this database: two ingests in one group would each receive only
 * part of the messages. Waits for members that may be left over from a dead server to time out.
 * @throws {OpsError} exit code 1, naming the other members; 3 when Kafka does not answer
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
      const foreign = others.some(({ ownName }) => !ownName)
      return others.length === 0 || others.some(({ database }) => database) || (foreign && performance.now() > endMs)
    }
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
      expected: `database ${settings.CLICKHOUSE_DATABASE} as the only reader, since each reader gets only part of the messages`,
      hint: database
        ? `CLICKHOUSE_DATABASE=${database} ./scripts/ingest.mts off`
        : 'on that host: ./scripts/ingest.mts off',
    }),
  ])
}

/** Returns the members that are not consumers of the current database. */
async function othersAmong(client: ClickHouseClient, groups: readonly GroupReading[]): Promise<Other[]> {
  const query = 'SELECT consumer_id AS id, database, database = currentDatabase() AS own FROM system.kafka_consumers'
  const [rows, [names]] = await Promise.all([
    readRows<{ id: string; database: string; own: number }>(client, query),
    // The default client id of a Kafka table, up to the name of the table.
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
