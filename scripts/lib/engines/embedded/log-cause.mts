/** Why an embedded service gives no answer, by its log. */
import type { Finding } from '../../common/findings.mts'
import { isSilent, knownCause } from '../known-causes.mts'
import type { ServiceName } from '../service.mts'
import { lastLines, readRecords } from './processes.mts'

/**
 * Adds to the finding of a service that gives no answer, or refuses what it has, what its log says: a known cause, or the last line.
 */
export function explainByLog(
  { service, findings }: { service: ServiceName; findings: readonly Finding[] },
  dataDir: string,
): void {
  const silent = findings.find((finding) => isSilent(finding) && finding.severity === 'error')
  if (!silent) return
  // Without a record it was stopped, and its log is about an earlier life.
  const record = readRecords(dataDir).find(({ name }) => name === service)
  const log = record ? lastLines(record.log, 5000) : []
  const cause = knownCause(log.join('\n'), dataDir)
  if (cause) {
    silent.code = cause.code
    silent.found += `; its log shows ${cause.cause}`
    silent.hint = cause.hint
  } else if (log.length > 0) {
    silent.found += `; its log ends with "${log.at(-1)?.slice(0, 200)}"`
  }
}
