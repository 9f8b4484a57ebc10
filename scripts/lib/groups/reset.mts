/** Resets a consumer group's committed offsets: plans, confirms, commits and verifies. */
import { confirmWord, requireTerminal } from '../command/confirm.mts'
import { formatCount } from '../common/count.mts'
import { configError, error, exitCodeOf, type Finding, OpsError, unknown } from '../common/findings.mts'
import { nearest, suggestion } from '../common/nearest.mts'
import { quoted } from '../common/shell-quote.mts'
import { waitUntil } from '../common/wait.mts'
import { type Cluster, HEALTH_CHECK, openCluster } from '../kafka/cluster.mts'
import { commitOffsets, findCoordinator } from '../kafka/group-requests.mts'
import { type GroupReading, isTransient, readSettledGroups } from '../kafka/groups.mts'
import { readEnds, readOffsets } from '../kafka/offsets.mts'
import { readStarts, type Start } from '../kafka/start-position.mts'
import { isActive } from '../reset/guard.mts'
import { withoutReaders } from '../reset/hint.mts'
import type { Settings } from '../settings/settings.mts'
import { unknownGroup } from './groups.mts'
import { isMoved, type Move, planMoves, recordsMoved } from './plan.mts'
import { renderMoves } from './report.mts'

export interface ResetRequest {
  group: string
  /** The target position, and its text on the command line. */
  to: Start
  toText: string
  /** Limits the reset to these topics; if empty, all topics that the group has committed offsets for. */
  topics: readonly string[]
  yes: boolean
  dryRun: boolean
  timeoutMs: number
  log: (line: string) => void
}

export interface ResetOutcome {
  findings: Finding[]
  /** For people: the plan if nothing is to change, else the result; absent if the findings are sufficient. */
  text?: string
  moves: Move[]
  /** The user declined: nothing was changed. */
  declined?: true
}

const WORD = 'reset'

/** Returns the command that repeats the request. */
const commandOf = ({ group, toText, topics }: ResetRequest): string =>
  `./scripts/consumer-groups.mts reset --group ${quoted(group)}${topics.length > 0 ? ` --topic ${topics.join(' ')}` : ''} --to ${quoted(toText)}`

/**
 * Moves a group's offsets after confirmation. Changes nothing before that.
 * @throws {OpsError} exit code 2 for a group or topic that does not exist; 3 if Kafka does not answer, or not for all partitions
 */
export async function resetOffsets(settings: Settings, request: ResetRequest): Promise<ResetOutcome> {
  const { group: id, yes, dryRun, timeoutMs, log } = request
  if (!yes && !dryRun)
    requireTerminal('consumer-groups reset', 'no terminal to ask for confirmation', 'add --yes, or --dry-run')
  const cluster = await openCluster(settings, { timeoutMs, log })
  try {
    const group = await readGroup(cluster, settings, request)
    const moves = await readMoves(cluster, group, request)
    const moved = moves.filter(isMoved)
    const text = renderMoves(id, moves)
    const active = activeFindings(group, request)
    if (dryRun) return { findings: active, text, moves }
    log(text)
    if (exitCodeOf(active) !== 0) return { findings: active, moves }
    if (moved.length === 0) return { findings: [], text: 'Nothing to do', moves }
    if (!yes) {
      const answer = await confirmWord(`${question(id, moved)} Type "${WORD}" to continue [No]: `, WORD)
      if (!answer) return { findings: [], text: 'Declined: nothing was changed', moves, declined: true }
    }
    const refused = await commit(cluster, moved, request)
    const findings = refused.length > 0 ? refused : await verify(cluster, settings, moved, request)
    const done = `Reset and verified: ${moved.length} ${moved.length === 1 ? 'offset' : 'offsets'} of ${id}`
    return exitCodeOf(findings) === 0 ? { findings, text: done, moves } : { findings, moves }
  } finally {
    cluster.close()
  }
}

async function readGroup(cluster: Cluster, settings: Settings, request: ResetRequest): Promise<GroupReading> {
  const groups = await readSettledGroups(cluster, settings, request.timeoutMs)
  const group = groups.find(({ id }) => id === request.group)
  if (group) return group
  const names = groups.map(({ id }) => id)
  throw configError([unknownGroup(request.group, names, './scripts/consumer-groups.mts')])
}

async function readMoves(cluster: Cluster, group: GroupReading, request: ResetRequest): Promise<Move[]> {
  const { topics: only, to, timeoutMs } = request
  const present = cluster.metadata.topics.map(({ name }) => name)
  const wrong = only.filter((name) => !present.includes(name))
  if (wrong.length > 0)
    throw configError(
      wrong.map((name) => {
        const found = `no such topic${suggestion(nearest(name, present))}`
        return error('TOPIC_UNKNOWN', `--topic ${name}`, { found, hint: './scripts/consumer-groups.mts' })
      }),
    )
  const committed = [...new Set(group.committed.map(({ topic }) => topic))].filter((name) => present.includes(name))
  const names = only.length > 0 ? only : committed
  if (names.length === 0) {
    const found = 'nothing committed'
    const hint = `name the topics that it should read: ${commandOf({ ...request, topics: ['TOPIC'] })}`
    throw configError([error('GROUP_EMPTY', `group ${group.id}`, { found, hint })])
  }
  const { topics, high, unread, errors } = await readEnds(cluster, names, timeoutMs / 2)
  const low = await readOffsets(cluster, 'low', topics)
  const moves = planMoves(topics, group.committed, await readStarts(cluster, to, topics, { low, high }), { low, high })
  const open = topics.filter(
    ({ name, partitions }) => moves.filter(({ topic }) => topic === name).length < partitions.length,
  )
  if (open.length === 0) return moves
  throw new OpsError(
    3,
    open.map(({ name }) => {
      const which = unread.get(name)?.join(', ') ?? 'some'
      const found = `no offsets of partitions ${which} (${errors.get(name) ?? 'LEADER_NOT_AVAILABLE'})`
      return unknown('KAFKA_NOT_SERVED', name, { found, hint: `${HEALTH_CHECK} --only kafka` })
    }),
  )
}

/** Reports a group with active members: they would continue from their own positions, and commit those. */
function activeFindings(group: GroupReading, request: ResetRequest): Finding[] {
  if (!isActive(group)) return []
  const found = `${group.state}, ${group.members.join(', ') || 'members joining'}; they would continue from their current positions and commit those`
  return [error('GROUP_ACTIVE', `group ${group.id}`, { found, hint: withoutReaders(group.id, commandOf(request)) })]
}

function question(id: string, moves: readonly Move[]): string {
  const total = (of: 'again' | 'skipped') => formatCount(moves.reduce((sum, move) => sum + recordsMoved(move)[of], 0))
  return `${id} will read ${total('again')} records again and skip ${total('skipped')}.`
}

/** Commits the new offsets. Kafka refuses if the group has members by now. */
async function commit(cluster: Cluster, moves: readonly Move[], request: ResetRequest): Promise<Finding[]> {
  const { group: id, timeoutMs, log } = request
  const topics = [...new Set(moves.map(({ topic }) => topic))].map((name) => ({
    name,
    offsets: moves.filter(({ topic }) => topic === name).map(({ partition, to }) => ({ partition, offset: to })),
  }))
  log(`Moving ${moves.length} ${moves.length === 1 ? 'offset' : 'offsets'}`)
  let outcome = ''
  const settled = async () => {
    const { error: failure, brokerId } = await cluster.send(findCoordinator(id))
    outcome = failure === 'NONE' ? await cluster.sendTo(brokerId, commitOffsets(id, topics)) : failure
    return !isTransient({ error: outcome, groups: [] })
  }
  await waitUntil(settled, { timeoutMs, pollMs: 100 })
  if (outcome === 'NONE') return []
  const active = outcome === 'UNKNOWN_MEMBER_ID'
  const found = active
    ? 'members have joined in the meantime: Kafka refuses to commit the offsets'
    : `Kafka refuses to commit the offsets: ${outcome}`
  const hint = active ? withoutReaders(id, commandOf(request)) : `${HEALTH_CHECK} --only kafka`
  return [error(active ? 'GROUP_ACTIVE' : 'GROUP_NOT_RESET', `group ${id}`, { found, hint })]
}

/** Reads the offsets back, and reports those that are not as planned. */
async function verify(
  cluster: Cluster,
  settings: Settings,
  moves: readonly Move[],
  request: ResetRequest,
): Promise<Finding[]> {
  const { group: id, timeoutMs } = request
  const [now] = await readSettledGroups(cluster, settings, timeoutMs, [id])
  return moves.flatMap(({ topic, partition, to }) => {
    const at = now?.committed.find((each) => each.topic === topic && each.partition === partition)?.offset
    if (at === to) return []
    const hint = withoutReaders(id, commandOf(request))
    const subject = `group ${id} ${topic}/${partition}`
    return [
      error('GROUP_NOT_RESET', subject, { found: at === undefined ? 'nothing' : `${at}`, expected: `${to}`, hint }),
    ]
  })
}
