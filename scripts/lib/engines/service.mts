/** The services of the stack. */
import type { Settings } from '../settings/settings.mts'

/**
 * The services, the page that replaces Kafka UI in the embedded stack, and two end-to-end checks: the built-in ingest if it is on, and with
 * `--deep` a canary.
 */
export const SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui', 'ui', 'ingest', 'canary'] as const
export type ServiceName = (typeof SERVICES)[number]

/** The services of the embedded stack. */
export const EMBEDDED_SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'ui'] as const satisfies ServiceName[]
export type EmbeddedName = (typeof EMBEDDED_SERVICES)[number]

/** Returns the services that store the stack's data or metadata. In KRaft mode there is no ZooKeeper. */
export function dataServicesOf({ KAFKA_MODE: mode }: Pick<Settings, 'KAFKA_MODE'>): Exclude<EmbeddedName, 'ui'>[] {
  return EMBEDDED_SERVICES.filter((name) => name !== 'ui').filter(
    (name) => name !== 'zookeeper' || mode === 'zookeeper',
  )
}

/** Returns the services of an embedded stack: the data services, and the page unless EMBEDDED_UI disables it. */
export function embeddedServicesOf(settings: Pick<Settings, 'KAFKA_MODE' | 'EMBEDDED_UI'>): EmbeddedName[] {
  return [...dataServicesOf(settings), ...(settings.EMBEDDED_UI === 'on' ? (['ui'] as const) : [])]
}
