/** The ports that the stack publishes: as Docker Compose resolves the project, or without Compose as the settings define them. */
import { cannotTell, configError, error, unknown } from '../common/findings.mts'
import { run } from '../common/run.mts'
import { findCompose, PROJECT, parseAnswer } from '../engines/docker.mts'
import type { ServiceName } from '../engines/service.mts'
import { isProduction } from '../settings/production.mts'
import { ROOT, reachable, type Settings } from '../settings/settings.mts'
import type { Protocol } from './probe.mts'

export interface PublishedPort {
  service: string
  /** Address on the host; empty means all IPv4 and IPv6 addresses. */
  hostIp: string
  /** First and last port on the host. The engine uses the first free one of a range. */
  first: number
  last: number
  protocol: Protocol
  /** The setting that defines the port, if any. */
  variable: PortVariable | undefined
  /** Where the port is defined, for messages: in .env or in the compose file. */
  origin: string
}

export interface ComposeProject {
  name: string
  ports: PublishedPort[]
}

type PortVariable = Extract<keyof Settings, `${string}_PORT`>

/** The ports in the compose files: service, port in the container, and the setting that defines the port on the host. */
const KNOWN: readonly [ServiceName, number, PortVariable][] = [
  ['zookeeper', 2181, 'ZOOKEEPER_CLIENT_PORT'],
  ['kafka', 9092, 'KAFKA_LISTENER_PORT'],
  ['clickhouse', 8123, 'CLICKHOUSE_HTTP_PORT'],
  ['clickhouse', 9000, 'CLICKHOUSE_TCP_PORT'],
  ['redis', 6379, 'REDIS_PORT'],
  ['kafka-ui', 8080, 'KAFKA_UI_PORT'],
  // With TLS, from docker-compose.prod.yml.
  ['clickhouse', 8443, 'CLICKHOUSE_HTTPS_PORT'],
  ['clickhouse', 9440, 'CLICKHOUSE_TCP_TLS_PORT'],
  ['redis', 6380, 'REDIS_PORT'],
]
/** Container ports that only docker-compose.prod.yml publishes, and those that it removes. */
const TLS_PORTS = [8443, 9440, 6380]
const PLAIN_PORTS = [8123, 9000, 6379]
/** Services without TLS, which docker-compose.prod.yml publishes on 127.0.0.1 only. */
const LOCAL_ONLY: readonly string[] = ['zookeeper', 'kafka-ui']

/** Returns the address at which this machine reaches ZooKeeper and Kafka UI. */
export const localAddress = (settings: Settings): string =>
  isProduction() ? '127.0.0.1' : reachable(settings.BIND_ADDRESS)

/** Returns the port of a setting, on BIND_ADDRESS. */
export function portOf(settings: Settings, service: ServiceName, variable: PortVariable): PublishedPort {
  const port = settings[variable]
  const origin = `.env (${variable})`
  return { service, hostIp: settings.BIND_ADDRESS, first: port, last: port, protocol: 'tcp', variable, origin }
}

/**
 * Returns the ports that the settings define for docker-compose.yml, without ZooKeeper's in KRaft mode.
 * @param production with docker-compose.prod.yml, which publishes ports with TLS in place of the plain ones
 */
export function knownPorts(settings: Settings, production: boolean): PublishedPort[] {
  const others = production ? PLAIN_PORTS : TLS_PORTS
  return KNOWN.filter(
    ([service, target]) => (service !== 'zookeeper' || settings.KAFKA_MODE === 'zookeeper') && !others.includes(target),
  ).map(([service, , variable]) => {
    const port = portOf(settings, service, variable)
    return production && LOCAL_ONLY.includes(service) ? { ...port, hostIp: '127.0.0.1' } : port
  })
}

/** The part of `docker compose config --format json` that is used here. */
interface Config {
  name: string
  services?: Record<string, { ports?: Entry[] | null }> | null
}

interface Entry {
  host_ip?: string
  target: number
  /** A port or a range; 0 or undefined lets the engine choose one. */
  published?: string | number
  protocol?: Protocol
}

/**
 * Returns what `docker compose up` in `root` would publish, as Compose resolves it from .env, COMPOSE_FILE, override files and profiles.
 * Without Docker Compose, returns the ports of the settings.
 * @throws {OpsError} exit code 2 if Compose rejects the project, with its message; 3 if it does not answer
 */
export async function readProject(
  settings: Settings,
  { root = ROOT, env = process.env, timeoutMs = 10_000 } = {},
): Promise<ComposeProject> {
  const compose = await findCompose(env)
  if (!compose) return { name: PROJECT, ports: knownPorts(settings, isProduction(env, root)) }
  const answer = await run([...compose, 'config', '--format', 'json'], { cwd: root, env, timeoutMs })
  const subject = 'docker compose config'
  const hint = `cd '${root}' && ${compose.join(' ')} config --quiet`
  if (answer.exitCode === null) throw cannotTell(unknown('DOCKER', subject, { found: answer.stderr, hint }))
  if (!answer.ok) throw configError([error('COMPOSE_FILE', subject, { found: refusal(answer.stderr), hint })])
  return parseAnswer(subject, answer, ({ name, services }: Config) => ({
    name,
    ports: Object.entries(services ?? {}).flatMap(([service, { ports }]) =>
      (ports ?? []).flatMap((entry) => publishedPort(settings, service, entry)),
    ),
  }))
}

/** Returns Compose's message without its warnings, and without a value that it could not interpolate, which may be a secret. */
function refusal(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('time='))
  return lines.join(' ').replace(/(invalid interpolation format for [^\s:]*[^\s:.]).*/, '$1')
}

function publishedPort(settings: Settings, service: string, entry: Entry): PublishedPort[] {
  const { host_ip: hostIp = '', target, published = '', protocol = 'tcp' } = entry
  const [first = 0, last = first] = String(published).split('-').map(Number)
  if (first === 0) return []
  const known = KNOWN.find((each) => each[0] === service && each[1] === target)?.[2]
  // A port with another number is defined in the compose file, not by the setting.
  const variable = known && settings[known] === first && first === last ? known : undefined
  const origin = variable ? `.env (${variable})` : `ports of ${service} in the compose file`
  return [{ service, hostIp, first, last, protocol, variable, origin }]
}
