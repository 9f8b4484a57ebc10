/** Defines how each embedded service is started. The services use the same configuration files as the containers. */
import path from 'node:path'
import { reachable, type Settings, variablesOf } from '../../settings/settings.mts'
import { embeddedServicesOf } from '../service.mts'
import { clickhouse } from './clickhouse-service.mts'
import { type EmbeddedService, type Installed, shared } from './definition.mts'
import { kafka, zookeeper } from './java-services.mts'

/** Longest time from SIGTERM to the exit, in ms: the stop_grace_period of docker-compose.yml. */
export const STOP_TIMEOUT_MS: Record<string, number> = {
  zookeeper: 15_000,
  kafka: 45_000,
  clickhouse: 60_000,
  redis: 30_000,
  ui: 5_000,
}

/** Returns the definitions of the embedded services, in start order. Reads and writes nothing. */
export function embeddedServices(settings: Settings, installed: Installed): EmbeddedService[] {
  const makers = { zookeeper, kafka, clickhouse, redis, ui }
  return embeddedServicesOf(settings).map((name) => makers[name](settings, installed))
}

/** The page of `npm run ui`. It always listens on 127.0.0.1, regardless of BIND_ADDRESS. */
function ui(settings: Settings): EmbeddedService {
  const port = settings.KAFKA_UI_PORT
  return {
    name: 'ui',
    host: '127.0.0.1',
    ports: [port],
    command: shared('scripts/lib/run'),
    args: [shared('scripts/ui.mts'), '--no-open', '--port', String(port)],
    // Passes on the resolved settings and the Node.js of this start.
    env: { PATH: `${path.dirname(process.execPath)}:${process.env.PATH ?? ''}`, ...variablesOf(settings) },
    startTimeoutMs: 60_000,
  }
}

function redis(settings: Settings, installed: Installed): EmbeddedService {
  const dataDir = settings.EMBEDDED_DATA_DIR
  const data = path.join(dataDir, 'redis')
  const options = {
    bind: settings.BIND_ADDRESS,
    port: settings.REDIS_PORT,
    dir: data,
    maxmemory: settings.REDIS_MAX_MEMORY,
    'maxmemory-policy': settings.REDIS_MAX_MEMORY_POLICY,
  }
  return {
    name: 'redis',
    host: reachable(settings.BIND_ADDRESS),
    ports: [settings.REDIS_PORT],
    command: installed.redisServer,
    args: [
      shared('redis/redis.conf'),
      ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]),
      '-',
    ],
    env: {},
    // Passed on standard input, so that no command line shows it.
    stdin: `requirepass "${settings.REDIS_PASSWORD.replace(/["\\]/g, '\\$&')}"\n`,
    folders: [data],
    startTimeoutMs: 60_000,
  }
}
