/** What the scripts ask Kafka about offsets: where partitions end, and what groups have committed. */

import { errorName } from './cluster-requests.mts'
import { Reader, type Request } from './codec.mts'

/** Which offset of a partition: after the last record, of the first that is kept, or of the record with the newest timestamp. */
export type Which = 'high' | 'low' | 'newest'
const WHICH: Record<Which, number> = { high: -1, low: -2, newest: -3 }

export interface PartitionOffset {
  topic: string
  partition: number
  error: string
  offset: number
  /** Milliseconds since 1970, only for `newest`; -1 when the partition is empty. */
  timestampMs: number
}

/** Offsets of partitions. For their leader. */
export const listOffsets = (
  which: Which,
  topics: { name: string; partitions: number[] }[],
): Request<PartitionOffset[]> => ({
  key: 2,
  version: 7,
  flexible: true,
  write: (to) =>
    to
      // Not a replica; committed and open transactions alike.
      .int(4, -1)
      .int(1, 0)
      .array(topics, ({ name, partitions }) =>
        to
          .string(name)
          .array(partitions, (index) => to.int(4, index).int(4, -1).int64(WHICH[which]).end())
          .end(),
      )
      .end(),
  read: (from) => {
    from.int(4)
    const answer = from.array(() => {
      const topic = from.string() ?? ''
      const partitions = from.array(() => {
        const [partition, error, timestampMs, offset] = [
          from.int(4),
          errorName(from.int(2)),
          from.int64(),
          from.int64(),
        ]
        from.int(4)
        from.end()
        return { topic, partition, error, offset, timestampMs }
      })
      from.end()
      return partitions
    })
    return answer.flat()
  },
})

/**
 * Deletes what a group has committed for partitions; answers with the group's error, else the first of a partition's. For the
 * group's coordinator, which refuses for topics that a member is subscribed to.
 */
export const deleteGroupOffsets = (
  groupId: string,
  topics: { name: string; partitions: number[] }[],
): Request<string> => ({
  key: 47,
  version: 0,
  flexible: false,
  write: (to) =>
    to
      .string(groupId)
      .array(topics, ({ name, partitions }) => to.string(name).array(partitions, (index) => to.int(4, index))),
  read: (from) => {
    const error = errorName(from.int(2))
    from.int(4)
    const partitions = from.array(() => {
      from.string()
      return from.array(() => {
        from.int(4)
        return errorName(from.int(2))
      })
    })
    return error === 'NONE' ? (partitions.flat().find((each) => each !== 'NONE') ?? 'NONE') : error
  },
})

/** The ids of the consumer groups that one broker coordinates, and the error that says why not all are told. */
export const listGroups: Request<{ error: string; groups: string[] }> = {
  key: 16,
  version: 1,
  flexible: false,
  write: (to) => to,
  read: (from) => {
    from.int(4)
    const error = errorName(from.int(2))
    const groups = from.array(() => ({ id: from.string() ?? '', protocol: from.string() ?? '' }))
    // Empty for a group that only commits; other protocols, such as Connect's, commit elsewhere.
    const ids = groups.filter(({ protocol }) => protocol === 'consumer' || protocol === '').map(({ id }) => id)
    return { error, groups: ids }
  },
}

/** All that a group has committed, and the first error that says why not all is told. For the group's coordinator. */
export const committedOffsets = (
  groupId: string,
): Request<{ error: string; offsets: { topic: string; partition: number; offset: number }[] }> => ({
  key: 9,
  version: 5,
  flexible: false,
  // No topics named: all.
  write: (to) => to.string(groupId).array(null, () => {}),
  read: (from) => {
    from.int(4)
    const topics = from.array(() => {
      const topic = from.string() ?? ''
      return from.array(() => {
        const [partition, offset] = [from.int(4), from.int64()]
        from.int(4)
        from.string()
        return { error: errorName(from.int(2)), topic, partition, offset }
      })
    })
    const all = topics.flat()
    const errors = [errorName(from.int(2)), ...all.map(({ error }) => error)]
    const offsets = all.map(({ topic, partition, offset }) => ({ topic, partition, offset }))
    return { error: errors.find((each) => each !== 'NONE') ?? 'NONE', offsets }
  },
})

/**
 * The topics of which a group's members are assigned partitions; none for a group without members, or of another protocol. While the
 * members are being assigned, the error is `REBALANCE_IN_PROGRESS`. For the group's coordinator.
 * @see ConsumerProtocolAssignment.json in Kafka 3.9
 */
export const assignedTopics = (groupId: string): Request<{ error: string; topics: string[] }> => ({
  key: 15,
  version: 1,
  flexible: false,
  write: (to) => to.array([groupId], (id) => to.string(id)),
  read: (from) => {
    from.int(4)
    const [group] = from.array(() => {
      const error = errorName(from.int(2))
      from.string()
      const [state, protocol] = [from.string() ?? '', from.string() ?? '']
      from.string()
      const members = from.array(() => {
        for (const _ of ['member id', 'client id', 'host']) from.string()
        from.array(() => from.int(1))
        return Buffer.from(from.array(() => from.int(1)))
      })
      return { error: state.endsWith('Rebalance') ? 'REBALANCE_IN_PROGRESS' : error, protocol, members }
    })
    const members = group?.error === 'NONE' && group.protocol === 'consumer' ? group.members : []
    return { error: group?.error ?? 'NONE', topics: [...new Set(members.flatMap(topicsOf))] }
  },
})

/** The topics of one member's assignment: a version, then per topic its name and partitions. Empty bytes for nothing assigned. */
function topicsOf(assignment: Buffer): string[] {
  if (assignment.length === 0) return []
  const from = new Reader(assignment, false)
  from.int(2)
  return from.array(() => {
    const topic = from.string() ?? ''
    from.array(() => from.int(4))
    return topic
  })
}
