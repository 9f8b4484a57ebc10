/** The health of the services, one part per service: a service that hangs does not delay the others. */

import { readContainers, readMachineMemory } from '../engines/inspect.mts'
import type { ServiceName } from '../engines/service.mts'
import { type DockerQueries, readHealth, type ServiceHealth } from '../health/health.mts'
import { LAG_LIMITS } from '../kafka/lag-limits.mts'
import type { Settings } from '../settings/settings.mts'
import type { Part } from './sampler.mts'

/** The ingest is a separate part, and the page itself needs no check. */
const SHOWN = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui'] as const satisfies ServiceName[]
/** Deadline of one request in ms; a probe sends up to two in sequence. */
const TIMEOUT_MS = 2_500
/** How long Docker's answers are cached, in ms: each service needs them, and each answer starts two processes. */
const DOCKER_CACHE_MS = 3_000

export type HealthView = Omit<ServiceHealth, 'service'> & { service: string; mode: string }

export function healthParts(settings: Settings): Part[] {
  const docker: DockerQueries = {
    readContainers: cached((timeoutMs) => readContainers(timeoutMs)),
    readMachineMemory: cached((timeoutMs) => readMachineMemory(timeoutMs ?? TIMEOUT_MS)),
  }
  const options = { timeoutMs: TIMEOUT_MS, deep: false, ...LAG_LIMITS }
  return SHOWN.map((service) => ({
    name: `health ${service}`,
    pauseMs: 2_500,
    timeoutMs: 10_000,
    read: async (): Promise<HealthView> => {
      const { mode, services, findings } = await readHealth(settings, [service], options, docker)
      const [health] = services
      if (!health) throw new Error(`no health of ${service}`)
      return { ...health, mode, findings }
    },
  }))
}

/** Caches the result of `read` for {@link DOCKER_CACHE_MS}. */
function cached<T>(read: (timeoutMs?: number) => Promise<T>): (timeoutMs?: number) => Promise<T> {
  let last: { atMs: number; answer: Promise<T> } | undefined
  return (timeoutMs) => {
    if (!last || performance.now() - last.atMs > DOCKER_CACHE_MS)
      last = { atMs: performance.now(), answer: read(timeoutMs) }
    return last.answer
  }
}
