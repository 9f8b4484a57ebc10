/** A cluster for work that takes longer than a broker may live. */
import { setTimeout as delay } from 'node:timers/promises'
import { cannotTell, OpsError, reason, unknown } from '../common/findings.mts'
import { ASK_HEALTH, type Cluster, openCluster } from './cluster.mts'
import { NotNow } from './controller.mts'
import type { Servers } from './options.mts'

export interface SteadyCluster {
  /** What `work` comes to; it is done again, by way of another broker, where one goes away, or the controller cannot say yet. */
  use: <T>(work: (cluster: Cluster) => Promise<T>) => Promise<T>
  close: () => void
}

const AGAIN_MS = 250

/**
 * The cluster behind KAFKA_BOOTSTRAP_SERVERS.
 * @param options.timeoutMs for each work, with all repetitions; after that it throws an {@link OpsError} with exit code 3
 */
export function steadyCluster(
  settings: Servers,
  { timeoutMs, log }: { timeoutMs: number; log: (line: string) => void },
): SteadyCluster {
  let open: Cluster | undefined
  const close = () => {
    open?.close()
    open = undefined
  }
  const use = async <T,>(work: (cluster: Cluster) => Promise<T>): Promise<T> => {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      try {
        open ??= await openCluster(settings, { timeoutMs: Math.max(1_000, deadline - performance.now()), log })
        return await work(open)
      } catch (failure) {
        const passing = failure instanceof NotNow || (failure instanceof OpsError && failure.exitCode === 3)
        if (!passing) throw failure
        close()
        if (performance.now() > deadline) throw failure instanceof OpsError ? failure : silent(failure, timeoutMs)
        await delay(AGAIN_MS)
      }
    }
  }
  return { use, close }
}

function silent(failure: Error, timeoutMs: number): OpsError {
  const found = `no controller answers within ${timeoutMs / 1000} s (${reason(failure)})`
  return cannotTell(unknown('KAFKA_CONTROLLER', 'kafka', { found, hint: ASK_HEALTH }), failure)
}
