/** Renders a rebalance as text and as findings. */
import { error, type Finding, type Paint, warning } from '../common/findings.mts'
import { table } from '../common/table.mts'
import type { Outcome } from '../kafka/cluster-requests.mts'
import { outcomeText } from '../kafka/controller.mts'
import { nameOf } from '../kafka/reassignment-requests.mts'
import type { RebalancePlan } from './rebalance-plan.mts'
import { throttledFinding } from './throttle.mts'

const MIB = 1024 ** 2
const size = (bytes: number | undefined): string =>
  bytes === undefined ? 'unknown' : `${(bytes / MIB).toFixed(1)} MiB`
const number = (count: number): string => `${count} ${count === 1 ? 'partition' : 'partitions'}`

/** Renders one line per partition, with its brokers before and after, and one per throttled topic. */
export function renderRebalance({ moves, moving, elections, throttled }: RebalancePlan, paint: Paint): string {
  return table([
    ...moving.map(({ topic, partition, replicas, adding, removing }) => [
      paint('yellow', '~ moving'),
      `${topic}-${partition}`,
      `brokers ${replicas.filter((id) => !adding.includes(id))} → ${replicas.filter((id) => !removing.includes(id))}`,
    ]),
    ...moves.map(({ topic, partition, from, to, bytes }) => [
      paint('yellow', '~ move'),
      `${topic}-${partition}`,
      `brokers ${from} → ${to}${bytes === 0 ? '' : `, ${size(bytes)} to copy`}`,
    ]),
    ...elections.map(({ topic, partition, from, to }) => [
      paint('yellow', '~ elect'),
      `${topic}-${partition}`,
      `leader: ${from} → ${to}`,
    ]),
    ...throttled.map((name) => [paint('yellow', '~ unthrottle'), name, 'replication is throttled']),
  ])
}

/** Returns the number of lines that {@link renderRebalance} has for a plan; 0 if there is nothing to do. */
export const rebalanceCount = ({ moves, moving, elections, throttled }: RebalancePlan): number =>
  moves.length + moving.length + elections.length + throttled.length

/** Returns the bytes to copy over the network; undefined if the brokers do not report sizes. */
export function bytesToCopy({ moves }: Pick<RebalancePlan, 'moves'>): number | undefined {
  const sizes = moves.map(({ bytes }) => bytes)
  return sizes.includes(undefined) ? undefined : sizes.reduce<number>((sum, bytes = 0) => sum + bytes, 0)
}

/** Summarizes what was done or, unless the mode is `apply`, what would be. */
export function rebalanceText(
  plan: RebalancePlan,
  mode: 'apply' | 'plan' | 'check',
  done: readonly string[],
): string[] {
  if (mode === 'apply')
    return [`Rebalanced: ${done.length} of ${topicsOf(plan).size} topics`, ...done.map((line) => `  ${line}`)]
  return [`Topics that --rebalance would change: ${topicsOf(plan).size}, ${size(bytesToCopy(plan))} to copy`]
}

const topicsOf = ({ moves, moving, elections, throttled }: RebalancePlan): Set<string> =>
  new Set([...[...moves, ...moving, ...elections].map(({ topic }) => topic), ...throttled])

/** Describes in one line the work that is starting. */
export function summaryOf(plan: RebalancePlan, bytesPerSecond: number): string {
  const { moves, moving } = plan
  const parts = [
    ...(moves.length > 0 ? [`Moving ${number(moves.length)}, ${size(bytesToCopy(plan))} to copy`] : []),
    ...(moving.length > 0
      ? [`${moves.length > 0 ? 'waiting' : 'Waiting'} for ${number(moving.length)} already moving`]
      : []),
    ...(bytesPerSecond > 0 ? [`at most ${Number((bytesPerSecond / MIB).toFixed(3))} MiB/s per broker`] : []),
  ]
  return parts.join(', ')
}

/** Returns findings for what prevents a rebalance from making all or some of its moves. */
export function obstacles({ down, unsafe }: RebalancePlan, next: string): Finding[] {
  return [
    ...(down.length > 0
      ? [
          error('KAFKA_BROKERS_DOWN', 'kafka brokers', {
            found: `down: ${down.join(', ')}; replicas are not moved while brokers are down`,
            hint: `start them, then: ${next}`,
          }),
        ]
      : []),
    ...unsafe.map(({ topic, inSync, replication }) =>
      error('TOPIC_MIN_IN_SYNC', topic, {
        found: `min.insync.replicas ${inSync}; with fewer replicas, brokers may reject records sent with acks=all`,
        expected: `at most ${replication}, the replication`,
        hint: `declare config: {min.insync.replicas: ${replication}} for the topic, then: ${next}`,
      }),
    ),
  ]
}

interface Ended {
  plan: RebalancePlan
  after: RebalancePlan
  refused: ReadonlyMap<string, Outcome>
  stopped: boolean
}

/** Describes what was done and verified in the cluster, one line per topic. */
export function summaries({ plan, after }: Ended): string[] {
  const unmoved = new Set([...after.moves, ...after.moving].map(nameOf))
  const moved = new Set([...plan.moving, ...plan.moves].map(nameOf).filter((name) => !unmoved.has(name)))
  const unelected = new Set(after.elections.map(nameOf))
  const elected = new Set(plan.elections.map(nameOf).filter((name) => !unelected.has(name)))
  return [...topicsOf(plan)].flatMap((topic) => {
    const count = (of: Set<string>) => [...of].filter((name) => name.replace(/-\d+$/, '') === topic).length
    const parts = [
      ...(count(moved) > 0 ? [`${number(count(moved))} moved`] : []),
      ...(count(elected) > 0 ? [`${number(count(elected))} led by the preferred broker again`] : []),
      ...(plan.throttled.includes(topic) && !after.throttled.includes(topic) ? ['no longer throttled'] : []),
    ]
    return parts.length > 0 ? [`${topic}: ${parts.join(', ')}`] : []
  })
}

/** Returns findings for what was not done. */
export function leftFindings({ plan, after, refused, stopped }: Ended, timeoutMs: number, next: string): Finding[] {
  const findings = [...refused].map(([name, outcome]) =>
    error('TOPIC_NOT_MOVED', name, {
      found: `Kafka could not move the partition: ${outcomeText(outcome)}`,
      hint: next,
    }),
  )
  const [left, under] = [after.moves.filter((each) => !refused.has(nameOf(each))), after.moving]
  const all = new Set([...plan.moves, ...plan.moving].map(nameOf)).size
  if (stopped && left.length + under.length > 0) {
    const found = `stopped: ${left.length + under.length} of ${all} partitions were not moved`
    findings.push(error('REBALANCE_STOPPED', 'kafka partitions', { found, hint: next }))
  } else if (under.length > 0) {
    const throttle = after.throttled.length > 0 ? ', throttled' : ''
    const isDown = after.down.length > 0
    const down = isDown ? `; down: ${after.down.join(', ')}` : ''
    const back = isDown ? `${throttle && ','} once all are up` : ''
    const still = `${under.length} of ${all} are still moving, without progress for ${timeoutMs / 1000} s`
    const found = `${still}${down}; the brokers continue${throttle}${back}`
    const hint = isDown ? `start the brokers that are down, then: ${next}` : next
    findings.push(error('REBALANCE_UNDER_WAY', 'kafka partitions', { found, hint }))
  } else if (left.length > 0) {
    const found = `not moved as planned: ${left.map(nameOf).slice(0, 5).join(', ')}`
    findings.push(error('TOPIC_NOT_MOVED', 'kafka partitions', { found, hint: next }))
  }
  if (under.length === 0 && after.throttled.length > 0)
    findings.push(...after.throttled.map((name) => throttledFinding(name, next)))
  if (!stopped && after.elections.length > 0) {
    const found = `${after.elections.length}: ${after.elections.map(nameOf).slice(0, 5).join(', ')}`
    const subject = 'kafka partitions not led by their preferred broker'
    findings.push(warning('KAFKA_LEADERS', subject, { found, hint: next }))
  }
  return findings
}
