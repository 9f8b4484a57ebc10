/** The Docker engine and Compose: whether they can be used, which containers they have, and how these are stopped. */
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

/** Asks docker from the repository's folder. */
export const ask = (command: readonly string[], timeoutMs = 10_000): Promise<Outcome> =>
  run(command, { cwd: ROOT, timeoutMs })

/** The command that runs Compose v2.17 or newer, which has `up --wait-timeout`; undefined where there is none. */
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

/** The engine and its Compose, or why they cannot be used. */
export async function findDocker(): Promise<Docker | { missing: string }> {
  if (!(await findCommand('docker'))) return { missing: 'no docker on the PATH' }
  const engine = await ask(['docker', 'version', '--format', '{{.Server.Version}}'])
  if (!engine.ok) return { missing: 'no Docker engine answers' }
  const compose = await findCompose()
  return compose
    ? { engineVersion: engine.stdout.trim(), compose }
    : { missing: 'Docker has no Compose v2.17 or newer' }
}

/** What the command says when there is no engine that could have containers: it does not run, or is not there. */
const NO_ENGINE =
  /Cannot connect to the Docker daemon|Is the docker daemon running|if the daemon is running|could not be found in this WSL/i

/**
 * Ids of the stack's containers; empty when there are none or no engine runs.
 * @throws {OpsError} exit code 3 when the engine does not say
 */
export async function listIds(filters: readonly string[], timeoutMs?: number): Promise<string[]> {
  if (!(await findCommand('docker'))) return []
  const label = `label=com.docker.compose.project=${PROJECT}`
  const chosen = [label, ...filters].flatMap((each) => ['--filter', each])
  const list = await ask(['docker', 'ps', '-aq', '--no-trunc', ...chosen], timeoutMs)
  if (list.ok) return list.stdout.split('\n').filter(Boolean)
  if (NO_ENGINE.test(list.stderr)) return []
  throw silent('docker ps', list)
}

/** The failure of an engine that does not say. */
export function silent(subject: string, { stderr }: Outcome): OpsError {
  const found = stderr.trim().split('\n')[0] || 'it failed without a message'
  return cannotTell(unknown('DOCKER', subject, { found, hint: 'docker ps' }))
}

/**
 * What `read` makes of the JSON that a command printed; a warning before it is passed over.
 * @throws {OpsError} exit code 3 when it is no JSON, or of a shape that `read` cannot take
 */
export function parseAnswer<T, R>(subject: string, answer: Outcome, read: (parsed: T) => R): R {
  const text = answer.stdout.slice(Math.max(0, answer.stdout.search(/^[[{]/m)))
  const shown = `"${answer.stdout.trim().slice(0, 100)}"`
  let parsed: T
  try {
    parsed = JSON.parse(text)
  } catch {
    throw silent(subject, { ...answer, stderr: `no JSON but ${shown}` })
  }
  try {
    return read(parsed)
  } catch {
    throw silent(subject, { ...answer, stderr: `JSON of another shape: ${shown}` })
  }
}

/**
 * When each of the stack's containers that run was started, by id. One that was recreated or started again has another entry.
 * @throws {OpsError} exit code 3 when the engine does not say
 */
export async function runningSince(): Promise<string[]> {
  const ids = await listIds(['status=running'])
  if (ids.length === 0) return []
  const inspected = await ask(['docker', 'inspect', '--format', '{{.Id}} {{.State.StartedAt}}', ...ids])
  if (!inspected.ok && inspected.stdout.trim() === '') throw silent('docker inspect', inspected)
  return inspected.stdout.split('\n').filter(Boolean).sort()
}

/** Longest time to the last container's end, in ms: twice the stop_grace_period of Kafka and then ZooKeeper, and some. */
const STOP_TIMEOUT_MS = 180_000

/**
 * Stops the stack's containers, wherever this is called from.
 * @throws {OpsError} exit code 3 when Docker fails, or does not end in 180 s
 */
export async function stopContainers(): Promise<void> {
  const docker = await findDocker()
  const stopped = 'missing' in docker ? undefined : await ask([...docker.compose, 'stop'], STOP_TIMEOUT_MS)
  if (stopped?.ok) return
  const found = 'missing' in docker ? docker.missing : (stopped?.stderr.trim().split('\n').at(-1) ?? '')
  throw cannotTell(unknown('COMPOSE_STOP', 'docker compose stop', { found, hint: 'docker-compose ps' }))
}
