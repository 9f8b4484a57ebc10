/** Finds in a service's log why it did not start or does not answer. */
import path from 'node:path'
import { error, type Finding, OpsError } from '../../common/findings.mts'
import { isSilent, knownCause } from '../known-causes.mts'
import type { ServiceName } from '../service.mts'
import type { EmbeddedService } from './definition.mts'
import { lastLines, type ProcessRecord, readRecords } from './processes.mts'

/** Returns the error for a port on which another service answers. */
export function portHeld({ name, host }: EmbeddedService, port: number): OpsError {
  const found = `${host}:${port} is answered by a service that was not started from this data folder`
  return new OpsError(1, [error('PORT_TAKEN', name, { found, hint: 'npm run ports' })])
}

/** Returns the error for a service that exited or did not answer: with the known cause, if any, and lines of its log. */
export function failure({ name, log }: Pick<ProcessRecord, 'name' | 'log'>, found: string): OpsError {
  const lines = lastLines(log, 1000)
  const cause = knownCause(lines.join('\n'), path.dirname(path.dirname(log)))
  const errors = errorLines(lines)
  const shown = errors.length > 0 ? ['shows', ...errors.slice(0, 5)] : ['ends with', ...lines.slice(-5)]
  const text = `${found}${cause ? `: ${cause.cause}` : ''}; ${log} ${shown.map((line) => line.slice(0, 300)).join('\n      ')}`
  return new OpsError(1, [
    error(cause?.code ?? 'SERVICE_START', name, { found: text, hint: cause?.hint ?? `read ${log}` }),
  ])
}

/** Returns a log's exceptions, then its other error lines, each once. The log of a JVM ends with a stack trace and repeats its errors. */
function errorLines(lines: readonly string[]): string[] {
  const exceptions = lines.filter((line) => /^(Caused by: )?[\w.$]+(Exception|Error)\b/.test(line))
  const errors = lines.filter((line) => /\b(ERROR|FATAL)\b|<(Error|Fatal)>/.test(line))
  return [...new Set([...exceptions, ...errors])]
}

/** Adds a known cause, or the last line of the log, to the finding of an embedded service that the log may explain. */
export function explainByLog(
  { service, findings }: { service: ServiceName; findings: readonly Finding[] },
  dataDir: string,
): void {
  const silent = findings.find((finding) => isSilent(finding) && finding.severity === 'error')
  if (!silent) return
  // Without a record the service was stopped, and its log is from an earlier run.
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
