/** The requests that the scripts send to Kafka, each in a version that brokers from 2.8 to 4.x speak. */
import type { Request } from './kafka-wire.mts'

/** What the broker answered about one topic: `NONE` is success; `message` holds its own words, if it had any. */
export interface Outcome {
  error: string
  message: string | null
}

/** The protocol's error codes that our requests meet. @see https://kafka.apache.org/protocol#protocol_error_codes */
const ERRORS: Record<number, string> = {
  0: 'NONE',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_OR_FOLLOWER',
  7: 'REQUEST_TIMED_OUT',
  15: 'COORDINATOR_NOT_AVAILABLE',
  16: 'NOT_COORDINATOR',
  17: 'INVALID_TOPIC_EXCEPTION',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  35: 'UNSUPPORTED_VERSION',
  36: 'TOPIC_ALREADY_EXISTS',
  37: 'INVALID_PARTITIONS',
  38: 'INVALID_REPLICATION_FACTOR',
  40: 'INVALID_CONFIG',
  41: 'NOT_CONTROLLER',
  42: 'INVALID_REQUEST',
  44: 'POLICY_VIOLATION',
  60: 'REASSIGNMENT_IN_PROGRESS',
  68: 'NON_EMPTY_GROUP',
  69: 'GROUP_ID_NOT_FOUND',
  73: 'TOPIC_DELETION_DISABLED',
  86: 'GROUP_SUBSCRIBED_TO_TOPIC',
}

const errorName = (code: number): string => ERRORS[code] ?? `ERROR_${code}`

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

/** The protocol's resource type of a topic. */
const TOPIC = 2

export interface ConfigValue {
  value: string | null
  /** True when set on the topic itself, false when it is the broker's default. */
  own: boolean
}

/** Every configuration key of each topic; a topic that does not exist is left out. */
export const describeTopicConfigs = (names: string[]): Request<Map<string, Map<string, ConfigValue>>> => ({
  key: 32,
  version: 1,
  flexible: false,
  write: (to) =>
    to
      .array(names, (name) =>
        to
          .int(1, TOPIC)
          .string(name)
          .array(null, () => {}),
      )
      .bool(false),
  read: (from) => {
    from.int(4)
    const topics = from.array(() => {
      const error = from.int(2)
      from.string()
      from.int(1)
      const name = from.string() ?? ''
      const values = from.array((): [string, ConfigValue] => {
        const [key, value] = [from.string() ?? '', from.string()]
        from.bool()
        const source = from.int(1)
        from.bool()
        from.array(() => [from.string(), from.string(), from.int(1)])
        // 1 = DYNAMIC_TOPIC_CONFIG; all others are defaults of the broker, of its file or of Kafka.
        return [key, { value, own: source === 1 }]
      })
      return { error, name, values: new Map(values) }
    })
    return new Map(topics.filter(({ error }) => error === 0).map(({ name, values }) => [name, values]))
  },
})

export interface NewTopic {
  name: string
  partitions: number
  replication: number
  config: Record<string, string>
}

/**
 * Creates topics, or with `validateOnly` only says whether it could. For the controller.
 * The broker answers when all are usable, or REQUEST_TIMED_OUT after `timeoutMs` and goes on.
 */
export const createTopics = (
  topics: NewTopic[],
  options: { validateOnly: boolean; timeoutMs: number },
): Request<Map<string, Outcome>> => ({
  key: 19,
  version: 4,
  flexible: false,
  write: (to) =>
    to
      .array(topics, ({ name, partitions, replication, config }) =>
        to
          .string(name)
          .int(4, partitions)
          .int(2, replication)
          .array([], () => {})
          .array(Object.entries(config), ([key, value]) => to.string(key).string(value)),
      )
      .int(4, options.timeoutMs)
      .bool(options.validateOnly),
  read: (from) => {
    from.int(4)
    return new Map(from.array(() => [from.string() ?? '', { error: errorName(from.int(2)), message: from.string() }]))
  },
})

/** Grows topics to so many partitions. For the controller. */
export const createPartitions = (
  topics: { name: string; to: number }[],
  timeoutMs: number,
): Request<Map<string, Outcome>> => ({
  key: 37,
  version: 1,
  flexible: false,
  write: (to) =>
    to
      .array(topics, (topic) =>
        to
          .string(topic.name)
          .int(4, topic.to)
          .array(null, () => {}),
      )
      .int(4, timeoutMs)
      .bool(false),
  read: (from) => {
    from.int(4)
    return new Map(from.array(() => [from.string() ?? '', { error: errorName(from.int(2)), message: from.string() }]))
  },
})

/**
 * Sets single configuration keys of topics and leaves all others as they are: unlike AlterConfigs, which kafkajs sends and which
 * resets every key it is not given.
 */
export const setTopicConfigs = (
  topics: { name: string; config: Record<string, string> }[],
): Request<Map<string, Outcome>> => ({
  key: 44,
  version: 0,
  flexible: false,
  write: (to) =>
    to
      .array(topics, ({ name, config }) =>
        to
          .int(1, TOPIC)
          .string(name)
          // 0 = SET
          .array(Object.entries(config), ([key, value]) => to.string(key).int(1, 0).string(value)),
      )
      .bool(false),
  read: (from) => {
    from.int(4)
    return new Map(
      from.array(() => {
        const outcome = { error: errorName(from.int(2)), message: from.string() }
        from.int(1)
        return [from.string() ?? '', outcome]
      }),
    )
  },
})
