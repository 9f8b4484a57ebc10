/** Kafka requests about replica reassignment and leader election. */
import type Decoder from 'kafkajs/src/protocol/decoder.js'
import { grouped } from '../common/grouped.mts'
import { errorName, type Outcome } from './cluster-requests.mts'
import { isPermissionError, type Permission, PermissionDenied } from './permissions.mts'
import { BROKER_WAIT_MS, type Request, readStructures, writeStructures } from './transport.mts'

export interface TopicPartition {
  topic: string
  partition: number
}

/** `topic-partition`, as Kafka names it. */
export const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

/** A partition whose replicas are being reassigned. */
export interface Reassignment extends TopicPartition {
  /** Brokers that store a replica or are getting one. */
  replicas: number[]
  adding: number[]
  removing: number[]
}

/** Returns the outcome of a whole request. @throws {PermissionDenied} for a missing permission */
function outcomeOf(code: number, message: string | null, operation: Permission['operation']): Outcome {
  const error = errorName(code)
  if (isPermissionError(error)) throw new PermissionDenied({ operation, on: 'cluster', names: [] })
  return { error, message }
}

const byTopic = <T extends TopicPartition>(items: readonly T[]): [string, T[]][] => [
  ...grouped(items, ({ topic }) => topic),
]

/** The outcome of each partition, by `topic-partition`; `whole` applies to partitions that are not listed. */
export interface Outcomes {
  whole: Outcome
  partitions: Map<string, Outcome>
}

/** Reads the outcomes of partitions, in structures of flexible versions. */
const readOutcomes = (from: Decoder): Map<string, Outcome> => {
  const outcomes = readStructures(from, () => {
    const topic = from.readUVarIntString() ?? ''
    return readStructures(from, (): [string, Outcome] => {
      const partition = from.readInt32()
      const outcome = { error: errorName(from.readInt16()), message: from.readUVarIntString() }
      return [nameOf({ topic, partition }), outcome]
    })
  })
  return new Map(outcomes.flat())
}

/**
 * Starts to reassign replicas to these brokers, of which the first is the preferred leader; null cancels a reassignment in progress. Send it to
 * the controller, which answers at once while the brokers copy.
 */
export const alterReassignments = (
  moves: readonly (TopicPartition & { to: readonly number[] | null })[],
): Request<Outcomes> => ({
  key: 45,
  version: 0,
  flexible: true,
  write: (to) =>
    writeStructures(to.writeInt32(BROKER_WAIT_MS), byTopic(moves), ([topic, list]) =>
      writeStructures(to.writeUVarIntString(topic), list, ({ partition, to: replicas }) => {
        to.writeInt32(partition).writeUVarInt(replicas ? replicas.length + 1 : 0)
        for (const id of replicas ?? []) to.writeInt32(id)
      }),
    ).writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    return {
      whole: outcomeOf(from.readInt16(), from.readUVarIntString(), 'Alter'),
      partitions: readOutcomes(from),
    }
  },
})

/** Lists the reassignments in progress. Send it to the controller. */
export const listReassignments: Request<{ whole: Outcome; moving: Reassignment[] }> = {
  key: 46,
  version: 0,
  flexible: true,
  // All topics; no tags.
  write: (to) => to.writeInt32(BROKER_WAIT_MS).writeUVarInt(0).writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    const whole = outcomeOf(from.readInt16(), from.readUVarIntString(), 'Describe')
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
}

/** Makes the first replica of each of these partitions its leader. Send it to the controller. */
export const electPreferredLeaders = (partitions: readonly TopicPartition[]): Request<Outcomes> => ({
  key: 43,
  version: 2,
  flexible: true,
  write: (to) =>
    // 0 = PREFERRED
    writeStructures(to.writeInt8(0), byTopic(partitions), ([topic, list]) => {
      to.writeUVarIntString(topic).writeUVarInt(list.length + 1)
      for (const { partition } of list) to.writeInt32(partition)
    })
      .writeInt32(BROKER_WAIT_MS)
      .writeUVarInt(0),
  read: (from) => {
    from.forward(4)
    return { whole: outcomeOf(from.readInt16(), null, 'Alter'), partitions: readOutcomes(from) }
  },
})
