/** Moves the copies of partitions to the brokers that a plan gives them, and leaves no throttle behind. */
import { onInterrupt } from '../command/interrupt.mts'
import type { Finding } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { nameOf } from '../kafka/reassignment-requests.mts'
import { type SteadyCluster, steadyCluster } from '../kafka/retrying-cluster.mts'
import type { Settings } from '../settings/settings.mts'
import type { DeclaredTopic } from './file.mts'
import { rebalanceCommand } from './hint.mts'
import { isChosen, type RebalancePlan, readReassignments, readRebalance } from './rebalance-plan.mts'
import { hindrances, leftFindings, summaries, summaryOf } from './rebalance-report.mts'
import { arrival, cancel, elect, submit, upIn } from './rebalance-steps.mts'
import { throttle, throttledCopies, unthrottle } from './throttle.mts'

export interface RebalanceOptions {
  declared: readonly DeclaredTopic[]
  /** Moves these topics; all for none. */
  only: readonly string[]
  /** Shows what would be done, and changes nothing. */
  dryRun: boolean
  /** That each broker may copy, in and out; as fast as it can unless given. */
  bytesPerSecond?: number | undefined
  /** To wait for answers, and while nothing moves. */
  timeoutMs: number
  log: (line: string) => void
  file?: string | undefined
}

export interface Rebalanced {
  /** What was to be done. */
  plan: RebalancePlan
  /** What was, a line a topic. */
  done: string[]
  findings: Finding[]
}

/** Milliseconds in which all brokers learn what has moved. */
const SETTLE_MS = 10_000

/**
 * Makes the copies of declared topics as many as declared and even over the brokers, and lets the first of each lead. What is being moved
 * already, as after a kill, is waited for, and its throttle taken away. Ctrl-C cancels what has not arrived. Outlives the broker that it asks.
 * @throws {OpsError} exit code 2 where the login may not, 3 when no broker answers
 */
export async function rebalance(settings: Settings, options: RebalanceOptions): Promise<Rebalanced> {
  const { declared, only, dryRun, timeoutMs, log, file } = options
  const link = steadyCluster(settings, { timeoutMs, log })
  const next = rebalanceCommand(only, file)
  let asked = false
  let release = () => {}
  const stopped = () => asked
  const read = () => link.use((cluster) => readRebalance(cluster, declared, only))
  try {
    const plan = await read()
    const hindered = hindrances(plan, next)
    if (dryRun || plan.down.length > 0) return { plan, done: [], findings: hindered }
    release = onInterrupt(() => {
      asked = true
      log('Cancelling what has not arrived; press Ctrl-C again to leave it to the brokers')
    })
    const { bytesPerSecond = 0 } = options
    const throttling = bytesPerSecond > 0 ? throttledCopies(plan.moves, plan.moving) : new Map<string, never>()
    if (throttling.size > 0) await limit(link, throttling, bytesPerSecond)
    if (plan.moves.length + plan.moving.length > 0) log(summaryOf(plan, bytesPerSecond))
    const refused = await submit(link, stopped() ? [] : plan.moves, timeoutMs)
    const planned = plan.moves.map((move) => ({ ...move, adding: move.to.filter((id) => !move.from.includes(id)) }))
    const under = [...planned, ...plan.moving].filter((each) => !refused.has(nameOf(each)))
    const arrived = await arrival(link, under, { timeoutMs, log, stopped })
    const quiet = arrived || (stopped() && (await cancel(link, under, timeoutMs)))
    if (quiet) await tidy(link, [...new Set([...plan.throttled, ...throttling.keys()])])
    // The broker that is asked may hear of it later than the controller.
    const isSettled = async () => {
      const { moves, throttled } = await read()
      return throttled.length === 0 && (!arrived || moves.every((each) => refused.has(nameOf(each))))
    }
    if (quiet) await waitUntil(isSettled, { timeoutMs: SETTLE_MS, pollMs: 250 })
    if (arrived) await elect(link, (name) => isChosen(name, declared, only))
    const after = await read()
    const outcome = { plan, after, refused, stopped: stopped() }
    return { plan, done: summaries(outcome), findings: [...hindered, ...leftFindings(outcome, timeoutMs, next)] }
  } finally {
    release()
    link.close()
  }
}

/** Throttles these copies; takes back what it can where not all of it is possible. */
async function limit(link: SteadyCluster, copies: ReturnType<typeof throttledCopies>, bytesPerSecond: number) {
  try {
    await link.use(async (cluster) => throttle(cluster, await upIn(cluster), copies, bytesPerSecond))
  } catch (failure) {
    await tidy(link, [...copies.keys()]).catch(() => {})
    throw failure
  }
}

/** Takes throttles away; the rates of brokers stay while others move partitions, and without a topic's list they bound nothing. */
async function tidy(link: SteadyCluster, topics: readonly string[]): Promise<void> {
  if (topics.length === 0) return
  await link.use(async (cluster) => {
    const others = (await readReassignments(cluster)).length > 0
    await unthrottle(cluster, others ? [] : await upIn(cluster), topics)
  })
}
