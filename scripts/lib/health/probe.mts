/** What the probes of the services have in common. */
import { error, type Finding, OpsError, reason, unknown } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { inTime } from '../common/wait.mts'
import type { ServiceName } from '../engines/service.mts'
import type { LagLimits } from '../kafka/lag-limits.mts'

export interface ProbeOptions extends LagLimits {
  /** Deadline of each question that a probe asks, in ms. */
  timeoutMs: number
  /** Milliseconds that are left for all that is asked, if they are few: they shorten `timeoutMs`. */
  leftMs?: number
  /** Write and read scratch data too. */
  deep: boolean
}

type Detail = string | number | boolean | null

/** What a probe found of a service that answered. */
export interface Probe {
  /** The essentials in a few words, for the service's line. */
  summary: string
  details: Record<string, Detail | readonly Record<string, Detail>[]>
  findings: Finding[]
  /** Set when it is not part of what runs, or when another service does not say whether it is. */
  state?: 'skipped' | 'unknown'
}

/** Milliseconds after which scratch data is what a check left behind that was killed. */
export const LEFTOVER_MS = 600_000

/** True for a name of `prefix`, the time in ms, and more, whose scratch data was left behind. */
export function isLeftover(name: string, prefix: string): boolean {
  const bornMs = name.startsWith(prefix) ? /^(\d{13})[-_]/.exec(name.slice(prefix.length))?.[1] : undefined
  return bornMs !== undefined && Number(bornMs) < Date.now() - LEFTOVER_MS
}

/** Does `work`; a failure, or no end within `timeoutMs`, becomes a finding. */
export async function attempt(
  code: string,
  subject: string,
  { hint, timeoutMs }: { hint: string; timeoutMs: number },
  work: () => Promise<unknown>,
): Promise<Finding[]> {
  const working = work()
  try {
    await inTime(working, timeoutMs, `not done within ${timeoutMs / 1000} s`)
    return []
  } catch (failure) {
    // It still deletes its scratch data; that it failed is reported already.
    working.catch(() => {})
    const found = reason(failure).split('\n')[0]?.slice(0, 300) ?? ''
    return [error(code, subject, { found, hint })]
  }
}

/** Causes that lie between here and the service: they say nothing about the service itself. */
const ON_THE_WAY = ['unknown host name', 'host unreachable', 'network unreachable']

/** The finding of a service that gave no answer: bad, unless the question never reached its machine. */
export function unanswered(service: ServiceName, address: string, failure: unknown): Finding {
  const cause = networkCause(failure instanceof OpsError ? failure.cause : failure)
  const make = ON_THE_WAY.includes(cause) ? unknown : error
  return make('NO_ANSWER', service, { found: `no answer from ${address} (${cause})`, hint: 'npm start' })
}
