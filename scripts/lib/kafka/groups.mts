/** Kafka's consumer groups: who is in them, what they read, and what they have committed. */

import type { Settings } from '../settings/settings.mts'
import { ASK_HEALTH, type KafkajsClients, unreachable } from './cluster.mts'
import { Reader } from './codec.mts'

export interface ConsumerGroup {
  id: string
  /** Kafka's word: Empty, Stable, PreparingRebalance, CompletingRebalance or Dead. */
  state: string
  /** `client id at host` of each member. */
  members: string[]
  /** Topics that a member is subscribed to; undefined while Kafka does not tell, which is so during a rebalance. */
  subscribed: string[] | undefined
  committed: { topic: string; partition: number; offset: number }[]
}

/**
 * Every group of the cluster.
 * @throws {OpsError} exit code 3, when the broker does not answer
 */
export async function readGroups(
  kafkajs: KafkajsClients,
  { KAFKA_BOOTSTRAP_SERVERS: servers }: Pick<Settings, 'KAFKA_BOOTSTRAP_SERVERS'>,
  timeoutMs: number,
): Promise<ConsumerGroup[]> {
  const admin = await kafkajs.admin()
  try {
    const ids = (await admin.listGroups()).groups.map(({ groupId }) => groupId)
    const { groups } = await admin.describeGroups(ids)
    return await Promise.all(
      groups.map(async ({ groupId, state, protocolType, members }) => ({
        id: groupId,
        state,
        members: members.map(({ clientId, clientHost }) => `${clientId} at ${clientHost.replace(/^\//, '')}`),
        subscribed: subscriptions(protocolType, members),
        committed: (await admin.fetchOffsets({ groupId })).flatMap(({ topic, partitions }) =>
          partitions
            .map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) }))
            // -1: nothing committed for this partition.
            .filter(({ offset }) => offset >= 0),
        ),
      })),
    )
  } catch (error) {
    throw unreachable(servers.join(','), error, timeoutMs, ASK_HEALTH)
  }
}

/** The topics in the members' metadata: a version, then names. @see ConsumerProtocolSubscription.json in Kafka 3.9 */
function subscriptions(protocolType: string, members: { memberMetadata: Buffer }[]): string[] | undefined {
  if (members.length > 0 && protocolType !== 'consumer') return undefined
  // GroupMetadata.scala gives the members' metadata only of a stable group.
  if (members.some(({ memberMetadata }) => memberMetadata.length === 0)) return undefined
  return members.flatMap(({ memberMetadata }) => {
    const from = new Reader(memberMetadata, false)
    from.int(2)
    return from.array(() => from.string() ?? '')
  })
}
