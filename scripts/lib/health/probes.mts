/** Imports the probes and orders their start. */
import { setImmediate } from 'node:timers/promises'
import type { ServiceName } from '../engines/service.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

export type ProbeFunction = (settings: Settings, options: ProbeOptions) => Promise<Probe>

/**
 * Imports each probe and its clients only when needed, because a client takes up to 0.1 s to import. In order of start:
 * first the service that takes longest to answer, then the probes that take the least CPU time of this process.
 */
const PROBES: Record<ServiceName, (deep: boolean) => Promise<ProbeFunction>> = {
  clickhouse: async () => {
    await import('@clickhouse/client')
    return (await import('./clickhouse.mts')).probeClickHouse
  },
  zookeeper: async () => (await import('./zookeeper.mts')).probeZookeeper,
  redis: async () => {
    await import('ioredis')
    return (await import('./redis.mts')).probeRedis
  },
  'kafka-ui': async () => (await import('./pages.mts')).probeKafkaUi,
  ui: async () => (await import('./pages.mts')).probeUi,
  ingest: async () => {
    await import('@clickhouse/client')
    return (await import('./ingest.mts')).probeIngest
  },
  kafka: async (deep) => {
    if (deep) await import('kafkajs')
    return (await import('./kafka.mts')).probeKafka
  },
  canary: async () => {
    await import('@clickhouse/client')
    await import('kafkajs')
    await import('ioredis')
    return (await import('./canary.mts')).probeCanary
  },
}

/**
 * Imports the probes of the services before any of them starts, so that no deadline is spent on the import of another
 * probe. Imports them one by one: when two modules are imported concurrently, jiti 2.7 gives one of them shared modules
 * that have not been evaluated yet.
 */
export async function importProbes(
  services: readonly ServiceName[],
  deep: boolean,
): Promise<Map<ServiceName, ProbeFunction>> {
  const probes = new Map<ServiceName, ProbeFunction>()
  for (const service of services) probes.set(service, await PROBES[service](deep))
  return probes
}

/** Waits until the service's turn to start. Between two turns the event loop reads the answers that have arrived. */
export async function waitTurn(service: ServiceName): Promise<void> {
  for (let turns = Object.keys(PROBES).indexOf(service); turns > 0; turns--) await setImmediate()
}
