/** The consumer groups of the queues. */
import type { ClickHouseClient } from '@clickhouse/client'
import type { GroupDescription } from 'kafkajs'
import { type Finding, OpsError } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { ASK_HEALTH, type Cluster, openCluster, openKafkajs, unreachable } from '../kafka/cluster.mts'
import { errorName, findCoordinator } from '../kafka/cluster-requests.mts'
import type { Request } from '../kafka/codec.mts'
import type { Settings } from '../settings/settings.mts'

/** Ends a member's part in its group; answers with the error. For the group's coordinator. */
const leaveGroup = (groupId: string, memberId: string): Request<string> => ({
  key: 13,
  version: 1,
  flexible: false,
  write: (to) => to.string(groupId).string(memberId),
  read: (from) => {
    from.int(4)
    return errorName(from.int(2))
  },
})

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
  const [cluster, kafka] = await Promise.all([
    openCluster(settings, { timeoutMs }),
    openKafkajs(settings, { timeoutMs }),
  ])
  try {
    const admin = await kafka.admin()
    const { groups } = await admin.describeGroups([...groupIds])
    for (const { groupId, members } of groups)
      for (const { memberId } of members) await dismiss(cluster, groupId, memberId)
  } finally {
    cluster.close()
    await kafka.close()
  }
}

async function dismiss(cluster: Cluster, groupId: string, memberId: string): Promise<void> {
  const { brokerId } = await cluster.send(findCoordinator(groupId))
  // A member that is gone already, or a group that is on its way to another coordinator, times out by itself.
  await cluster.sendTo(brokerId, leaveGroup(groupId, memberId))
}

/** Milliseconds. Members of a server that was killed stay for 6 s (session_timeout_ms in clickhouse/config.d/ingest.xml). */
const SESSION_MS = 8_000

interface Other {
  group: string
  /** Whose it is: a database of this ClickHouse, or what Kafka knows of the client. */
  name: string
  database?: string
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
  const kafka = await openKafkajs(settings, { timeoutMs })
  let others: Other[] = []
  try {
    const admin = await kafka.admin()
    const silent = (error: unknown) =>
      unreachable(settings.KAFKA_BOOTSTRAP_SERVERS.join(','), error, timeoutMs, ASK_HEALTH)
    let late: unknown
    // A broker that was never asked for a group has to make the topic of the offsets first.
    const described = async () => {
      try {
        return (await admin.describeGroups([...groupIds])).groups
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'KafkaJSGroupCoordinatorNotFound') throw silent(error)
        late = error
        return undefined
      }
    }
    const told = async () => {
      const groups = await waitUntil(described, { timeoutMs, pollMs: 200 })
      if (!groups) throw silent(late)
      others = await othersAmong(client, groups)
      return others.length === 0 || others.some(({ database }) => database)
    }
    // Only a member that this server knows nothing of may be a dead one's.
    await waitUntil(told, { timeoutMs: Math.min(SESSION_MS, timeoutMs), pollMs: 500 })
    if (others.length === 0) return
  } finally {
    await kafka.close()
  }
  const database = others.find((other) => other.database)?.database
  const unique = (names: string[]) => [...new Set(names)].join(', ')
  const finding: Finding = {
    severity: 'error',
    code: 'INGEST_ELSEWHERE',
    subject: unique(others.map(({ group }) => group)),
    found: `read by ${unique(others.map(({ name }) => name))}`,
    expected: `no other reader than database ${settings.CLICKHOUSE_DATABASE}: each would get only a part of the messages`,
    hint: database ? `CLICKHOUSE_DATABASE=${database} ./scripts/ingest.mts off` : 'there: ./scripts/ingest.mts off',
  }
  throw new OpsError(1, [finding])
}

/** The members that are no consumers of the current database. */
async function othersAmong(client: ClickHouseClient, groups: readonly GroupDescription[]): Promise<Other[]> {
  const query = 'SELECT consumer_id AS id, database, database = currentDatabase() AS own FROM system.kafka_consumers'
  const answer = await client.query({ query, format: 'JSONEachRow' })
  const rows = await answer.json<{ id: string; database: string; own: number }>()
  const consumers = new Map(rows.map((row) => [row.id, row]))
  return groups.flatMap(({ groupId: group, members }) =>
    members.flatMap(({ memberId, clientId, clientHost }): Other[] => {
      const consumer = consumers.get(memberId)
      if (!consumer) return [{ group, name: `${clientId} at ${clientHost.replace(/^\//, '')}` }]
      return consumer.own ? [] : [{ group, name: `database ${consumer.database}`, database: consumer.database }]
    }),
  )
}
