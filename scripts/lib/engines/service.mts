/** The services of the stack, and where each writes its log. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Settings } from '../settings/settings.mts'

/**
 * The services, the page that the embedded stack has in Kafka UI's place, and two ways through them: the built-in ingest where it is on, and
 * with `--deep` a canary.
 */
export const SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui', 'ui', 'ingest', 'canary'] as const
export type ServiceName = (typeof SERVICES)[number]

/** The services that run without containers. */
export const EMBEDDED_SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'ui'] as const satisfies ServiceName[]
export type EmbeddedName = (typeof EMBEDDED_SERVICES)[number]

/** The services that hold data or keep those that do, by the mode of Kafka: in KRaft mode there is no ZooKeeper. */
export function dataServicesOf({ KAFKA_MODE: mode }: Pick<Settings, 'KAFKA_MODE'>): Exclude<EmbeddedName, 'ui'>[] {
  return EMBEDDED_SERVICES.filter((name) => name !== 'ui').filter(
    (name) => name !== 'zookeeper' || mode === 'zookeeper',
  )
}

/** The services of a stack that runs without containers: those with data, and the page unless EMBEDDED_UI leaves it out. */
export function embeddedServicesOf(settings: Pick<Settings, 'KAFKA_MODE' | 'EMBEDDED_UI'>): EmbeddedName[] {
  return [...dataServicesOf(settings), ...(settings.EMBEDDED_UI === 'on' ? (['ui'] as const) : [])]
}

/** The log file of an embedded service. The log of the start before lies beside it, with `.1` at the end. */
export function logFile(dataDir: string, name: string): string {
  return path.join(dataDir, 'logs', `${name}.log`)
}

/** The file that records the process of an embedded service. */
export function recordFile(dataDir: string, name: string): string {
  return path.join(dataDir, 'run', `${name}.json`)
}

/** The hint that leads to a service's log: its file where the embedded stack runs, else the container's. */
export function logHint(service: EmbeddedName | 'kafka-ui', { EMBEDDED_DATA_DIR: dataDir }: Settings): string {
  if (existsSync(recordFile(dataDir, service))) return `read ${logFile(dataDir, service)}`
  return `docker logs l2_${service.replace('-', '_')}`
}
