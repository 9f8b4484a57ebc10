/** What the scripts ask Kafka about the brokers that hold partitions, and to change in that. */
import type Decoder from 'kafkajs/src/protocol/decoder.js'
import { grouped } from '../common/grouped.mts'
import { errorName, type Outcome } from './cluster-requests.mts'
import { isRefusal, NotAllowed, type Right } from './rights.mts'
import { type Request, readStructures, writeArray, writeStructures } from './transport.mts'

export interface TopicPartition {
  topic: string
  partition: number
}

/** A partition that is being moved. */
export interface Reassignment extends TopicPartition {
  /** Brokers that hold copies or get one. */
  replicas: number[]
  adding: number[]
  removing: number[]
}

/** Where an answer as a whole refuses: throws {@link NotAllowed} for a missing right, else says why. */
function refusal(code: number, message: string | null, operation: Right['operation']): Outcome {
  const error = errorName(code)
  if (isRefusal(error)) throw new NotAllowed({ operation, on: 'cluster', names: [] })
  return { error, message }
}

const byTopic = <T extends TopicPartition>(items: readonly T[]): [string, T[]][] => [
  ...grouped(items, ({ topic }) => topic),
]

/** What became of each partition, as `topic-partition`; each that has no answer of its own has that of the whole. */
export interface Outcomes {
  whole: Outcome
  partitions: Map<string, Outcome>
}

/** The partitions' answers, in structures of flexible versions. */
const readOutcomes = (from: Decoder): Map<string, Outcome> => {
  const outcomes = readStructures(from, () => {
    const topic = from.readUVarIntString() ?? ''
    return readStructures(from, (): [string, Outcome] => {
      const partition = from.readInt32()
      const outcome = { error: errorName(from.readInt16()), message: from.readUVarIntString() }
      return [`${topic}-${partition}`, outcome]
    })
  })
  return new Map(outcomes.flat())
}

/**
 * Begins to move partitions to these brokers, the first of which is to lead; null cancels what has not ended. For the controller. It answers at
 * once, and the brokers copy.
 */
export const alterReassignments = (
  moves: readonly (TopicPartition & { to: readonly number[] | null })[],
  timeoutMs: number,
): Request<Outcomes> => ({
  key: 45,
  version: 0,
  flexible: true,
  write: (to) =>
    writeStructures(to.writeInt32(timeoutMs), byTopic(moves), ([topic, list]) =>
      writeStructures(to.writeUVarIntString(topic), list, ({ partition, to: replicas }) => {
        to.writeInt32(partition).writeUVarInt(replicas ? replicas.length + 1 : 0)
        for (const id of replicas ?? []) to.writeInt32(id)
      }),
    ).writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    return {
      whole: refusal(from.readInt16(), from.readUVarIntString(), 'Alter'),
      partitions: readOutcomes(from),
    }
  },
})

/** Every partition that is being moved. For the controller. */
export const listReassignments = (timeoutMs: number): Request<{ whole: Outcome; moving: Reassignment[] }> => ({
  key: 46,
  version: 0,
  flexible: true,
  // All topics; no tags.
  write: (to) => to.writeInt32(timeoutMs).writeUVarInt(0).writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    const whole = refusal(from.readInt16(), from.readUVarIntString(), 'Describe')
    const ids = () => from.readUVarIntArray(() => from.readInt32()) ?? []
    const topics = readStructures(from, () => {
      const topic = from.readUVarIntString() ?? ''
      return readStructures(
        from,
        (): Reassignment => ({ topic, partition: from.readInt32(), replicas: ids(), adding: ids(), removing: ids() }),
      )
    })
    return { whole, moving: topics.flat() }
  },
})

/** Makes the first copy of each of these partitions its leader. For the controller. */
export const electPreferredLeaders = (partitions: readonly TopicPartition[], timeoutMs: number): Request<Outcomes> => ({
  key: 43,
  version: 2,
  flexible: true,
  write: (to) =>
    // 0 = PREFERRED
    writeStructures(to.writeInt8(0), byTopic(partitions), ([topic, list]) => {
      to.writeUVarIntString(topic).writeUVarInt(list.length + 1)
      for (const { partition } of list) to.writeInt32(partition)
    })
      .writeInt32(timeoutMs)
      .writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    return { whole: refusal(from.readInt16(), null, 'Alter'), partitions: readOutcomes(from) }
  },
})

/** Sets configuration keys of a topic, or of the one broker that is asked; null takes a key away. All others stay. */
export interface ConfigEdit {
  on: 'topic' | 'broker'
  name: string
  config: Record<string, string | null>
}

const TYPES = { topic: 2, broker: 4 } as const

/** Edits configuration, answered in the same order. Throws {@link NotAllowed} where it may not. */
export const editConfigs = (edits: readonly ConfigEdit[]): Request<Outcome[]> => ({
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
    const outcomes = from.readArray(() => {
      const [error, message] = [errorName(from.readInt16()), from.readString()]
      const on = from.readInt8() === TYPES.topic ? 'topic' : 'cluster'
      const name = from.readString() ?? ''
      if (isRefusal(error)) throw new NotAllowed({ operation: 'AlterConfigs', on, names: on === 'topic' ? [name] : [] })
      return { name, error, message }
    })
    return edits.map(({ name }) => outcomes.find((outcome) => outcome.name === name) ?? outcomes[0]) as Outcome[]
  },
})
