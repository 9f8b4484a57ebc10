/** The health of each service, a part each: one that hangs does not delay what the others show. */

import { readContainers, readMachineMemory } from '../engines/inspect.mts'
import type { ServiceName } from '../engines/service.mts'
import { type DockerQueries, readHealth, type ServiceHealth } from '../health/health.mts'
import { LAG_LIMITS } from '../kafka/lag-limits.mts'
import type { Settings } from '../settings/settings.mts'
import type { Part } from './sampler.mts'

/** Without the ingest, which is a part of its own, and the page itself, which is there to be read. */
const SHOWN = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui'] as const satisfies ServiceName[]
/** Milliseconds of one question; a probe asks two in turn. */
const TIMEOUT_MS = 2_500
/** Milliseconds that what Docker says holds: each service asks, and an answer costs two programs. */
const DOCKER_HOLDS_MS = 3_000

export type HealthView = Omit<ServiceHealth, 'service'> & { service: string; mode: string }

export function healthParts(settings: Settings): Part[] {
  const docker: DockerQueries = {
    readContainers: held((timeoutMs) => readContainers(timeoutMs)),
    readMachineMemory: held((timeoutMs) => readMachineMemory(timeoutMs ?? TIMEOUT_MS)),
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

/** What `read` answered last, for as long as it holds. */
function held<T>(read: (timeoutMs?: number) => Promise<T>): (timeoutMs?: number) => Promise<T> {
  let last: { atMs: number; answer: Promise<T> } | undefined
  return (timeoutMs) => {
    if (!last || performance.now() - last.atMs > DOCKER_HOLDS_MS)
      last = { atMs: performance.now(), answer: read(timeoutMs) }
    return last.answer
  }
}
