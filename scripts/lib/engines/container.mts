/** What Docker knows of a service's container and its log gives away: the cause behind a probe's finding. */

import { type Finding, OpsError } from '../common/findings.mts'
import type { ServiceName } from '../health/probe.mts'
import { type Container, containerLog, type Memory, readContainers } from './docker.mts'
import { failedInitFile, knownCause } from './known-causes.mts'

/** Lines of a log that are searched: one start of Kafka alone writes about a thousand. */
const LOG_LINES = 5_000

/**
 * The service's findings with what its container adds: one finding that names the cause where there was only silence, and one
 * each for what goes wrong beside a service that answers.
 */
export async function explainByContainer(
  service: ServiceName,
  container: Container,
  findings: readonly Finding[],
): Promise<Finding[]> {
  const others = findings.filter(({ code }) => code !== 'NO_ANSWER')
  const silent = findings.find(({ code }) => code === 'NO_ANSWER')
  if (silent) return [await silenceCause(service, container, silent), ...others]
  const subject = `${service} container`
  const log = `docker logs ${container.name}`
  // It serves again: worth a look, not a failure.
  if (container.oomKilled) others.push({ severity: 'warning', subject, ...outOfMemory(service) })
  if (container.state !== 'running') {
    const found = `${container.state}, though its port answers`
    const hint = `npm run ports, then: ${mendOf(service, container)}`
    others.push({ severity: 'error', code: 'CONTAINER_STATE', subject, found, expected: 'running', hint })
  } else if (container.health === 'unhealthy') {
    const found = `unhealthy${container.healthOutput ? `: ${container.healthOutput.slice(0, 200)}` : ''}`
    others.push({ severity: 'error', code: 'CONTAINER_HEALTH', subject, found, expected: 'healthy', hint: log })
  }
  if (container.restarts > 0) {
    const found = `${container.restarts} restarts`
    others.push({ severity: 'warning', code: 'CONTAINER_RESTARTS', subject, found, expected: 'none', hint: log })
  }
  return service === 'clickhouse' ? withInitFailure(container, others) : others
}

/** Share of its memory limit that a container uses, in percent, from which on its end is near. */
const MEMORY_HIGH = 90

/** The warning of a container that has little memory left; none for one that has enough. */
export function memoryFindings(service: ServiceName, { percentOfLimit, usage }: Memory): Finding[] {
  if (!(percentOfLimit > MEMORY_HIGH)) return []
  const { hint } = outOfMemory(service)
  const [found, expected] = [`${percentOfLimit} % of its limit in use (${usage})`, `at most ${MEMORY_HIGH} %`]
  return [{ severity: 'warning', code: 'CONTAINER_MEMORY', subject: `${service} container`, found, expected, hint }]
}

/** The warning of a machine that has less memory than its containers may take together; undefined memory is not known. */
export function machineFindings(containers: readonly Container[], machineBytes: number | undefined): Finding[] {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MB`
  const limits = containers.reduce((sum, { memoryLimit }) => sum + memoryLimit, 0)
  if (machineBytes === undefined || limits <= machineBytes) return []
  const [found, expected] = [megabytes(machineBytes), `${megabytes(limits)}, which the containers may take together`]
  const hint =
    'lower REDIS_MAX_MEMORY and REDIS_MEMORY_LIMIT in .env, then: docker-compose up -d; or give the machine more'
  return [{ severity: 'warning', code: 'MACHINE_MEMORY', subject: 'memory of the machine', found, expected, hint }]
}

const outOfMemory = (service: ServiceName) => ({
  code: 'CONTAINER_OOM',
  found: 'killed for want of memory',
  expected: 'a memory limit that suffices',
  hint: `raise ${service.toUpperCase().replace('-', '_')}_MEMORY_LIMIT in .env, then: docker-compose up -d`,
})

/** The command that brings a container back from a state other than running. */
function mendOf(service: ServiceName, { state, name }: Container): string {
  if (state === 'paused') return `docker-compose unpause ${service}`
  return state === 'restarting' ? `docker logs ${name}` : 'docker-compose up -d'
}

async function silenceCause(service: ServiceName, container: Container, silent: Finding): Promise<Finding> {
  const { state, exitCode, restarts, error, healthOutput } = container
  const facts = [
    ...(state === 'running'
      ? []
      : [`its container is ${state}${state === 'exited' ? ` with exit code ${exitCode}` : ''}`]),
    ...(restarts > 0 ? [`it was restarted ${restarts} times`] : []),
    ...(healthOutput && container.health !== 'healthy'
      ? [`its health check says "${healthOutput.slice(0, 200)}"`]
      : []),
    ...(error ? [`Docker says "${error.slice(-300)}"`] : []),
  ]
  const explained = (finding: Omit<Finding, 'severity' | 'subject'>): Finding => ({
    severity: 'error',
    subject: silent.subject,
    ...finding,
    found: [silent.found, ...facts, finding.found].filter(Boolean).join('; '),
  })
  if (container.oomKilled) return explained(outOfMemory(service))
  const byEngine = error ? knownCause(error) : undefined
  if (byEngine)
    return explained({
      code: byEngine.code,
      found: byEngine.cause,
      expected: silent.expected,
      hint: byEngine.dockerHint ?? byEngine.hint,
    })
  const log = await containerLog(container.name, LOG_LINES, container.logSince)
  // Redis answers every question with the reason why it serves none.
  const cause = knownCause([silent.found, ...log].join('\n'))
  if (cause) {
    const found = `its log tells of ${cause.cause}`
    return explained({ code: cause.code, found, expected: silent.expected, hint: cause.dockerHint ?? cause.hint })
  }
  const last = log.at(-1)
  const found = last ? `its log ends with "${last.slice(0, 200)}"` : ''
  if (state !== 'running') {
    return explained({ code: 'CONTAINER_STATE', found, expected: 'running', hint: mendOf(service, container) })
  }
  return explained({
    code: silent.code,
    found,
    expected: silent.expected,
    hint: container.health === 'healthy' ? silent.hint : `docker logs ${container.name}`,
  })
}

/** One finding for all missing tables, with the init file that failed when the data volume was new, if the log tells of one. */
async function withInitFailure(container: Container, findings: Finding[]): Promise<Finding[]> {
  // Whole tables and views; a missing column is a younger declaration's.
  const missing = findings.filter(
    ({ code, found }) =>
      code === 'CLICKHOUSE_DATABASE' ||
      (code === 'SCHEMA_MISSING' && /^no (table|view|materialized view)$/.test(found)),
  )
  if (missing.length === 0) return findings
  const failed = failedInitFile((await containerLog(container.name, LOG_LINES)).join('\n'))
  if (!failed) return findings
  const names = missing.map(({ subject }) => subject).join(', ')
  const explained: Finding = {
    severity: 'error',
    code: 'CLICKHOUSE_INIT',
    subject: 'clickhouse schema',
    found: `no ${names}: clickhouse/init/${failed.file} failed when the volume was new (${failed.error.slice(0, 200)})`,
    expected: 'every init file to have run',
    hint: `mend clickhouse/init/${failed.file}; the rest runs by: npm run schema`,
  }
  // The container is unhealthy for the same reason.
  return [explained, ...findings.filter((finding) => finding.code !== 'CONTAINER_HEALTH' && !missing.includes(finding))]
}

/** What `work` resolves to. When it finds no broker, its error tells what the broker's container and log say about that. */
export async function withKafkaCause<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const silent = error instanceof OpsError && error.findings.find(({ code }) => code === 'KAFKA_UNREACHABLE')
    const container = silent && (await readContainers()).find(({ service }) => service === 'kafka')
    if (!container) throw error
    const cause = { ...(await silenceCause('kafka', container, silent)), severity: silent.severity }
    throw new OpsError(
      error.exitCode,
      error.findings.map((finding) => (finding === silent ? cause : finding)),
      error,
    )
  }
}
