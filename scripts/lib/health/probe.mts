/** What the probes of the services have in common. */
import { type Finding, reason } from '../common/findings.mts'
import { networkCause } from '../common/tcp.mts'
import { inTime } from '../common/wait.mts'

/** The services, and two ways through them: the built-in ingest where it is on, and with `deep` a canary. */
export const SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui', 'ingest', 'canary'] as const
export type ServiceName = (typeof SERVICES)[number]

/** Records of one consumer group or topic that are not read yet above which it is a warning, and an error. */
export interface LagLimits {
  lagWarning: number
  lagCritical: number
}

export const LAG_LIMITS: LagLimits = { lagWarning: 1_000, lagCritical: 10_000 }

export interface ProbeOptions extends LagLimits {
  /** Deadline of each question that a probe asks, in ms. */
  timeoutMs: number
  /** Milliseconds that are left for all that is asked, if they are few: they shorten `timeoutMs`. */
  leftMs?: number
  /** Write and read scratch data too. */
  deep: boolean
}

type Detail = string | number | boolean | null

/** What a probe learnt of a service that answered. */
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

/** Whether a name of `prefix`, the time in ms, and more is of scratch data that was left behind. */
export function isLeftover(name: string, prefix: string): boolean {
  const bornMs = name.startsWith(prefix) ? /^(\d{13})[-_]/.exec(name.slice(prefix.length))?.[1] : undefined
  return bornMs !== undefined && Number(bornMs) < Date.now() - LEFTOVER_MS
}

/** Collects the findings of one service. */
export class Findings {
  readonly list: Finding[] = []
  readonly #service: ServiceName

  constructor(service: ServiceName) {
    this.#service = service
  }

  add(
    severity: Finding['severity'],
    code: string,
    finding: Pick<Finding, 'found' | 'expected' | 'hint'>,
    about = '',
  ): void {
    this.list.push({ severity, code, subject: about ? `${this.#service} ${about}` : this.#service, ...finding })
  }

  /** Does `work`; what it throws, or that it has no end after `timeoutMs`, becomes a finding beside the others. */
  async attempt(
    code: string,
    about: string,
    { expected, hint, timeoutMs }: { expected: string; hint: string; timeoutMs: number },
    work: () => Promise<unknown>,
  ): Promise<void> {
    const working = work()
    try {
      await inTime(working, timeoutMs, `not done after ${timeoutMs / 1000} s`)
    } catch (error) {
      // It still tidies up behind itself; how that ends has been told as far as it can be.
      working.catch(() => {})
      const found = reason(error).split('\n')[0]?.slice(0, 300) ?? ''
      this.add('error', code, { found, expected, hint }, about)
    }
  }
}

/** Causes that lie between here and the service: they tell nothing about the service itself. */
const ON_THE_WAY = ['unknown host name', 'host unreachable', 'network unreachable']

/** The finding of a service that gave no answer: bad, unless the question never reached its machine. */
export function unanswered(service: ServiceName, address: string, error: unknown): Finding {
  const cause = networkCause(error)
  return {
    severity: ON_THE_WAY.includes(cause) ? 'unknown' : 'error',
    code: 'NO_ANSWER',
    subject: service,
    found: `no answer from ${address}: ${cause}`,
    expected: 'a service that answers',
    hint: 'npm start',
  }
}
