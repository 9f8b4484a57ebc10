/** What the scripts ask Kafka about the cluster and its disks. */
import { type Request, readStructures, writeArray } from './transport.mts'

/** What the broker answered about one topic: `NONE` is success; `message` holds its own words, if it had any. */
export interface Outcome {
  error: string
  message: string | null
}

/** The protocol's error codes that our requests meet. @see https://kafka.apache.org/protocol#protocol_error_codes */
const ERRORS: Record<number, string> = {
  [-1]: 'UNKNOWN_SERVER_ERROR',
  0: 'NONE',
  1: 'OFFSET_OUT_OF_RANGE',
  2: 'CORRUPT_MESSAGE',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_OR_FOLLOWER',
  7: 'REQUEST_TIMED_OUT',
  8: 'BROKER_NOT_AVAILABLE',
  9: 'REPLICA_NOT_AVAILABLE',
  13: 'NETWORK_EXCEPTION',
  14: 'COORDINATOR_LOAD_IN_PROGRESS',
  15: 'COORDINATOR_NOT_AVAILABLE',
  16: 'NOT_COORDINATOR',
  17: 'INVALID_TOPIC_EXCEPTION',
  25: 'UNKNOWN_MEMBER_ID',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  30: 'GROUP_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  33: 'UNSUPPORTED_SASL_MECHANISM',
  34: 'ILLEGAL_SASL_STATE',
  35: 'UNSUPPORTED_VERSION',
  36: 'TOPIC_ALREADY_EXISTS',
  37: 'INVALID_PARTITIONS',
  38: 'INVALID_REPLICATION_FACTOR',
  39: 'INVALID_REPLICA_ASSIGNMENT',
  40: 'INVALID_CONFIG',
  41: 'NOT_CONTROLLER',
  42: 'INVALID_REQUEST',
  44: 'POLICY_VIOLATION',
  56: 'KAFKA_STORAGE_ERROR',
  60: 'REASSIGNMENT_IN_PROGRESS',
  68: 'NON_EMPTY_GROUP',
  69: 'GROUP_ID_NOT_FOUND',
  73: 'TOPIC_DELETION_DISABLED',
  74: 'FENCED_LEADER_EPOCH',
  75: 'UNKNOWN_LEADER_EPOCH',
  78: 'OFFSET_NOT_AVAILABLE',
  86: 'GROUP_SUBSCRIBED_TO_TOPIC',
  89: 'THROTTLING_QUOTA_EXCEEDED',
}

export const errorName = (code: number): string => ERRORS[code] ?? `ERROR_${code}`

export interface Partition {
  index: number
  /** Broker id, or -1 while no leader is elected. */
  leader: number
  replicas: number[]
  inSync: number[]
  offline: number[]
}

export interface TopicMetadata {
  name: string
  /** 32 hexadecimal digits, new for every topic made; all zeros from a broker without topic ids. */
  id: string
  internal: boolean
  error: string
  partitions: Partition[]
}

export interface Broker {
  id: number
  host: string
  port: number
}

export interface Metadata {
  clusterId: string
  /** Broker id, or -1 while none is elected. */
  controllerId: number
  brokers: Broker[]
  topics: TopicMetadata[]
}

/** The cluster's brokers, controller and topics, internal ones included. Never creates a topic. */
export const metadata: Request<Metadata> = {
  key: 3,
  version: 10,
  flexible: true,
  // All topics; make none; no authorized operations of cluster and topics; no tags.
  write: (to) => to.writeUVarInt(0).writeBoolean(false).writeBoolean(false).writeBoolean(false).writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    const brokers = readStructures(from, () => {
      const broker = { id: from.readInt32(), host: from.readUVarIntString() ?? '', port: from.readInt32() }
      from.readUVarIntString()
      return broker
    })
    const clusterId = from.readUVarIntString() ?? ''
    const controllerId = from.readInt32()
    const topics = readStructures(from, () => {
      const error = errorName(from.readInt16())
      const name = from.readUVarIntString() ?? ''
      const id = from.readBytes(16)?.toString('hex') ?? ''
      const internal = from.readBoolean()
      const partitions = readStructures(from, (): Partition => {
        from.forward(2)
        const [index, leader] = [from.readInt32(), from.readInt32()]
        from.forward(4)
        const ids = () => from.readUVarIntArray(() => from.readInt32()) ?? []
        return { index, leader, replicas: ids(), inSync: ids(), offline: ids() }
      })
      from.forward(4)
      return { name, id, internal, error, partitions }
    })
    return { clusterId, controllerId, brokers, topics }
  },
}

/** Bytes on one broker's disks by topic, every partition and copy that it holds counted. */
export const describeLogDirs: Request<Map<string, number>> = {
  key: 35,
  version: 1,
  write: (to) => writeArray(to, null, () => {}),
  read: (from) => {
    from.forward(4)
    const bytes = new Map<string, number>()
    from.readArray(() => {
      from.forward(2)
      from.readString()
      from.readArray(() => {
        const name = from.readString() ?? ''
        from.readArray(() => {
          from.forward(4)
          bytes.set(name, (bytes.get(name) ?? 0) + Number(from.readInt64()))
          from.forward(9)
        })
      })
    })
    return bytes
  },
}
