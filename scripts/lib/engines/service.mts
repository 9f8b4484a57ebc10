/** The services of the stack. */
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
