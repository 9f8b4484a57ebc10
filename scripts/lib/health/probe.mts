/** Types and helpers shared by the probes. */
import { error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { inTime } from '../common/wait.mts'
import type { ServiceName } from '../engines/service.mts'
import type { LagLimits } from '../kafka/lag-limits.mts'

export interface ProbeOptions extends LagLimits {
  /** Deadline of each request of a probe, in ms. */
  timeoutMs: number
  /** Milliseconds left for the whole check; may shorten `timeoutMs`. */
  leftMs?: number
  /** Also write and read scratch data. */
  deep: boolean
}

type Detail = string | number | boolean | null

/** The result for a service that answered. */
export interface Probe {
  /** A few words for the service's line of the report. */
  summary: string
  details: Record<string, Detail | readonly Record<string, Detail>[]>
  findings: Finding[]
  /** Set if the service is not part of the running stack, or if that cannot be determined. */
  state?: 'skipped' | 'unknown'
}

/** Age in ms from which scratch data is the leftover of a killed check. */
export const LEFTOVER_MS = 600_000

/** True for a name (`prefix`, then the creation time in ms) of leftover scratch data. */
export function isLeftover(name: string, prefix: string): boolean {
  const createdMs = name.startsWith(prefix) ? /^(\d{13})[-_]/.exec(name.slice(prefix.length))?.[1] : undefined
  return createdMs !== undefined && Number(createdMs) < Date.now() - LEFTOVER_MS
}

/** Runs `work` and returns a finding if it fails or does not finish within `timeoutMs`. */
export async function attempt(
  code: string,
  subject: string,
  { hint, timeoutMs }: { hint: string; timeoutMs: number },
  work: () => Promise<unknown>,
): Promise<Finding[]> {
  const working = work()
  try {
    await inTime(working, timeoutMs, `did not finish within ${timeoutMs / 1000} s`)
    return []
  } catch (failure) {
    // After a timeout the work continues and deletes its scratch data; a later failure is not reported again.
    working.catch(() => {})
    const found = reason(failure).split('\n')[0]?.slice(0, 300) ?? ''
    return [error(code, subject, { found, hint })]
  }
}

/** Network causes that say nothing about the service itself. */
const NETWORK_CAUSES = ['unknown host name', 'host unreachable', 'network unreachable']

/** Returns the finding for a service that did not answer: an error, or unknown if its host could not be reached. */
export function unanswered(service: ServiceName, address: string, failure: unknown): Finding {
  const cause = networkCause(failure instanceof OpsError ? failure.cause : failure)
  const make = NETWORK_CAUSES.includes(cause) ? unknown : error
  return make('NO_ANSWER', service, { found: `no answer from ${address} (${cause})`, hint: 'npm start' })
}
