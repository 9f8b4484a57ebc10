/** The flags of health-check. */
import { configError, error } from '../common/findings.mts'
import { SERVICES, type ServiceName } from '../engines/service.mts'
import { LAG_LIMITS } from '../kafka/lag-limits.mts'
import type { ProbeOptions } from './probe.mts'

interface Given {
  only: string[]
  deep: boolean
  timeout: number
  'lag-warning': number | undefined
  'lag-critical': number | undefined
}

const COMMAND = './scripts/health-check.mts'

/**
 * Converts flags to probe options.
 * @throws {OpsError} exit code 2 for an unknown service, the canary without --deep, or contradictory limits
 */
export function probeOptionsOf(given: Given): ProbeOptions & { only: ServiceName[] } {
  const { only, deep, timeout, 'lag-warning': warning, 'lag-critical': critical } = given
  const refuse = (subject: string, found: string, expected: string, hint = `${COMMAND} --help`) => {
    throw configError([error('USAGE', subject, { found, expected, hint })])
  }
  const names: readonly string[] = SERVICES
  const unknown = only.filter((name) => !names.includes(name))
  if (unknown.length > 0) refuse('--only', unknown.join(', '), `any of ${SERVICES.join(', ')}`)
  if (only.includes('canary') && !deep)
    refuse(
      '--only canary',
      'no --deep',
      'both flags: the canary writes data',
      `${COMMAND} --only ${only.join(' ')} --deep`,
    )
  if (warning !== undefined && critical !== undefined && warning > critical)
    refuse('--lag-warning', `${warning}, above --lag-critical ${critical}`, 'at most --lag-critical')
  return {
    only: only as ServiceName[],
    deep,
    timeoutMs: timeout * 1000,
    lagWarning: warning ?? LAG_LIMITS.lagWarning,
    lagCritical: critical ?? LAG_LIMITS.lagCritical,
  }
}
