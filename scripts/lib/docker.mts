/** What the Docker engine knows about the stack's containers. Everything here asks; only `compose` starts and stops. */
import { ROOT } from './settings.mts'

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
  /** Where its log begins to tell of the present trouble: shortly before its last end, or at its start. */
  logSince: string
}

async function ask(command: string[], timeoutMs = 10_000): Promise<{ ok: boolean; stdout: string; stderr: string }> {
  const { $ } = await import('zx')
  // `detached` would give it a process group of its own, and Ctrl-C would not reach it.
  const { ok, stdout, stderr } = await $({ nothrow: true, quiet: true, cwd: ROOT, timeout: timeoutMs })`${command}`
  return { ok, stdout, stderr }
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
    if (version.ok && /^v?[2-9]/.test(version.stdout.trim())) {
      return { engineVersion: engine.stdout.trim(), compose }
    }
  }
  return { missing: 'Docker has no Compose v2' }
}

/** The stack's containers, stopped ones included; empty when there are none or no engine answers. */
export async function readContainers(): Promise<Container[]> {
  const { which } = await import('zx')
  if (!(await which('docker', { nothrow: true }))) return []
  const list = await ask(['docker', 'ps', '-aq', '--filter', `label=com.docker.compose.project=${PROJECT}`])
  const ids = list.stdout.split('\n').filter(Boolean)
  if (!list.ok || ids.length === 0) return []
  const [inspected, killed] = await Promise.all([ask(['docker', 'inspect', ...ids]), readOutOfMemory()])
  if (!inspected.ok) return []
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
