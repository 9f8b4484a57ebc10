/** What the scripts ask Kafka about consumer groups. All but the first two are for the group's coordinator. */
import { errorName } from './cluster-requests.mts'
import { type Right, withRight } from './permissions.mts'
import { type Request, writeArray } from './transport.mts'

/** The id of the broker that keeps a group's offsets, or the error that says why there is none. */
export const findCoordinator = (groupId: string): Request<{ error: string; brokerId: number }> => ({
  key: 10,
  version: 2,
  // 0 = a consumer group
  write: (to) => to.writeString(groupId).writeInt8(0),
  read: (from) => {
    from.forward(4)
    const error = groupError(from.readInt16(), 'Describe', groupId)
    from.readString()
    return { error, brokerId: from.readInt32() }
  },
})

/** The error of a request about a group, with the ACL that it lacks where it says so. */
const groupError = (code: number, operation: Right['operation'], groupId: string): string =>
  withRight(errorName(code), { operation, on: 'group', names: [groupId] })

/** The ids of the groups that one broker coordinates, and the error that says why these are not all. */
export const listGroups: Request<{ error: string; groups: string[] }> = {
  key: 16,
  version: 1,
  write: () => {},
  read: (from) => {
    from.forward(4)
    const error = errorName(from.readInt16())
    const groups = from.readArray(() => {
      const id = from.readString() ?? ''
      from.readString()
      return id
    })
    return { error, groups }
  },
}

export interface Member {
  id: string
  /** `client id at host`. */
  client: string
  /** Topics that it is subscribed to; undefined while Kafka does not report them, as during a rebalance. */
  subscribed: string[] | undefined
  /** Topics of which it is assigned partitions. */
  assigned: string[]
}

export interface GroupDescription {
  error: string
  /** Kafka's word: Empty, Stable, PreparingRebalance, CompletingRebalance or Dead. */
  state: string
  /** `consumer`, empty for a group that never had members, or another kind's, such as Connect's. */
  protocol: string
  members: Member[]
}

/**
 * A group and its members. What the members read is known of a stable group of protocol `consumer` alone.
 * @see ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json in Kafka 3.9
 */
export const describeGroup = (groupId: string): Request<GroupDescription> => ({
  key: 15,
  version: 1,
  write: (to) => writeArray(to, [groupId], (id) => to.writeString(id)),
  read: (from) => {
    from.forward(4)
    const [group] = from.readArray((): GroupDescription => {
      const error = groupError(from.readInt16(), 'Describe', groupId)
      from.readString()
      const [state, protocol] = [from.readString() ?? '', from.readString() ?? '']
      from.readString()
      /** Topics in a member's bytes: a version, then each by name, which `rest` of it follows; undefined for no bytes. */
      const topics = (rest: (each: typeof from) => void): string[] | undefined => {
        const size = from.readInt32()
        const bytes = from.slice(size)
        from.forward(size)
        if (size <= 0 || protocol !== 'consumer') return undefined
        bytes.forward(2)
        return bytes.readArray(() => {
          const name = bytes.readString() ?? ''
          rest(bytes)
          return name
        })
      }
      const members = from.readArray(() => {
        const [id, client, host] = [1, 2, 3].map(() => from.readString() ?? '')
        const subscribed = topics(() => {})
        const assigned = topics((each) => each.readArray(() => each.readInt32())) ?? []
        return { id: id ?? '', client: `${client} at ${host?.replace(/^\//, '')}`, subscribed, assigned }
      })
      return { error, state, protocol, members }
    })
    return group ?? { error: 'GROUP_ID_NOT_FOUND', state: 'Dead', protocol: '', members: [] }
  },
})

export interface CommittedOffset {
  topic: string
  partition: number
  offset: number
}

/** All that a group has committed, and the first error that says why that is not all. */
export const committedOffsets = (groupId: string): Request<{ error: string; offsets: CommittedOffset[] }> => ({
  key: 9,
  version: 5,
  // No topics named: all.
  write: (to) => writeArray(to.writeString(groupId), null, () => {}),
  read: (from) => {
    from.forward(4)
    const topics = from.readArray(() => {
      const topic = from.readString() ?? ''
      return from.readArray(() => {
        const [partition, offset] = [from.readInt32(), Number(from.readInt64())]
        from.forward(4)
        from.readString()
        return { error: errorName(from.readInt16()), topic, partition, offset }
      })
    })
    const all = topics.flat()
    const errors = [groupError(from.readInt16(), 'Describe', groupId), ...all.map(({ error }) => error)]
    // -1: nothing committed for this partition.
    const offsets = all.filter(({ offset }) => offset >= 0)
    return {
      error: errors.find((each) => each !== 'NONE') ?? 'NONE',
      offsets: offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
    }
  },
})

/** Commits offsets for a group without members; answers with the first error. They are kept for as long as the broker keeps any. */
export const commitOffsets = (
  groupId: string,
  topics: { name: string; offsets: readonly { partition: number; offset: number }[] }[],
): Request<string> => ({
  key: 8,
  version: 2,
  write: (to) => {
    // No generation, no member.
    to.writeString(groupId).writeInt32(-1).writeString('').writeInt64(-1)
    return writeArray(to, topics, ({ name, offsets }) =>
      writeArray(to.writeString(name), offsets, ({ partition, offset }) =>
        to.writeInt32(partition).writeInt64(offset).writeString(null),
      ),
    )
  },
  read: (from) => firstError(readPartitionErrors(from)),
})

/**
 * Deletes what a group has committed for partitions; answers with the group's error, else the first of a partition's. The coordinator
 * refuses for topics that a member is subscribed to.
 */
export const deleteGroupOffsets = (
  groupId: string,
  topics: { name: string; partitions: number[] }[],
): Request<string> => ({
  key: 47,
  version: 0,
  write: (to) =>
    writeArray(to.writeString(groupId), topics, ({ name, partitions }) =>
      writeArray(to.writeString(name), partitions, (index) => to.writeInt32(index)),
    ),
  read: (from) => {
    const error = groupError(from.readInt16(), 'Delete', groupId)
    from.forward(4)
    return firstError([error, ...readPartitionErrors(from)])
  },
})

/** Ends a member's part in its group; answers with the error. */
export const leaveGroup = (groupId: string, memberId: string): Request<string> => ({
  key: 13,
  version: 1,
  write: (to) => to.writeString(groupId).writeString(memberId),
  read: (from) => {
    from.forward(4)
    return errorName(from.readInt16())
  },
})

function readPartitionErrors(from: Parameters<Request<string>['read']>[0]): string[] {
  const topics = from.readArray(() => {
    from.readString()
    return from.readArray(() => {
      from.forward(4)
      return errorName(from.readInt16())
    })
  })
  return topics.flat()
}

const firstError = (errors: string[]): string => errors.find((each) => each !== 'NONE') ?? 'NONE'
