/** What the scripts ask Kafka about topics, and to change in them. */

import { errorName, type Outcome } from './cluster-requests.mts'
import type { Request } from './codec.mts'

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

/**
 * Deletes topics with their records; answers with an error a topic. For the controller. It goes on after the answer: names are free
 * again only when a topic of that name can be created.
 */
export const deleteTopics = (names: string[], timeoutMs: number): Request<Map<string, string>> => ({
  key: 20,
  version: 3,
  flexible: false,
  write: (to) => to.array(names, (name) => to.string(name)).int(4, timeoutMs),
  read: (from) => {
    from.int(4)
    return new Map(from.array(() => [from.string() ?? '', errorName(from.int(2))]))
  },
})
