/** Renders a topic plan, and the outcome of a run, as text. */
import type { Finding, Paint } from '../common/findings.mts'
import { table } from '../common/table.mts'
import { describeTopic } from './findings.mts'
import { changedTopics, deletes, type TopicPlan } from './plan.mts'
import type { RebalancePlan } from './rebalance-plan.mts'
import { rebalanceCount, rebalanceText, renderRebalance } from './rebalance-report.mts'

/** Renders a plan with one line per change and per topic left alone. */
export function renderPlan(plan: TopicPlan, paint: Paint): string {
  return table([
    ...plan.create.map((topic) => [paint('green', '+ create'), topic.name, describeTopic(topic)]),
    ...plan.grow.map(({ topic, from }) => [
      paint('yellow', '^ grow'),
      topic.name,
      `${from} → ${topic.partitions} partitions`,
    ]),
    ...plan.configure.flatMap(({ topic, changes }) =>
      changes.map((change) => {
        const { key, from, to } = change
        const loss = deletes(change)
        const what = `${key}: ${from} → ${to}${loss ? `; the broker deletes ${loss}` : ''}`
        return [paint('yellow', '~ configure'), topic.name, what]
      }),
    ),
    ...plan.impossible.map(({ topic, what, from, later = [] }) => [
      what === 'partitions' ? paint('red', '✗ cannot change') : paint('yellow', '✗ needs --rebalance'),
      topic.name,
      [`${what}: ${from} → ${topic[what]}`, ...later.map(({ key, from, to }) => `${key}: ${from} → ${to}`)].join(
        ', then ',
      ),
    ]),
    ...plan.undeclared.map((name) => [paint('dim', '· not declared'), name, 'left alone']),
  ])
}

export interface Synced {
  clusterId: string
  brokers: number
  plan: TopicPlan
  /** Changes that were made and verified, one line each. */
  done: string[]
  /** The rebalance plan; undefined if no rebalance was requested. */
  placement?: RebalancePlan
  /** What the rebalance did, one line per topic. */
  moved?: string[]
  findings: Finding[]
}

/** Renders the outcome of a run: the cluster, the plan, the changes made and the seconds that they took. */
export function renderSynced(
  { clusterId, brokers, plan, done, placement, moved = [] }: Omit<Synced, 'findings'>,
  mode: 'apply' | 'plan' | 'check',
  seconds: number,
  paint: Paint,
): string {
  const changes = changedTopics(plan).size
  const text = [`Cluster ${clusterId}, brokers: ${brokers}`]
  if (mode !== 'check') text.push(renderPlan(plan, paint))
  const moves = placement ? rebalanceCount(placement) : 0
  if (placement && mode !== 'check') text.push(renderRebalance(placement, paint))
  if (changes > 0 && mode === 'apply')
    text.push(`Changed in ${seconds.toFixed(1)} s: ${done.length} of ${changes}`, ...done.map((line) => `  ${line}`))
  else if (changes > 0) text.push(`Topics that ${mode === 'check' ? 'differ' : 'would change'}: ${changes}`)
  else if (moves === 0) {
    const stuck = plan.impossible.some(({ what }) => what === 'partitions')
    const rest = plan.impossible.length > 0 ? 'Nothing can be changed without --rebalance' : 'Nothing to do'
    text.push(stuck ? 'Nothing can be changed' : rest)
  }
  if (placement && moves > 0) text.push(...rebalanceText(placement, mode, moved))
  return text.filter(Boolean).join('\n')
}

/** Whether applying the plan and the rebalance would change anything. */
export const wouldChange = ({ plan, placement }: Pick<Synced, 'plan' | 'placement'>): boolean =>
  changedTopics(plan).size > 0 || (placement !== undefined && rebalanceCount(placement) > 0)
