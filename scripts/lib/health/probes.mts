/** The probes of all services: how each is imported, and when it is its turn. */
import { setImmediate } from 'node:timers/promises'
import type { ServiceName } from '../engines/service.mts'
import type { Settings } from '../settings/settings.mts'
import type { Probe, ProbeOptions } from './probe.mts'

export type Ask = (settings: Settings, options: ProbeOptions) => Promise<Probe>

/**
 * Probes and the clients that they use, imported only when they are asked for: a client costs up to 0.1 s. In the order in which services are
 * asked: what takes longest to answer, then what takes least of our own time to ask.
 */
const PROBES: Record<ServiceName, (deep: boolean) => Promise<Ask>> = {
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
 * The probes of the services. All are there before the first is asked, so that no probe's time is spent on the import of another. One is
 * imported after the other: of two imported at once, jiti 2.7 gives one the modules they share before these are run.
 */
export async function importProbes(services: readonly ServiceName[], deep: boolean): Promise<Map<ServiceName, Ask>> {
  const asks = new Map<ServiceName, Ask>()
  for (const service of services) asks.set(service, await PROBES[service](deep))
  return asks
}

/** Comes back when it is the service's turn: between two of them what has been answered is read. */
export async function inTurn(service: ServiceName): Promise<void> {
  for (let turns = Object.keys(PROBES).indexOf(service); turns > 0; turns--) await setImmediate()
}
