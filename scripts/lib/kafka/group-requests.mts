/** Kafka requests about consumer groups. Send all but findCoordinator and listGroups to the group's coordinator. */
import { errorName } from './cluster-requests.mts'
import { type Permission, withMissingAcl } from './permissions.mts'
import { type Request, writeArray } from './transport.mts'

/** Finds the broker that stores a group's offsets; `error` says why there is none. */
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

/** Returns the name of a group error, with the missing ACL if that is the cause. */
const groupError = (code: number, operation: Permission['operation'], groupId: string): string =>
  withMissingAcl(errorName(code), { operation, on: 'group', names: [groupId] })

/** Lists the IDs of the groups that one broker coordinates. The list is incomplete unless `error` is `NONE`. */
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
  /** Subscribed topics; undefined while Kafka does not report them, as during a rebalance. */
  subscribed: string[] | undefined
  /** Topics of its assigned partitions. */
  assigned: string[]
}

export interface GroupDescription {
  error: string
  /** Kafka's term: Empty, Stable, PreparingRebalance, CompletingRebalance or Dead. */
  state: string
  /** `consumer`, empty for a group that never had members, or another protocol, such as Kafka Connect's. */
  protocol: string
  members: Member[]
}

/**
 * Describes a group and its members. What the members read is known only for a stable group of protocol `consumer`.
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
      /** Reads topics from a member's bytes: a version, then each topic as its name and what `rest` reads; undefined if there are no bytes. */
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

/** Reads all offsets that a group has committed. They are incomplete unless `error`, the first one found, is `NONE`. */
export const committedOffsets = (groupId: string): Request<{ error: string; offsets: CommittedOffset[] }> => ({
  key: 9,
  version: 5,
  // null selects all topics.
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

/** Commits offsets for a group without members. Returns the first error. */
export const commitOffsets = (
  groupId: string,
  topics: { name: string; offsets: readonly { partition: number; offset: number }[] }[],
): Request<string> => ({
  key: 8,
  version: 2,
  write: (to) => {
    // No generation, no member, the broker's default retention.
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
 * Deletes a group's committed offsets. Returns the group's error, or else the first error of a partition. The coordinator refuses for topics
 * that a member is subscribed to.
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

/** Removes a member from its group. Returns the error. */
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
