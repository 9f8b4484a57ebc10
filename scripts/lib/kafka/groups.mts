/** Consumer groups: their members, the topics they read, and their committed offsets. */
import { readUntil } from '../common/wait.mts'
import { type Cluster, HEALTH_CHECK, unreachable } from './cluster.mts'
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
  /** Topics that members are subscribed to; undefined while Kafka does not report them, as during a rebalance. */
  subscribed: string[] | undefined
  committed: CommittedOffset[]
}

export interface GroupReading extends ConsumerGroup, Pick<GroupDescription, 'protocol'> {
  /** `NONE`, or why the group could not be read completely. */
  error: string
  /** In the same order as `members`. */
  memberIds: string[]
  /** Topics of the partitions assigned to members. */
  assigned: string[]
}

export interface GroupsReading {
  /** `NONE`, or why the list of groups is incomplete. */
  error: string
  groups: GroupReading[]
}

/** Errors of a broker that has just started or has just become coordinator or leader, and of a group that is forming. */
const TRANSIENT = [
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REBALANCE_IN_PROGRESS',
]

/** Whether a retry may soon succeed. */
export const isTransient = ({ error, groups }: { error: string; groups: { error: string }[] }): boolean =>
  [error, ...groups.map((group) => group.error)].some((each) => TRANSIENT.includes(each))

/**
 * Reads all groups, or those with the given IDs.
 * @throws {OpsError} exit code 3 if a broker does not answer
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
 * Like {@link readGroups}, but retries transient errors.
 * @throws {OpsError} exit code 3 if a broker does not answer, or does not report everything within `timeoutMs`
 */
export async function readSettledGroups(
  cluster: Cluster,
  { KAFKA_BOOTSTRAP_SERVERS: servers }: Servers,
  timeoutMs: number,
  ids?: readonly string[],
): Promise<GroupReading[]> {
  const read = () => readGroups(cluster, ids)
  const reading = await readUntil(read, (each) => !isTransient(each), { timeoutMs, pollMs: 200 })
  const open = reading.groups.find(({ error }) => error !== 'NONE')
  const cause = reading.error === 'NONE' ? open && `group ${open.id}: ${open.error}` : `groups: ${reading.error}`
  if (cause) throw unreachable(servers.join(','), new Error(cause), timeoutMs, HEALTH_CHECK)
  return reading.groups
}
