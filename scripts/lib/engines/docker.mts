/** What the Docker engine knows about the stack's containers, and how they are stopped. What starts them is in start-stack.mts. */
import { cannotTell, OpsError } from '../common/findings.mts'
import { ROOT } from '../settings/settings.mts'

/** The compose project of docker-compose.yml: its top-level `name`. */
export const PROJECT = 'l2'

export interface Docker {
  engineVersion: string
  /** The command that runs Compose v2: `docker compose` or `docker-compose`. */
  compose: string[]
}

export interface Container {
  service: string
  name: string
  /** Docker's word: created, running, paused, restarting, removing, exited or dead. */
  state: string
  /** healthy, unhealthy or starting; `none` without a health check. */
  health: string
  exitCode: number
  /** Killed for want of memory: in its last life, or lately by the engine's own record. */
  oomKilled: boolean
  restarts: number
  /** Why the engine could not start it; empty when it could. */
  error: string
  /** What the last health check printed. */
  healthOutput: string
  /** Its memory limit in bytes, 0 for none. */
  memoryLimit: number
  /** Where its log begins to tell of the present trouble: shortly before its last end, or at its start. */
  logSince: string
}

interface Answer {
  ok: boolean
  stdout: string
  stderr: string
}

async function ask(command: string[], timeoutMs = 10_000): Promise<Answer> {
  const { $ } = await import('zx')
  // `detached` would give it a process group of its own, and Ctrl-C would not reach it.
  const out = await $({
    nothrow: true,
    quiet: true,
    cwd: ROOT,
    timeout: timeoutMs,
    timeoutSignal: 'SIGKILL',
  })`${command}`
  const { ok, stdout, stderr, signal } = out
  return { ok, stdout, stderr: signal ? `no answer within ${timeoutMs / 1000} s` : stderr }
}

/** The engine and its Compose v2, or why they cannot be used. */
export async function findDocker(): Promise<Docker | { missing: string }> {
  const { which } = await import('zx')
  if (!(await which('docker', { nothrow: true }))) return { missing: 'no docker on the PATH' }
  const engine = await ask(['docker', 'version', '--format', '{{.Server.Version}}'])
  if (!engine.ok) return { missing: 'no Docker engine answers' }
  for (const compose of [['docker', 'compose'], ['docker-compose']]) {
    if (compose.length === 1 && !(await which('docker-compose', { nothrow: true }))) continue
    const version = await ask([...compose, 'version', '--short'])
    const [, major = 0, minor = 0] = version.ok ? (/^v?(\d+)\.(\d+)/.exec(version.stdout.trim()) ?? []) : []
    // `up --wait-timeout` came with 2.17.
    if (Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 17)) {
      return { engineVersion: engine.stdout.trim(), compose }
    }
  }
  return { missing: 'Docker has no Compose v2.17 or newer' }
}

/** What the command says when there is no engine that could have containers: it does not run, or is not there. */
const NO_ENGINE =
  /Cannot connect to the Docker daemon|Is the docker daemon running|if the daemon is running|could not be found in this WSL/i

/**
 * Ids of the stack's containers; empty when there are none or no engine runs.
 * @throws {OpsError} exit code 3 when the engine does not say
 */
async function listIds(...filters: string[]): Promise<string[]> {
  const { which } = await import('zx')
  if (!(await which('docker', { nothrow: true }))) return []
  const label = `label=com.docker.compose.project=${PROJECT}`
  const list = await ask([
    'docker',
    'ps',
    '-aq',
    '--no-trunc',
    ...[label, ...filters].flatMap((each) => ['--filter', each]),
  ])
  if (list.ok) return list.stdout.split('\n').filter(Boolean)
  if (NO_ENGINE.test(list.stderr)) return []
  throw silent('docker ps', list)
}

function silent(subject: string, { stderr }: Answer): OpsError {
  return cannotTell({
    code: 'DOCKER',
    subject,
    found: stderr.trim().split('\n')[0] || 'a failure without a word',
    expected: "the stack's containers",
    hint: 'docker ps',
  })
}

/**
 * When each of the stack's containers that run was started, by id. One that was made anew or started again has another entry.
 * @throws {OpsError} exit code 3 when the engine does not say
 */
export async function runningSince(): Promise<string[]> {
  const ids = await listIds('status=running')
  if (ids.length === 0) return []
  const inspected = await ask(['docker', 'inspect', '--format', '{{.Id}} {{.State.StartedAt}}', ...ids])
  if (!inspected.ok && inspected.stdout.trim() === '') throw silent('docker inspect', inspected)
  return inspected.stdout.split('\n').filter(Boolean).sort()
}

/** The stack's containers, stopped ones included; empty also when the engine does not say: whoever asks a service learns it there. */
export async function readContainers(): Promise<Container[]> {
  try {
    return await findContainers()
  } catch (error) {
    if (error instanceof OpsError) return []
    throw error
  }
}

/**
 * The stack's containers, stopped ones included; empty when there are none or no engine runs.
 * @throws {OpsError} exit code 3 when the engine does not say: no permission, no answer in time
 */
export async function findContainers(): Promise<Container[]> {
  const ids = await listIds()
  if (ids.length === 0) return []
  const [inspected, killed] = await Promise.all([ask(['docker', 'inspect', ...ids]), readOutOfMemory()])
  // It fails when one of them is gone since, and prints the others all the same.
  const gone = !inspected.ok && /No such (object|container)/i.test(inspected.stderr)
  if (!inspected.ok && !gone) throw silent('docker inspect', inspected)
  return (JSON.parse(inspected.stdout) as Inspected[]).map((container) => ({
    service: container.Config.Labels['com.docker.compose.service'] ?? '',
    name: container.Name.replace(/^\//, ''),
    state: container.State.Status,
    health: container.State.Health?.Status ?? 'none',
    exitCode: container.State.ExitCode,
    oomKilled: container.State.OOMKilled || killed.includes(container.Id),
    restarts: container.RestartCount,
    error: container.State.Error,
    healthOutput: container.State.Health?.Log?.at(-1)?.Output.trim() ?? '',
    memoryLimit: container.HostConfig.Memory,
    logSince: logSince(container),
  }))
}

/** Seconds before a container's end that its log is read from: the lines that say why. */
const LAST_WORDS_S = 60

function logSince({ State, RestartCount }: Inspected): string {
  const ended = RestartCount > 0 || State.Status !== 'running'
  return ended ? new Date(Date.parse(State.FinishedAt) - LAST_WORDS_S * 1000).toISOString() : State.StartedAt
}

/** Ids of containers that the kernel killed something of lately. A restart clears the container's own flag; the engine's events remember. */
async function readOutOfMemory(): Promise<string[]> {
  const now = Math.floor(Date.now() / 1000)
  const filters = ['--filter', 'event=oom', '--filter', `label=com.docker.compose.project=${PROJECT}`]
  const window = ['--since', String(now - 600), '--until', String(now)]
  const { stdout } = await ask(['docker', 'events', ...window, ...filters, '--format', '{{.Actor.ID}}'])
  return stdout.split('\n').filter(Boolean)
}

/** The part of `docker inspect` that is read here. @see https://docs.docker.com/reference/api/engine/ */
interface Inspected {
  Id: string
  Name: string
  RestartCount: number
  Config: { Labels: Record<string, string> }
  HostConfig: { Memory: number }
  State: {
    Status: string
    ExitCode: number
    OOMKilled: boolean
    Error: string
    StartedAt: string
    FinishedAt: string
    Health?: { Status: string; Log?: { Output: string }[] }
  }
}

/** The last lines of a container's log, both streams, in order; of those since a moment, if one is given. */
export async function containerLog(name: string, lines: number, since?: string): Promise<string[]> {
  const { $ } = await import('zx')
  const command = ['docker', 'logs', '--tail', String(lines), ...(since ? ['--since', since] : []), name]
  // Through one pipe: two would lose the order of their lines.
  const { stdout } = await $({ nothrow: true, quiet: true, timeout: 10_000 })`${command} 2>&1`
  return stdout.trimEnd().split('\n')
}

export interface Memory {
  percentOfLimit: number
  /** As Docker writes it: `1.9GiB / 2GiB`. */
  usage: string
}

/** Memory of the running containers by their names; empty when the engine does not say. It measures for 2 s. */
export async function readMemory(timeoutMs: number): Promise<Map<string, Memory>> {
  const { ok, stdout } = await ask(['docker', 'stats', '--no-stream', '--format', '{{json .}}'], timeoutMs)
  const lines = ok ? stdout.split('\n').filter(Boolean) : []
  return new Map(
    lines.map((line) => {
      const { Name, MemPerc, MemUsage } = JSON.parse(line) as Record<'Name' | 'MemPerc' | 'MemUsage', string>
      return [Name, { percentOfLimit: Number.parseFloat(MemPerc), usage: MemUsage }]
    }),
  )
}

/** Bytes of memory of the machine that the engine runs on, which may be a virtual one; undefined when it does not say. */
export async function readMachineMemory(timeoutMs: number): Promise<number | undefined> {
  const { stdout } = await ask(['docker', 'info', '--format', '{{.MemTotal}}'], timeoutMs)
  return Number(stdout) || undefined
}

/** True for a container whose processes are there, paused or not. */
export function holdsMemory({ state }: Container): boolean {
  return state === 'running' || state === 'restarting' || state === 'paused'
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
  throw cannotTell({
    code: 'COMPOSE_STOP',
    subject: 'docker compose stop',
    found: 'missing' in docker ? docker.missing : (stopped?.stderr.trim().split('\n').at(-1) ?? ''),
    expected: 'stopped containers',
    hint: 'docker-compose ps',
  })
}
