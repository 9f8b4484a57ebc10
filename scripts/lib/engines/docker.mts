/** Finds the Docker engine and Compose, lists the stack's containers, and stops them. */
import { cannotTell, type OpsError, unknown } from '../common/findings.mts'
import { findCommand, type Outcome, run } from '../common/run.mts'
import { ROOT } from '../settings/settings.mts'

/** The compose project of docker-compose.yml: its top-level `name`. */
export const PROJECT = 'l2'

export interface Docker {
  engineVersion: string
  /** The command that runs Compose v2: `docker compose` or `docker-compose`. */
  compose: string[]
}

/** Runs a Docker command in the repository's folder. */
export const askDocker = (command: readonly string[], timeoutMs = 10_000): Promise<Outcome> =>
  run(command, { cwd: ROOT, timeoutMs })

/** Returns the command that runs Compose v2.17 or newer, which supports `up --wait-timeout`; undefined if there is none. */
export async function findCompose(env: NodeJS.ProcessEnv = process.env): Promise<string[] | undefined> {
  for (const [program = '', ...args] of [['docker', 'compose'], ['docker-compose']]) {
    if (!(await findCommand(program, env))) continue
    const version = await run([program, ...args, 'version', '--short'], { env, timeoutMs: 10_000 })
    const [, major = 0, minor = 0] = version.ok ? (/^v?(\d+)\.(\d+)/.exec(version.stdout.trim()) ?? []) : []
    const file = env.L2_ENV_FILE ? ['--env-file', env.L2_ENV_FILE] : []
    if (Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 17)) return [program, ...args, ...file]
  }
  return undefined
}

/** Returns the engine and its Compose, or the reason why they cannot be used. */
export async function findDocker(): Promise<Docker | { missing: string }> {
  if (!(await findCommand('docker'))) return { missing: 'no docker on the PATH' }
  const engine = await askDocker(['docker', 'version', '--format', '{{.Server.Version}}'])
  if (!engine.ok) return { missing: 'no Docker engine answers' }
  const compose = await findCompose()
  return compose ? { engineVersion: engine.stdout.trim(), compose } : { missing: 'no Docker Compose v2.17 or newer' }
}

/** Messages of a docker command that has no engine to talk to. Without an engine there are no containers. */
const NO_ENGINE =
  /Cannot connect to the Docker daemon|Is the docker daemon running|if the daemon is running|could not be found in this WSL/i

/**
 * Returns the ids of the stack's containers; empty if there are none or no engine runs.
 * @throws {OpsError} exit code 3 if the engine does not answer
 */
export async function listIds(filters: readonly string[], timeoutMs?: number): Promise<string[]> {
  if (!(await findCommand('docker'))) return []
  const label = `label=com.docker.compose.project=${PROJECT}`
  const chosen = [label, ...filters].flatMap((each) => ['--filter', each])
  const list = await askDocker(['docker', 'ps', '-aq', '--no-trunc', ...chosen], timeoutMs)
  if (list.ok) return list.stdout.split('\n').filter(Boolean)
  if (NO_ENGINE.test(list.stderr)) return []
  throw noAnswer('docker ps', list)
}

/** Returns the error for an engine that does not answer. */
export function noAnswer(subject: string, { stderr }: Outcome): OpsError {
  const found = stderr.trim().split('\n')[0] || 'it failed without a message'
  return cannotTell(unknown('DOCKER', subject, { found, hint: 'docker ps' }))
}

/**
 * Parses the JSON that a command printed and returns the result of `read`. Ignores a warning before the JSON.
 * @throws {OpsError} exit code 3 if the JSON is invalid, or `read` cannot use it
 */
export function parseAnswer<T, R>(subject: string, answer: Outcome, read: (parsed: T) => R): R {
  const text = answer.stdout.slice(Math.max(0, answer.stdout.search(/^[[{]/m)))
  const shown = `"${answer.stdout.trim().slice(0, 100)}"`
  let parsed: T
  try {
    parsed = JSON.parse(text)
  } catch {
    throw noAnswer(subject, { ...answer, stderr: `invalid JSON: ${shown}` })
  }
  try {
    return read(parsed)
  } catch {
    throw noAnswer(subject, { ...answer, stderr: `unexpected JSON: ${shown}` })
  }
}

/**
 * Returns the id and start time of each running container of the stack. A recreated or restarted container gets a different entry.
 * @throws {OpsError} exit code 3 if the engine does not answer
 */
export async function runningSince(): Promise<string[]> {
  const ids = await listIds(['status=running'])
  if (ids.length === 0) return []
  const inspected = await askDocker(['docker', 'inspect', '--format', '{{.Id}} {{.State.StartedAt}}', ...ids])
  if (!inspected.ok && inspected.stdout.trim() === '') throw noAnswer('docker inspect', inspected)
  return inspected.stdout.split('\n').filter(Boolean).sort()
}

/** Longest time to stop all containers, in ms: twice the stop_grace_periods of Kafka and ZooKeeper together, with some reserve. */
const STOP_TIMEOUT_MS = 180_000

/**
 * Stops the stack's containers.
 * @throws {OpsError} exit code 3 if Docker fails, or does not finish within 180 s
 */
export async function stopContainers(): Promise<void> {
  const docker = await findDocker()
  const stopped = 'missing' in docker ? undefined : await askDocker([...docker.compose, 'stop'], STOP_TIMEOUT_MS)
  if (stopped?.ok) return
  const found = 'missing' in docker ? docker.missing : (stopped?.stderr.trim().split('\n').at(-1) ?? '')
  throw cannotTell(unknown('COMPOSE_STOP', 'docker compose stop', { found, hint: 'docker-compose ps' }))
}
