/** What the scripts ask Kafka, each in a version that brokers from 2.8 to 4.x speak: the cluster and its disks. */
import type { Request } from './codec.mts'

/** What the broker answered about one topic: `NONE` is success; `message` holds its own words, if it had any. */
export interface Outcome {
  error: string
  message: string | null
}

/** The protocol's error codes that our requests meet. @see https://kafka.apache.org/protocol#protocol_error_codes */
const ERRORS: Record<number, string> = {
  [-1]: 'UNKNOWN_SERVER_ERROR',
  0: 'NONE',
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
  29: 'TOPIC_AUTHORIZATION_FAILED',
  30: 'GROUP_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
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
  write: (to) =>
    to
      .array(null, () => {})
      .bool(false)
      .bool(false)
      .bool(false)
      .end(),
  read: (from) => {
    from.int(4)
    const brokers = from.array(() => {
      const broker = { id: from.int(4), host: from.string() ?? '', port: from.int(4) }
      from.string()
      from.end()
      return broker
    })
    const clusterId = from.string() ?? ''
    const controllerId = from.int(4)
    const topics = from.array(() => {
      const error = errorName(from.int(2))
      const topic = { name: from.string() ?? '', id: from.uuid(), internal: from.bool(), error }
      const partitions = from.array(() => {
        from.int(2)
        const [index, leader] = [from.int(4), from.int(4)]
        from.int(4)
        const [replicas, inSync, offline] = [1, 2, 3].map(() => from.array(() => from.int(4)))
        from.end()
        return { index, leader, replicas, inSync, offline } as Partition
      })
      from.int(4)
      from.end()
      return { ...topic, partitions }
    })
    return { clusterId, controllerId, brokers, topics }
  },
}

/** Bytes on one broker's disks by topic, every partition and copy that it holds counted. */
export const describeLogDirs: Request<Map<string, number>> = {
  key: 35,
  version: 1,
  flexible: false,
  write: (to) => to.array(null, () => {}),
  read: (from) => {
    from.int(4)
    const bytes = new Map<string, number>()
    from.array(() => {
      from.int(2)
      from.string()
      from.array(() => {
        const name = from.string() ?? ''
        from.array(() => {
          from.int(4)
          bytes.set(name, (bytes.get(name) ?? 0) + from.int64())
          from.int64()
          from.bool()
        })
      })
    })
    return bytes
  },
}

/** The id of the broker that keeps a group's offsets, or the error that says why there is none. */
export const findCoordinator = (groupId: string): Request<{ error: string; brokerId: number }> => ({
  key: 10,
  version: 2,
  flexible: false,
  // 0 = a consumer group
  write: (to) => to.string(groupId).int(1, 0),
  read: (from) => {
    from.int(4)
    const error = errorName(from.int(2))
    from.string()
    return { error, brokerId: from.int(4) }
  },
})
