/** Explains findings by the state of the service's container and by its log. */
import { error, type Finding, OpsError, warning } from '../common/findings.mts'
import { type Container, containerLog, type Memory, readContainers } from './inspect.mts'
import { failedInitFile, isSilent, knownCause } from './known-causes.mts'
import type { ServiceName } from './service.mts'

/** Number of log lines to search. A single start of Kafka writes about a thousand. */
const LOG_LINES = 5_000

/**
 * Adds the state of the service's container to its findings. A service that does not answer gets the cause, one that answers gets a
 * finding for each problem of its container.
 */
export async function explainByContainer(
  service: ServiceName,
  container: Container,
  findings: readonly Finding[],
): Promise<Finding[]> {
  const others = findings.filter((finding) => !isSilent(finding))
  const unexplained = findings.find(isSilent)
  if (unexplained) return [await findCause(service, container, unexplained), ...others]
  const subject = `${service} container`
  const log = `docker logs ${container.name}`
  // The service has recovered, so this is only a warning.
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

/** Memory use, in percent of the limit, above which a container is about to run out of memory. */
const MEMORY_HIGH = 90

/** Warns of a container that has little memory left. */
export function memoryFindings(service: ServiceName, { percentOfLimit, usage }: Memory): Finding[] {
  if (!(percentOfLimit > MEMORY_HIGH)) return []
  const found = `${percentOfLimit} % of its limit in use (${usage})`
  const { hint } = outOfMemory(service)
  return [warning('CONTAINER_MEMORY', `${service} container`, { found, expected: `at most ${MEMORY_HIGH} %`, hint })]
}

/**
 * Warns of a machine that has less memory than the sum of its containers' limits.
 * @param machineBytes undefined if not known
 */
export function machineFindings(containers: readonly Container[], machineBytes: number | undefined): Finding[] {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MB`
  const limits = containers.reduce((sum, { memoryLimit }) => sum + memoryLimit, 0)
  if (machineBytes === undefined || limits <= machineBytes) return []
  const expected = `${megabytes(limits)}, the sum of the containers' memory limits`
  const hint =
    'lower REDIS_MAX_MEMORY and REDIS_MEMORY_LIMIT in .env, then: docker-compose up -d; or add memory to the machine'
  return [warning('MACHINE_MEMORY', 'memory of the machine', { found: megabytes(machineBytes), expected, hint })]
}

function outOfMemory(service: ServiceName): { found: string; hint: string } {
  const variable = `${service.toUpperCase().replace('-', '_')}_MEMORY_LIMIT`
  return { found: 'killed: out of memory', hint: `raise ${variable} in .env, then: docker-compose up -d` }
}

/** Returns the command that gets a container running again, or that shows why it does not run. */
function restartOf(service: ServiceName, { state, name }: Container): string {
  if (state === 'paused') return `docker-compose unpause ${service}`
  return state === 'restarting' ? `docker logs ${name}` : 'docker-compose up -d'
}

async function findCause(
  service: ServiceName,
  container: Container,
  unexplained: Finding,
  timeoutMs?: number,
): Promise<Finding> {
  const { state, exitCode, restarts, health, healthOutput } = container
  const facts = [
    ...(state === 'running'
      ? []
      : [`its container state is ${state}${state === 'exited' ? ` (exit code ${exitCode})` : ''}`]),
    ...(restarts > 0 ? [`it was restarted ${restarts} times`] : []),
    ...(healthOutput && health !== 'healthy' ? [`its health check reports "${healthOutput.slice(0, 200)}"`] : []),
    ...(container.error ? [`Docker reports "${container.error.slice(-300)}"`] : []),
  ]
  const explained = (code: string, found: string, hint: string): Finding =>
    error(code, unexplained.subject, { found: [unexplained.found, ...facts, found].filter(Boolean).join('; '), hint })
  if (container.oomKilled) {
    const { found, hint } = outOfMemory(service)
    return explained('CONTAINER_OOM', found, hint)
  }
  const byEngine = container.error ? knownCause(container.error) : undefined
  if (byEngine) return explained(byEngine.code, byEngine.cause, byEngine.dockerHint ?? byEngine.hint)
  const log = await containerLog(container.name, LOG_LINES, container.logSince, timeoutMs)
  // The finding may contain the cause too: a Redis that cannot serve answers every command with the reason.
  const cause = knownCause([unexplained.found, ...log].join('\n'))
  if (cause) return explained(cause.code, `its log shows ${cause.cause}`, cause.dockerHint ?? cause.hint)
  const last = log.at(-1)
  const found = last ? `its log ends with "${last.slice(0, 200)}"` : ''
  if (state !== 'running') return explained('CONTAINER_STATE', found, restartOf(service, container))
  return explained(unexplained.code, found, health === 'healthy' ? unexplained.hint : `docker logs ${container.name}`)
}

/** Replaces the findings about missing tables by one that names the init file that failed on the new data volume, if the log shows it. */
async function withInitFailure(container: Container, findings: Finding[]): Promise<Finding[]> {
  // Whole tables and views only: a missing column means that the declaration has changed since.
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
    found: `no ${names}: clickhouse/init/${failed.file} failed on the new volume (${failed.error.slice(0, 200)})`,
    hint: `fix clickhouse/init/${failed.file}, then run the rest: npm run schema`,
  })
  // The container is unhealthy for the same reason.
  return [explained, ...findings.filter((finding) => finding.code !== 'CONTAINER_HEALTH' && !missing.includes(finding))]
}

/** Shortest and longest time to wait for Docker to answer, in ms. */
const DOCKER_MIN_MS = 1_000
const DOCKER_MAX_MS = 10_000

/**
 * Returns the result of `work`. If `work` fails because no broker answers, adds the cause from the broker's container and log to its error.
 * @param timeoutMs the timeout of `work`, of which each call of Docker gets a quarter, but at least 1 s and at most 10 s
 */
export async function withKafkaCause<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  try {
    return await work
  } catch (failure) {
    const dockerMs = Math.min(DOCKER_MAX_MS, Math.max(DOCKER_MIN_MS, timeoutMs / 4))
    const unanswered = failure instanceof OpsError && failure.findings.find(({ code }) => code === 'KAFKA_UNREACHABLE')
    const container = unanswered && (await readContainers(dockerMs))?.find(({ service }) => service === 'kafka')
    if (!container) throw failure
    const cause = { ...(await findCause('kafka', container, unanswered, dockerMs)), severity: unanswered.severity }
    throw new OpsError(
      failure.exitCode,
      failure.findings.map((finding) => (finding === unanswered ? cause : finding)),
      failure,
    )
  }
}
