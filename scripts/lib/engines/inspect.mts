/** Reads the state, logs and memory of the stack's containers from the Docker engine. */
import { OpsError } from '../common/findings.mts'
import { askDocker, listIds, noAnswer, PROJECT, parseAnswer } from './docker.mts'

export interface Container {
  service: string
  name: string
  /** Docker's container state: created, running, paused, restarting, removing, exited or dead. */
  state: string
  /** healthy, unhealthy or starting; `none` without a health check. */
  health: string
  exitCode: number
  /** Killed for lack of memory: in its current or last run, or in the last ten minutes according to the engine's events. */
  oomKilled: boolean
  restarts: number
  /** Why the engine could not start the container; empty if it could. */
  error: string
  /** Output of the last health check. */
  healthOutput: string
  /** Memory limit in bytes; 0 for none. */
  memoryLimit: number
  /** Where the log about the current state starts: shortly before the last exit, or at the start of a running container. */
  logSince: string
}

/** Returns the stack's containers, including stopped ones; undefined if the engine does not answer. */
export async function readContainers(timeoutMs?: number): Promise<Container[] | undefined> {
  try {
    return await findContainers(timeoutMs)
  } catch (error) {
    if (error instanceof OpsError) return undefined
    throw error
  }
}

/**
 * Returns the stack's containers, including stopped ones; empty if there are none or no engine runs.
 * @throws {OpsError} exit code 3 if the engine does not answer in time, or refuses
 */
export async function findContainers(timeoutMs?: number): Promise<Container[]> {
  const ids = await listIds([], timeoutMs)
  if (ids.length === 0) return []
  const [inspected, killed] = await Promise.all([
    askDocker(['docker', 'inspect', ...ids], timeoutMs),
    readOutOfMemory(timeoutMs),
  ])
  // Fails if one of the containers was removed in the meantime, but still prints the others.
  const gone = !inspected.ok && /No such (object|container)/i.test(inspected.stderr)
  if (!inspected.ok && !gone) throw noAnswer('docker inspect', inspected)
  return parseAnswer('docker inspect', inspected, (containers: Inspected[]) =>
    containers.map((container) => ({
      service: container.Config.Labels?.['com.docker.compose.service'] ?? '',
      name: container.Name.replace(/^\//, ''),
      state: container.State.Status,
      health: container.State.Health?.Status ?? 'none',
      exitCode: container.State.ExitCode,
      oomKilled: container.State.OOMKilled || killed.includes(container.Id),
      restarts: container.RestartCount ?? 0,
      error: container.State.Error ?? '',
      healthOutput: container.State.Health?.Log?.at(-1)?.Output?.trim() ?? '',
      memoryLimit: container.HostConfig?.Memory ?? 0,
      logSince: logSince(container),
    })),
  )
}

/** Seconds of log before a container's exit to search for the reason. */
const LOG_BEFORE_EXIT_S = 60

function logSince({ State, RestartCount }: Inspected): string {
  const endMs = (RestartCount ?? 0) > 0 || State.Status !== 'running' ? Date.parse(State.FinishedAt ?? '') : 0
  // A container that never ran has FinishedAt in the year 1.
  return endMs > 0 ? new Date(endMs - LOG_BEFORE_EXIT_S * 1000).toISOString() : (State.StartedAt ?? '')
}

/** Returns ids of containers that ran out of memory in the last ten minutes. A restart clears OOMKilled, but not the engine's events. */
async function readOutOfMemory(timeoutMs?: number): Promise<string[]> {
  const now = Math.floor(Date.now() / 1000)
  const filters = ['--filter', 'event=oom', '--filter', `label=com.docker.compose.project=${PROJECT}`]
  const window = ['--since', String(now - 600), '--until', String(now)]
  const { stdout } = await askDocker(
    ['docker', 'events', ...window, ...filters, '--format', '{{.Actor.ID}}'],
    timeoutMs,
  )
  return stdout.split('\n').filter(Boolean)
}

/** The part of `docker inspect` that is used here. @see https://docs.docker.com/reference/api/engine/ */
interface Inspected {
  Id: string
  Name: string
  RestartCount?: number | null
  HostConfig?: { Memory?: number } | null
  Config: { Labels: Record<string, string> | null }
  State: {
    Status: string
    ExitCode: number
    OOMKilled: boolean
    Error?: string | null
    StartedAt?: string | null
    FinishedAt?: string | null
    Health?: { Status: string; Log?: { Output?: string }[] | null } | null
  }
}

/** Returns the last lines of a container's log, both streams in order, optionally only those after `since`. */
export async function containerLog(name: string, lines: number, since?: string, timeoutMs?: number): Promise<string[]> {
  const command = ['docker', 'logs', '--tail', String(lines), ...(since ? ['--since', since] : []), name]
  // Both streams share one pipe, because two pipes would lose the order of the lines.
  const { stdout } = await askDocker(['sh', '-c', 'exec "$@" 2>&1', 'sh', ...command], timeoutMs)
  return stdout.trimEnd().split('\n')
}

export interface Memory {
  percentOfLimit: number
  /** In Docker's format: `1.9GiB / 2GiB`. */
  usage: string
}

/** Returns the memory of the running containers by name; empty if the engine does not answer. Docker measures for 2 s. */
export async function readMemory(timeoutMs: number): Promise<Map<string, Memory>> {
  const format = '{{.Name}}\t{{.MemPerc}}\t{{.MemUsage}}'
  const { ok, stdout } = await askDocker(['docker', 'stats', '--no-stream', '--format', format], timeoutMs)
  const lines = ok ? stdout.matchAll(/^(\S+)\t(\S+)\t(.+)$/gm) : []
  return new Map(
    Array.from(lines, ([, name = '', percent = '', usage = '']) => {
      return [name, { percentOfLimit: Number.parseFloat(percent), usage }]
    }),
  )
}

/** True for a container that has processes, even paused ones. */
export function hasProcesses({ state }: Container): boolean {
  return state === 'running' || state === 'restarting' || state === 'paused'
}

/** Returns the memory of the machine or virtual machine that the engine runs on, in bytes; undefined if it does not answer. */
export async function readMachineMemory(timeoutMs: number): Promise<number | undefined> {
  const { stdout } = await askDocker(['docker', 'info', '--format', '{{.MemTotal}}'], timeoutMs)
  return Number(stdout) || undefined
}
