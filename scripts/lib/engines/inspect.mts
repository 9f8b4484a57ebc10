/** What the Docker engine knows of the stack's containers. */
import { OpsError } from '../common/findings.mts'
import { ask, listIds, PROJECT, parseAnswer, silent } from './docker.mts'

export interface Container {
  service: string
  name: string
  /** Docker's word: created, running, paused, restarting, removing, exited or dead. */
  state: string
  /** healthy, unhealthy or starting; `none` without a health check. */
  health: string
  exitCode: number
  /** Killed because it was out of memory: in its last life, or in the last ten minutes by the engine's own record. */
  oomKilled: boolean
  restarts: number
  /** Why the engine could not start it; empty when it could. */
  error: string
  /** What the last health check printed. */
  healthOutput: string
  /** Its memory limit in bytes, 0 for none. */
  memoryLimit: number
  /** The time from which on its log is about its present state: shortly before its last end, or its start. */
  logSince: string
}

/** The stack's containers, stopped ones included; undefined when the engine does not say. */
export async function readContainers(timeoutMs?: number): Promise<Container[] | undefined> {
  try {
    return await findContainers(timeoutMs)
  } catch (error) {
    if (error instanceof OpsError) return undefined
    throw error
  }
}

/**
 * The stack's containers, stopped ones included; empty when there are none or no engine runs.
 * @throws {OpsError} exit code 3 when the engine does not say: no permission, no answer in time
 */
export async function findContainers(timeoutMs?: number): Promise<Container[]> {
  const ids = await listIds([], timeoutMs)
  if (ids.length === 0) return []
  const [inspected, killed] = await Promise.all([
    ask(['docker', 'inspect', ...ids], timeoutMs),
    readOutOfMemory(timeoutMs),
  ])
  // It fails when one of them is gone since, and prints the others all the same.
  const gone = !inspected.ok && /No such (object|container)/i.test(inspected.stderr)
  if (!inspected.ok && !gone) throw silent('docker inspect', inspected)
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

/** Seconds before a container's end that its log is read from: the lines that say why. */
const LAST_WORDS_S = 60

function logSince({ State, RestartCount }: Inspected): string {
  const endMs = (RestartCount ?? 0) > 0 || State.Status !== 'running' ? Date.parse(State.FinishedAt ?? '') : 0
  // One that never ran has an end in the year 1.
  return endMs > 0 ? new Date(endMs - LAST_WORDS_S * 1000).toISOString() : (State.StartedAt ?? '')
}

/** Ids of containers that ran out of memory in the last ten minutes. A restart clears the container's own flag; the engine's events remember. */
async function readOutOfMemory(timeoutMs?: number): Promise<string[]> {
  const now = Math.floor(Date.now() / 1000)
  const filters = ['--filter', 'event=oom', '--filter', `label=com.docker.compose.project=${PROJECT}`]
  const window = ['--since', String(now - 600), '--until', String(now)]
  const { stdout } = await ask(['docker', 'events', ...window, ...filters, '--format', '{{.Actor.ID}}'], timeoutMs)
  return stdout.split('\n').filter(Boolean)
}

/** The part of `docker inspect` that is read here. @see https://docs.docker.com/reference/api/engine/ */
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

/** The last lines of a container's log, both streams, in order; of those since a moment, if one is given. */
export async function containerLog(name: string, lines: number, since?: string, timeoutMs?: number): Promise<string[]> {
  const command = ['docker', 'logs', '--tail', String(lines), ...(since ? ['--since', since] : []), name]
  // Through one pipe: two would lose the order of their lines.
  const { stdout } = await ask(['sh', '-c', 'exec "$@" 2>&1', 'sh', ...command], timeoutMs)
  return stdout.trimEnd().split('\n')
}

export interface Memory {
  percentOfLimit: number
  /** As Docker writes it: `1.9GiB / 2GiB`. */
  usage: string
}

/** Memory of the running containers by their names; empty when the engine does not say. It measures for 2 s. */
export async function readMemory(timeoutMs: number): Promise<Map<string, Memory>> {
  const format = '{{.Name}}\t{{.MemPerc}}\t{{.MemUsage}}'
  const { ok, stdout } = await ask(['docker', 'stats', '--no-stream', '--format', format], timeoutMs)
  const lines = ok ? stdout.matchAll(/^(\S+)\t(\S+)\t(.+)$/gm) : []
  return new Map(
    Array.from(lines, ([, name = '', percent = '', usage = '']) => {
      return [name, { percentOfLimit: Number.parseFloat(percent), usage }]
    }),
  )
}

/** True for a container whose processes are there, paused or not. */
export function holdsMemory({ state }: Container): boolean {
  return state === 'running' || state === 'restarting' || state === 'paused'
}

/** Bytes of memory of the machine that the engine runs on, which may be a virtual one; undefined when it does not say. */
export async function readMachineMemory(timeoutMs: number): Promise<number | undefined> {
  const { stdout } = await ask(['docker', 'info', '--format', '{{.MemTotal}}'], timeoutMs)
  return Number(stdout) || undefined
}
