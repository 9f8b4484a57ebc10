/** Kafka requests about the cluster: metadata and the controller quorum. */
import { inner } from './options.mts'
import { type Request, readStructures } from './transport.mts'

/** The broker's result for one topic, partition or request: `error` is `NONE` on success; `message` is the broker's explanation, if any. */
export interface Outcome {
  error: string
  message: string | null
}

/** Protocol errors that kafkajs does not know, or knows by an older name. @see https://kafka.apache.org/protocol#protocol_error_codes */
const ERRORS: Record<number, string> = {
  [-1]: 'UNKNOWN_SERVER_ERROR',
  0: 'NONE',
  6: 'NOT_LEADER_OR_FOLLOWER',
  14: 'COORDINATOR_LOAD_IN_PROGRESS',
  15: 'COORDINATOR_NOT_AVAILABLE',
  16: 'NOT_COORDINATOR',
  89: 'THROTTLING_QUOTA_EXCEEDED',
}

/** Returns Kafka's name for an error code. */
export function errorName(code: number): string {
  const known = () => inner('kafkajs/src/protocol/error.js').errorCodes as { code: number; type: string }[]
  return ERRORS[code] ?? known().find((each) => each.code === code)?.type ?? `ERROR_${code}`
}

export interface Partition {
  index: number
  /** Broker id, or -1 while no leader is elected. */
  leader: number
  replicas: number[]
  inSync: number[]
}

export interface TopicMetadata {
  name: string
  /** 32 hexadecimal digits, different whenever a topic is created; all zeros if the broker does not support topic IDs. */
  id: string
  internal: boolean
  partitions: Partition[]
}

export interface Broker {
  id: number
  host: string
  port: number
  rack: string | null
}

export interface Metadata {
  clusterId: string
  /** Broker id, or -1 while none is elected. */
  controllerId: number
  brokers: Broker[]
  topics: TopicMetadata[]
}

/** Lists the brokers, the controller and all topics, including internal ones. Never creates a topic. */
export const metadata: Request<Metadata> = {
  key: 3,
  version: 10,
  flexible: true,
  // All topics; no automatic creation; no authorized operations of the cluster or of topics; no tags.
  write: (to) => to.writeUVarInt(0).writeBoolean(false).writeBoolean(false).writeBoolean(false).writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    const brokers = readStructures(from, () => ({
      id: from.readInt32(),
      host: from.readUVarIntString() ?? '',
      port: from.readInt32(),
      rack: from.readUVarIntString(),
    }))
    const clusterId = from.readUVarIntString() ?? ''
    const controllerId = from.readInt32()
    const topics = readStructures(from, () => {
      from.forward(2)
      const name = from.readUVarIntString() ?? ''
      const id = from.readBytes(16)?.toString('hex') ?? ''
      const internal = from.readBoolean()
      const partitions = readStructures(from, (): Partition => {
        from.forward(2)
        const [index, leader] = [from.readInt32(), from.readInt32()]
        from.forward(4)
        const ids = () => from.readUVarIntArray(() => from.readInt32()) ?? []
        const [replicas, inSync] = [ids(), ids()]
        // Skips the offline replicas.
        ids()
        return { index, leader, replicas, inSync }
      })
      from.forward(4)
      return { name, id, internal, partitions }
    })
    // In ZooKeeper mode brokers are listed in arbitrary order.
    return { clusterId, controllerId, brokers: brokers.sort((a, b) => a.id - b.id), topics }
  },
}

/** The controller quorum that stores a KRaft cluster's metadata. */
export interface Quorum {
  error: string
  /** Broker id, or -1 while none is elected. */
  leader: number
  /** Metadata records that the slowest voter still lacks. */
  lag: number
  voters: number[]
}

/** The metadata topic, which has one partition. */
const METADATA_TOPIC = '__cluster_metadata'

/** Describes the quorum as its leader sees it. Brokers in ZooKeeper mode do not support this request. */
export const describeQuorum: Request<Quorum> = {
  key: 55,
  version: 1,
  flexible: true,
  // One topic with partition 0. Array lengths are encoded plus one; tags end the partition, the topic and the request.
  write: (to) =>
    to
      .writeUVarInt(2)
      .writeUVarIntString(METADATA_TOPIC)
      .writeUVarInt(2)
      .writeInt32(0)
      .writeUVarInt(0)
      .writeUVarInt(0)
      .writeUVarInt(0),
  read: (from) => {
    const error = from.readInt16()
    const [[partition] = []] = readStructures(from, () => {
      from.readUVarIntString()
      return readStructures(from, (): Quorum => {
        from.forward(4)
        const partitionError = from.readInt16()
        const leader = from.readInt32()
        // Skips the leader epoch and the high watermark.
        from.forward(12)
        const replicas = () =>
          readStructures(from, () => {
            const replica = { id: from.readInt32(), end: Number(from.readInt64()) }
            // Skips the timestamps of the last fetch and of when it had last caught up.
            from.forward(16)
            return replica
          })
        const voters = replicas()
        // Skips the observers: brokers without a vote.
        replicas()
        const end = voters.find(({ id }) => id === leader)?.end ?? 0
        const lag = Math.max(0, ...voters.map((voter) => end - voter.end))
        return { error: errorName(partitionError), leader, lag, voters: voters.map(({ id }) => id) }
      })
    })
    return partition ?? { error: errorName(error), leader: -1, lag: 0, voters: [] }
  },
}
