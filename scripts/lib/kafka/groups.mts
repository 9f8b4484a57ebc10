/** Kafka's consumer groups: who is in them, what they read, and what they have committed. */
import { readUntil } from '../common/wait.mts'
import { ASK_HEALTH, type Cluster, unreachable } from './cluster.mts'
import { metadata } from './cluster-requests.mts'
import {
  type CommittedOffset,
  committedOffsets,
  describeGroup,
  findCoordinator,
  type GroupDescription,
  listGroups,
} from './group-requests.mts'
import type { Servers } from './options.mts'

export interface ConsumerGroup extends Pick<GroupDescription, 'state'> {
  id: string
  /** `client id at host` of each member. */
  members: string[]
  /** Topics that a member is subscribed to; undefined while Kafka does not report them, as during a rebalance. */
  subscribed: string[] | undefined
  committed: CommittedOffset[]
}

export interface GroupReading extends ConsumerGroup, Pick<GroupDescription, 'protocol'> {
  /** `NONE`, or why not all of it could be read. */
  error: string
  /** In the order of `members`. */
  memberIds: string[]
  /** Topics of which a member is assigned partitions. */
  assigned: string[]
}

export interface GroupsReading {
  /** `NONE`, or why the list of groups is not whole. */
  error: string
  groups: GroupReading[]
}

/** Answers of a broker that has just started, or has just become coordinator or leader, and of a group that is about to begin. */
const PASSING = [
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REBALANCE_IN_PROGRESS',
]

/** Whether the same question may soon have another answer. */
export const isPassing = ({ error, groups }: { error: string; groups: { error: string }[] }): boolean =>
  [error, ...groups.map((group) => group.error)].some((each) => PASSING.includes(each))

/**
 * All groups, or those with the given ids, as the brokers report them now.
 * @throws {OpsError} exit code 3, when a broker does not answer
 */
export async function readGroups(cluster: Cluster, ids?: readonly string[]): Promise<GroupsReading> {
  const lists = ids
    ? [{ error: 'NONE', groups: ids }]
    : await Promise.all((await cluster.send(metadata)).brokers.map(({ id }) => cluster.sendTo(id, listGroups)))
  return {
    error: lists.find(({ error }) => error !== 'NONE')?.error ?? 'NONE',
    groups: await Promise.all(lists.flatMap(({ groups }) => groups).map((id) => readGroup(cluster, id))),
  }
}

async function readGroup(cluster: Cluster, id: string): Promise<GroupReading> {
  const { error, brokerId } = await cluster.send(findCoordinator(id))
  const none = {
    id,
    state: 'Dead',
    protocol: '',
    members: [],
    memberIds: [],
    subscribed: [],
    assigned: [],
    committed: [],
  }
  if (error !== 'NONE') return { ...none, error }
  const [described, read] = await Promise.all([
    cluster.sendTo(brokerId, describeGroup(id)),
    cluster.sendTo(brokerId, committedOffsets(id)),
  ])
  const { members, state, protocol } = described
  const silent = members.some(({ subscribed }) => subscribed === undefined)
  return {
    id,
    error: read.error === 'NONE' ? described.error : read.error,
    state,
    protocol,
    members: members.map(({ client }) => client),
    memberIds: members.map((member) => member.id),
    subscribed: silent ? undefined : members.flatMap(({ subscribed }) => subscribed ?? []),
    assigned: [...new Set(members.flatMap(({ assigned }) => assigned))],
    committed: read.offsets,
  }
}

/**
 * The same, read again while the brokers are not ready to say.
 * @throws {OpsError} exit code 3, when a broker does not answer, or does not report everything in `timeoutMs`
 */
export async function readSettledGroups(
  cluster: Cluster,
  { KAFKA_BOOTSTRAP_SERVERS: servers }: Servers,
  timeoutMs: number,
  ids?: readonly string[],
): Promise<GroupReading[]> {
  const read = () => readGroups(cluster, ids)
  const reading = await readUntil(read, (each) => !isPassing(each), { timeoutMs, pollMs: 200 })
  const open = reading.groups.find(({ error }) => error !== 'NONE')
  const cause = reading.error === 'NONE' ? open && `group ${open.id}: ${open.error}` : `groups: ${reading.error}`
  if (cause) throw unreachable(servers.join(','), new Error(cause), timeoutMs, ASK_HEALTH)
  return reading.groups
}
