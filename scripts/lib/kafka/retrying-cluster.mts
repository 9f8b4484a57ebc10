/** A cluster connection for work that must survive the failure of a broker. */
import { setTimeout as delay } from 'node:timers/promises'
import { cannotTell, OpsError, reason, unknown } from '../common/findings.mts'
import { type Cluster, HEALTH_CHECK, openCluster } from './cluster.mts'
import { ControllerNotReady } from './controller.mts'
import type { Servers } from './options.mts'

export interface RetryingCluster {
  /** Runs `work` and returns its result. Runs it again, through another broker, if a broker fails or the controller is not ready. */
  use: <T>(work: (cluster: Cluster) => Promise<T>) => Promise<T>
  close: () => void
}

const RETRY_MS = 250

/**
 * Connects to the cluster behind KAFKA_BOOTSTRAP_SERVERS when it is first used, and reconnects after failures.
 * @param options.timeoutMs for each use including retries; afterwards it throws an {@link OpsError} with exit code 3
 */
export function retryingCluster(
  settings: Servers,
  { timeoutMs, log }: { timeoutMs: number; log: (line: string) => void },
): RetryingCluster {
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
        const isTransient =
          failure instanceof ControllerNotReady || (failure instanceof OpsError && failure.exitCode === 3)
        if (!isTransient) throw failure
        close()
        if (performance.now() > deadline) throw failure instanceof OpsError ? failure : noController(failure, timeoutMs)
        await delay(RETRY_MS)
      }
    }
  }
  return { use, close }
}

function noController(failure: Error, timeoutMs: number): OpsError {
  const found = `no controller answered within ${timeoutMs / 1000} s (${reason(failure)})`
  return cannotTell(unknown('KAFKA_CONTROLLER', 'kafka', { found, hint: HEALTH_CHECK }), failure)
}
