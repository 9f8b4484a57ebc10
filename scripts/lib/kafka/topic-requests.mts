/** Kafka requests that read and change topics. */
import type Decoder from 'kafkajs/src/protocol/decoder.js'
import { errorName, type Outcome } from './cluster-requests.mts'
import { isPermissionError, type Permission, PermissionDenied, withMissingAcl } from './permissions.mts'
import { BROKER_WAIT_MS, type Request, writeArray } from './transport.mts'

/** The protocol's resource types. */
const TYPES = { topic: 2, broker: 4 } as const

export interface ConfigValue {
  value: string | null
  /** True if set on the topic itself, false if it is a default. */
  own: boolean
}

/** Reads every configuration key of each topic; missing topics are left out. @throws {PermissionDenied} if a configuration may not be read */
export const describeTopicConfigs = (names: string[]): Request<Map<string, Map<string, ConfigValue>>> => ({
  key: 32,
  version: 1,
  write: (to) =>
    writeArray(to, names, (name) =>
      writeArray(to.writeInt8(TYPES.topic).writeString(name), null, () => {}),
    ).writeBoolean(false),
  read: (from) => {
    from.forward(4)
    const topics = from.readArray(() => {
      const error = from.readInt16()
      from.readString()
      from.readInt8()
      const name = from.readString() ?? ''
      const values = from.readArray((): [string, ConfigValue] => {
        const [key, value] = [from.readString() ?? '', from.readString()]
        from.readBoolean()
        const source = from.readInt8()
        from.readBoolean()
        from.readArray(() => [from.readString(), from.readString(), from.readInt8()])
        // 1 = DYNAMIC_TOPIC_CONFIG; all others are defaults, set for the cluster, in the broker's file or by Kafka.
        return [key, { value, own: source === 1 }]
      })
      return { error, name, values: new Map(values) }
    })
    const refused = topics.filter(({ error }) => isPermissionError(errorName(error))).map(({ name }) => name)
    if (refused.length > 0) throw new PermissionDenied({ operation: 'DescribeConfigs', on: 'topic', names: refused })
    return new Map(topics.filter(({ error }) => error === 0).map(({ name, values }) => [name, values]))
  },
})

/** The outcome for one topic. A missing permission gets our own message, because Kafka's does not name the ACL. */
function outcomeOf(error: string, message: string | null, operation: Permission['operation'], name: string): Outcome {
  const permission = { operation, on: 'topic', names: [name] } as const
  return { error, message: isPermissionError(error) ? withMissingAcl(error, permission) : message }
}

const readOutcomes =
  (operation: Permission['operation']) =>
  (from: Decoder): Map<string, Outcome> => {
    from.forward(4)
    return new Map(
      from.readArray(() => {
        const [name, error, message] = [from.readString() ?? '', errorName(from.readInt16()), from.readString()]
        return [name, outcomeOf(error, message, operation, name)]
      }),
    )
  }

export interface NewTopic {
  name: string
  partitions: number
  replication: number
  config: Record<string, string>
}

/**
 * Creates topics, or with `validateOnly` only checks whether it could. Send it to the controller.
 * It answers when all topics are usable, or with REQUEST_TIMED_OUT and then continues.
 */
export const createTopics = (
  topics: readonly NewTopic[],
  { validateOnly }: { validateOnly: boolean },
): Request<Map<string, Outcome>> => ({
  key: 19,
  version: 4,
  write: (to) =>
    writeArray(to, topics, ({ name, partitions, replication, config }) => {
      to.writeString(name).writeInt32(partitions).writeInt16(replication)
      writeArray(to, [], () => {})
      writeArray(to, Object.entries(config), ([key, value]) => to.writeString(key).writeString(value))
    })
      .writeInt32(BROKER_WAIT_MS)
      .writeBoolean(validateOnly),
  read: readOutcomes('Create'),
})

/** Adds partitions to topics until each has the given number. Send it to the controller. */
export const createPartitions = (topics: { name: string; to: number }[]): Request<Map<string, Outcome>> => ({
  key: 37,
  version: 1,
  write: (to) =>
    writeArray(to, topics, (topic) => writeArray(to.writeString(topic.name).writeInt32(topic.to), null, () => {}))
      .writeInt32(BROKER_WAIT_MS)
      .writeBoolean(false),
  read: readOutcomes('Alter'),
})

/** New values for configuration keys of a topic, or of the broker that the request is sent to; null removes a key. */
export interface ConfigEdit {
  on: keyof typeof TYPES
  name: string
  config: Record<string, string | null>
}

/** Changes only the given configuration keys, unlike AlterConfigs, which kafkajs sends and which resets every key that it is not given. */
const alterConfigs = <T,>(
  edits: readonly ConfigEdit[],
  answer: (on: keyof typeof TYPES, name: string, outcome: Outcome) => T,
): Request<Map<string, T>> => ({
  key: 44,
  version: 0,
  write: (to) =>
    writeArray(to, edits, ({ on, name, config }) =>
      writeArray(to.writeInt8(TYPES[on]).writeString(name), Object.entries(config), ([key, value]) =>
        // 0 = SET, 1 = DELETE
        to
          .writeString(key)
          .writeInt8(value === null ? 1 : 0)
          .writeString(value),
      ),
    ).writeBoolean(false),
  read: (from) => {
    from.forward(4)
    return new Map(
      from.readArray(() => {
        const outcome = { error: errorName(from.readInt16()), message: from.readString() }
        const [on, name] = [from.readInt8() === TYPES.topic ? 'topic' : 'broker', from.readString() ?? ''] as const
        return [name, answer(on, name, outcome)]
      }),
    )
  },
})

/** Sets configuration keys of topics. Returns the outcome for each topic. */
export const setTopicConfigs = (
  topics: { name: string; config: Record<string, string> }[],
): Request<Map<string, Outcome>> =>
  alterConfigs(
    topics.map((topic) => ({ on: 'topic', ...topic })),
    (_, name, { error, message }) => outcomeOf(error, message, 'AlterConfigs', name),
  )

/** Changes configuration. Returns the outcome for each topic or broker. @throws {PermissionDenied} for a missing permission */
export const editConfigs = (edits: readonly ConfigEdit[]): Request<Map<string, Outcome>> =>
  alterConfigs(edits, (on, name, outcome) => {
    const resource = on === 'topic' ? { on, names: [name] } : { on: 'cluster' as const, names: [] }
    if (isPermissionError(outcome.error)) throw new PermissionDenied({ operation: 'AlterConfigs', ...resource })
    return outcome
  })

/**
 * Deletes topics with their records. Returns an error for each topic. Send it to the controller, which continues after its answer: a name is
 * not free until a topic of that name can be created.
 */
export const deleteTopics = (names: string[]): Request<Map<string, string>> => ({
  key: 20,
  version: 3,
  write: (to) => writeArray(to, names, (name) => to.writeString(name)).writeInt32(BROKER_WAIT_MS),
  read: (from) => {
    from.forward(4)
    return new Map(
      from.readArray(() => {
        const [name, error] = [from.readString() ?? '', errorName(from.readInt16())]
        return [name, withMissingAcl(error, { operation: 'Delete', on: 'topic', names: [name] })]
      }),
    )
  },
})
