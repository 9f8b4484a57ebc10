/** Runs a rebalance: reassigns replicas as planned, and removes the throttle afterwards. */
import { onInterrupt } from '../command/interrupt.mts'
import type { Finding } from '../common/findings.mts'
import { waitUntil } from '../common/wait.mts'
import { nameOf } from '../kafka/reassignment-requests.mts'
import { type RetryingCluster, retryingCluster } from '../kafka/retrying-cluster.mts'
import type { Settings } from '../settings/settings.mts'
import type { DeclaredTopic } from './file.mts'
import { rebalanceCommand } from './hint.mts'
import { isChosen, type RebalancePlan, readReassignments, readRebalance } from './rebalance-plan.mts'
import { leftFindings, obstacles, summaries, summaryOf } from './rebalance-report.mts'
import { cancel, elect, submit, upIn, waitForMoves } from './rebalance-steps.mts'
import { throttle, throttledReplicas, unthrottle } from './throttle.mts'

export interface RebalanceOptions {
  declared: readonly DeclaredTopic[]
  /** Moves only these topics; all if empty. */
  only: readonly string[]
  /** Plans only, and changes nothing. */
  dryRun: boolean
  /** The limit of each broker's replication traffic, inbound and outbound; unlimited unless given. */
  bytesPerSecond?: number | undefined
  /** How long to wait for answers, and how long without progress. */
  timeoutMs: number
  log: (line: string) => void
  file?: string | undefined
}

export interface Rebalanced {
  plan: RebalancePlan
  /** What was done, one line per topic. */
  done: string[]
  findings: Finding[]
}

/** Milliseconds to wait until all brokers know what has moved. */
const SETTLE_MS = 10_000

/**
 * Gives declared topics their declared replication, balances them over the brokers, and makes the preferred brokers lead. Reassignments
 * already in progress, as after a kill, are waited for and their throttle is removed. Ctrl-C cancels unfinished moves. If the broker that
 * it is connected to fails, it continues with another.
 * @throws {OpsError} exit code 2 when the user lacks permissions, 3 when no broker answers
 */
export async function rebalance(settings: Settings, options: RebalanceOptions): Promise<Rebalanced> {
  const { declared, only, dryRun, timeoutMs, log, file } = options
  const link = retryingCluster(settings, { timeoutMs, log })
  const next = rebalanceCommand(only, file)
  let interrupted = false
  let release = () => {}
  const stopped = () => interrupted
  const read = () => link.use((cluster) => readRebalance(cluster, declared, only))
  try {
    const plan = await read()
    const blocked = obstacles(plan, next)
    if (dryRun || plan.down.length > 0) return { plan, done: [], findings: blocked }
    release = onInterrupt(() => {
      interrupted = true
      log('Canceling unfinished moves; press Ctrl-C again to let the brokers finish them')
    })
    const { bytesPerSecond = 0 } = options
    const throttling = bytesPerSecond > 0 ? throttledReplicas(plan.moves, plan.moving) : new Map<string, never>()
    if (throttling.size > 0) await throttleOrUndo(link, throttling, bytesPerSecond)
    if (plan.moves.length + plan.moving.length > 0) log(summaryOf(plan, bytesPerSecond))
    const refused = await submit(link, stopped() ? [] : plan.moves, timeoutMs)
    const planned = plan.moves.map((move) => ({ ...move, adding: move.to.filter((id) => !move.from.includes(id)) }))
    const moving = [...planned, ...plan.moving].filter((each) => !refused.has(nameOf(each)))
    const moved = await waitForMoves(link, moving, { timeoutMs, log, stopped })
    const ended = moved || (stopped() && (await cancel(link, moving, timeoutMs)))
    if (ended) await removeThrottle(link, [...new Set([...plan.throttled, ...throttling.keys()])])
    // This broker may learn of changes later than the controller.
    const isSettled = async () => {
      const { moves, throttled } = await read()
      return throttled.length === 0 && (!moved || moves.every((each) => refused.has(nameOf(each))))
    }
    if (ended) await waitUntil(isSettled, { timeoutMs: SETTLE_MS, pollMs: 250 })
    if (moved) await elect(link, (name) => isChosen(name, declared, only))
    const after = await read()
    const outcome = { plan, after, refused, stopped: stopped() }
    return { plan, done: summaries(outcome), findings: [...blocked, ...leftFindings(outcome, timeoutMs, next)] }
  } finally {
    release()
    link.close()
  }
}

/** Throttles these replicas; on failure, removes as much of the throttle as it can. */
async function throttleOrUndo(
  link: RetryingCluster,
  replicas: ReturnType<typeof throttledReplicas>,
  bytesPerSecond: number,
): Promise<void> {
  try {
    await link.use(async (cluster) => throttle(cluster, await upIn(cluster), replicas, bytesPerSecond))
  } catch (failure) {
    await removeThrottle(link, [...replicas.keys()]).catch(() => {})
    throw failure
  }
}

/**
 * Removes the throttle of these topics. The brokers' rates stay while any partition is being reassigned; they have no effect on topics
 * without throttled replicas.
 */
async function removeThrottle(link: RetryingCluster, topics: readonly string[]): Promise<void> {
  if (topics.length === 0) return
  await link.use(async (cluster) => {
    const isMoving = (await readReassignments(cluster)).length > 0
    await unthrottle(cluster, isMoving ? [] : await upIn(cluster), topics)
  })
}
