/** The consumer groups of queues that were dropped. */
import { type Cluster, openCluster, openKafkajs } from '../kafka.mts'
import type { Request } from '../kafka-codec.mts'
import { errorName, findCoordinator } from '../kafka-requests.mts'
import type { Settings } from '../settings.mts'

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
