/** The cause behind a probe's finding, from what Docker knows of the service's container and from its log. */

import { error, type Finding, OpsError, warning } from '../common/findings.mts'
import { type Container, containerLog, type Memory, readContainers } from './inspect.mts'
import { failedInitFile, isSilent, knownCause } from './known-causes.mts'
import type { ServiceName } from './service.mts'

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
  const others = findings.filter((finding) => !isSilent(finding))
  const silent = findings.find(isSilent)
  if (silent) return [await silenceCause(service, container, silent), ...others]
  const subject = `${service} container`
  const log = `docker logs ${container.name}`
  // It serves again: worth a look, not a failure.
  if (container.oomKilled) others.push(warning('CONTAINER_OOM', subject, outOfMemory(service)))
  if (container.state !== 'running') {
    const found = `${container.state}, though its port answers`
    const hint = `npm run ports, then: ${restartOf(service, container)}`
    others.push(error('CONTAINER_STATE', subject, { found, expected: 'running', hint }))
  } else if (container.health === 'unhealthy') {
    const found = `unhealthy${container.healthOutput ? `: ${container.healthOutput.slice(0, 200)}` : ''}`
    others.push(error('CONTAINER_HEALTH', subject, { found, hint: log }))
  }
  if (container.restarts > 0)
    others.push(warning('CONTAINER_RESTARTS', subject, { found: `restarted ${container.restarts} times`, hint: log }))
  return service === 'clickhouse' ? withInitFailure(container, others) : others
}

/** Share of its memory limit, in percent, above which a container is about to run out of memory. */
const MEMORY_HIGH = 90

/** The warning of a container that has little memory left; none for one that has enough. */
export function memoryFindings(service: ServiceName, { percentOfLimit, usage }: Memory): Finding[] {
  if (!(percentOfLimit > MEMORY_HIGH)) return []
  const found = `${percentOfLimit} % of its limit in use (${usage})`
  const { hint } = outOfMemory(service)
  return [warning('CONTAINER_MEMORY', `${service} container`, { found, expected: `at most ${MEMORY_HIGH} %`, hint })]
}

/** The warning of a machine that has less memory than its containers may take together; undefined memory is not known. */
export function machineFindings(containers: readonly Container[], machineBytes: number | undefined): Finding[] {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MB`
  const limits = containers.reduce((sum, { memoryLimit }) => sum + memoryLimit, 0)
  if (machineBytes === undefined || limits <= machineBytes) return []
  const expected = `${megabytes(limits)}, which the containers may take together`
  const hint =
    'lower REDIS_MAX_MEMORY and REDIS_MEMORY_LIMIT in .env, then: docker-compose up -d; or give the machine more'
  return [warning('MACHINE_MEMORY', 'memory of the machine', { found: megabytes(machineBytes), expected, hint })]
}

function outOfMemory(service: ServiceName): { found: string; hint: string } {
  const variable = `${service.toUpperCase().replace('-', '_')}_MEMORY_LIMIT`
  return { found: 'killed: out of memory', hint: `raise ${variable} in .env, then: docker-compose up -d` }
}

/** The command that brings a container back from a state other than running. */
function restartOf(service: ServiceName, { state, name }: Container): string {
  if (state === 'paused') return `docker-compose unpause ${service}`
  return state === 'restarting' ? `docker logs ${name}` : 'docker-compose up -d'
}

async function silenceCause(
  service: ServiceName,
  container: Container,
  silent: Finding,
  timeoutMs?: number,
): Promise<Finding> {
  const { state, exitCode, restarts, health, healthOutput } = container
  const facts = [
    ...(state === 'running'
      ? []
      : [`its container is ${state}${state === 'exited' ? ` with exit code ${exitCode}` : ''}`]),
    ...(restarts > 0 ? [`it was restarted ${restarts} times`] : []),
    ...(healthOutput && health !== 'healthy' ? [`its health check says "${healthOutput.slice(0, 200)}"`] : []),
    ...(container.error ? [`Docker says "${container.error.slice(-300)}"`] : []),
  ]
  const explained = (code: string, found: string, hint: string): Finding =>
    error(code, silent.subject, { found: [silent.found, ...facts, found].filter(Boolean).join('; '), hint })
  if (container.oomKilled) {
    const { found, hint } = outOfMemory(service)
    return explained('CONTAINER_OOM', found, hint)
  }
  const byEngine = container.error ? knownCause(container.error) : undefined
  if (byEngine) return explained(byEngine.code, byEngine.cause, byEngine.dockerHint ?? byEngine.hint)
  const log = await containerLog(container.name, LOG_LINES, container.logSince, timeoutMs)
  // Redis answers every question with the reason why it serves none.
  const cause = knownCause([silent.found, ...log].join('\n'))
  if (cause) return explained(cause.code, `its log shows ${cause.cause}`, cause.dockerHint ?? cause.hint)
  const last = log.at(-1)
  const found = last ? `its log ends with "${last.slice(0, 200)}"` : ''
  if (state !== 'running') return explained('CONTAINER_STATE', found, restartOf(service, container))
  return explained(silent.code, found, health === 'healthy' ? silent.hint : `docker logs ${container.name}`)
}

/** One finding for all missing tables, with the init file that failed when the data volume was new, if the log names one. */
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
  const explained = error('CLICKHOUSE_INIT', 'clickhouse schema', {
    found: `no ${names}: clickhouse/init/${failed.file} failed when the volume was new (${failed.error.slice(0, 200)})`,
    hint: `correct clickhouse/init/${failed.file}; the rest runs by: npm run schema`,
  })
  // The container is unhealthy for the same reason.
  return [explained, ...findings.filter((finding) => finding.code !== 'CONTAINER_HEALTH' && !missing.includes(finding))]
}

/** Milliseconds that Docker gets for an answer at least: a busy one needs some. */
const DOCKER_LEAST_MS = 1_000
const DOCKER_MOST_MS = 10_000

/**
 * What `work` resolves to. When it finds no broker, its error has the cause that the broker's container and log give.
 * @param timeoutMs that `work` had: for the cause Docker gets no more than a fraction of that
 */
export async function withKafkaCause<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  try {
    return await work
  } catch (failure) {
    const dockerMs = Math.min(DOCKER_MOST_MS, Math.max(DOCKER_LEAST_MS, timeoutMs / 4))
    const silent = failure instanceof OpsError && failure.findings.find(({ code }) => code === 'KAFKA_UNREACHABLE')
    const container = silent && (await readContainers(dockerMs))?.find(({ service }) => service === 'kafka')
    if (!container) throw failure
    const cause = { ...(await silenceCause('kafka', container, silent, dockerMs)), severity: silent.severity }
    throw new OpsError(
      failure.exitCode,
      failure.findings.map((finding) => (finding === silent ? cause : finding)),
      failure,
    )
  }
}
