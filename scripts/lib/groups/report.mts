/** Formats consumer groups and the plan of a reset for people. */
import { formatCount } from '../common/count.mts'
import type { Paint } from '../common/findings.mts'
import { table } from '../common/table.mts'
import { isConsumer } from '../kafka/lag.mts'
import { isMoved, type Move, recordsMoved } from './plan.mts'
import type { GroupStatus, TopicStatus } from './rates.mts'

const known = (number: number | null): string => (number === null ? 'unknown' : formatCount(number))

/** Formats seconds in the two largest units: "45 s", "12 min 30 s", "3 h 5 min", "2 d 4 h". */
export function formatSpan(seconds: number): string {
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ]
  const at = units.findIndex(([, size]) => seconds >= size)
  const parts: string[] = []
  let left = seconds
  for (const [unit, size] of units.slice(Math.max(0, at), at < 0 ? 0 : at + 2)) {
    const whole = Math.floor(left / size)
    left -= whole * size
    if (whole > 0) parts.push(`${whole} ${unit}`)
  }
  return parts.join(' ') || '0 s'
}

/** Returns when a group will have read a topic to its end. */
function caughtUp({ lag, catchUpSeconds, consumedPerSecond }: TopicStatus): string {
  if (lag === null) return 'unknown'
  if (lag === 0) return 'now'
  if (catchUpSeconds !== null) return `in ${formatSpan(catchUpSeconds)}`
  return consumedPerSecond === 0 ? 'never: nothing read' : 'never at this pace'
}

/**
 * Returns a table with a line for each topic of each group.
 * @param byPartition whether a line for each partition follows
 */
export function renderGroups(
  groups: readonly GroupStatus[],
  { byPartition }: { byPartition: boolean },
  paint: Paint,
): string {
  if (groups.length === 0) return 'No consumer groups'
  const rows = groups.flatMap(({ group, state, protocol, members, topics }) => {
    const style = state === 'Stable' ? 'green' : state === 'Empty' ? 'dim' : 'yellow'
    const head = [group, paint(style, state), String(members.length)]
    if (topics.length === 0)
      return [[...head, isConsumer({ protocol }) ? 'nothing committed' : `commits elsewhere (${protocol})`]]
    return topics.flatMap((status, index) => {
      const { topic, lag, consumedPerSecond, producedPerSecond, partitions } = status
      const rates = [consumedPerSecond, producedPerSecond].map((each) => formatCount(each))
      const line = [...(index === 0 ? head : ['', '', '']), topic, known(lag), ...rates, caughtUp(status)]
      const parts = partitions.map(({ partition, committed, end, lag: behind }) => {
        const position = committed === null ? 'nothing committed' : `at ${formatCount(committed)}`
        return ['', '', '', `  partition ${partition}: ${position} of ${known(end)}`, known(behind)]
      })
      return byPartition ? [line, ...parts] : [line]
    })
  })
  const heads = ['group', 'state', 'members', 'topic', 'lag', 'read/s', 'written/s', 'caught up']
  return table([heads, ...rows], { align: 'llrlrrr' })
}

/** Returns a table with a line for each partition whose offset moves, and the number of the others. */
export function renderMoves(group: string, moves: readonly Move[]): string {
  const rows = moves
    .filter(isMoved)
    .map((move) => [
      `${move.topic}/${move.partition}`,
      `${move.from === null ? 'nothing committed' : formatCount(move.from)} → ${formatCount(move.to)}`,
      effect(move),
    ])
  const unmoved = moves.length - rows.length
  return [
    `Consumer group ${group}`,
    ...(rows.length > 0 ? [table([['partition', 'offset', 'next consumer'], ...rows])] : []),
    ...(unmoved > 0
      ? [`  ${unmoved} ${unmoved === 1 ? 'partition is' : 'partitions are'} already at that position`]
      : []),
  ].join('\n')
}

function effect(move: Move): string {
  const { from, to, high } = move
  if (from === null) return `starts there: ${formatCount(high - to)} to read`
  const { again, skipped } = recordsMoved(move)
  if (again > 0) return `reads ${formatCount(again)} again`
  return skipped > 0 ? `skips ${formatCount(skipped)}` : 'continues as before'
}
