/** The settings of the stack: .env.template's values, then .env, then the shell, as Docker Compose reads them. */
import { isIP, isIPv4 } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { configError, type Finding, reason } from '../common/findings.mts'
import { keepSecret } from '../common/secrets.mts'
import { isSecret, lookupFor, shownValue } from './environment.mts'

/** The folder of docker-compose.yml. */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')

/** A value as its text says it; throws a RangeError that says what was expected. */
type Reader<T> = (text: string) => T

const matching =
  (pattern: RegExp, expected: string): Reader<string> =>
  (text) => {
    if (!pattern.test(text)) throw new RangeError(expected)
    return text
  }

const integer =
  (min: number, max: number): Reader<number> =>
  (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) throw new RangeError(`an integer from ${min} to ${max}`)
    return value
  }

const port = integer(1, 65_535)
/** 100 years, in hours and days: more would overflow the milliseconds and seconds that the services count in. */
const hours = integer(1, 876_000)
const days = integer(0, 36_500)
const image = matching(/^[^\p{Cc}\s]+$/u, 'an image name')
/** Digits and points alone are an IPv4 address or nothing. */
const hostName = matching(/^(?![\d.]*$)[\w-]+(\.[\w-]+)*$/, 'a host name or address, without a port')
const host: Reader<string> = (text) =>
  isIPv4(text) || isIP(text.replace(/^\[(.*:.*)\]$/, '$1').replace('%', ' ')) === 6 ? text : hostName(text)
const name = matching(/^[A-Za-z_]\w*$/, 'letters, digits and "_", not beginning with a digit')
/** Databases that ClickHouse keeps itself; the embedded server's start clears some. */
const RESERVED = /^(system|information_schema|default|_temporary_and_external_tables)$/i
const database: Reader<string> = (text) => {
  if (RESERVED.test(text)) throw new RangeError('a name that is no database of ClickHouse’s own')
  return name(text)
}
/** `default` is the user of the embedded server's own session, and cannot be both. */
const user = matching(
  /^(?!default$)[A-Za-z_]\w*$/,
  'letters, digits and "_", not beginning with a digit, not "default"',
)
const heap = matching(/^[1-9]\d*[kmg]$/i, 'a size such as 320m')
const printable = matching(/^[^\p{Cc}]*$/u, 'printable characters')
const noSpaces = matching(/^[^\p{Cc}\s]*$/u, 'printable characters without spaces')

const UNITS: Record<string, number> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** Bytes of a memory size as Docker writes it: a number and b, k, m or g (also kb, mb, gb), in powers of 1024. */
export function parseBytes(text: string): number {
  const match = /^(\d+)([bkmg]?)b?$/i.exec(text)
  const bytes = Number(match?.[1]) * (UNITS[match?.[2]?.toLowerCase() ?? ''] ?? Number.NaN)
  if (!(bytes > 0 && Number.isSafeInteger(bytes))) throw new RangeError('a size such as 896m')
  return bytes
}

/** Bytes as Redis counts them: `gb` is 1024³, but `g` is 1000³. */
const redisBytes: Reader<number> = (text) => {
  const bytes = parseBytes(text)
  const decimal = /^(\d+)([kmg])$/i.exec(text)
  return !decimal ? bytes : Number(decimal[1]) * 1000 ** ' kmg'.indexOf(decimal[2]?.toLowerCase() ?? ' ')
}

const bootstrapServers: Reader<string[]> = (text) => {
  const servers = text.split(',').map((server) => server.trim())
  for (const server of servers) {
    const [, serverHost = '', serverPort = ''] = /^(.+):(\d+)$/.exec(server) ?? []
    try {
      host(serverHost)
      port(serverPort)
    } catch {
      throw new RangeError('host:port, host:port …')
    }
  }
  return servers
}

/** Compose takes no host name here, and IPv6 in brackets only, which the services' own configurations do not. */
const ipv4: Reader<string> = (text) => {
  if (!isIPv4(text)) throw new RangeError('an IPv4 address such as 127.0.0.1')
  return text
}

const EVICTION = /^(noeviction|(allkeys|volatile)-(lru|lfu|random|lrm)|volatile-ttl)$/

/** Every variable that the files and scripts know, with how it reads. The values themselves stand in .env.template. */
export const VARIABLES = {
  ZOOKEEPER_IMAGE: image,
  KAFKA_IMAGE: image,
  CLICKHOUSE_IMAGE: image,
  REDIS_IMAGE: image,
  KAFKA_UI_IMAGE: image,
  BIND_ADDRESS: ipv4,
  KAFKA_ADVERTISED_HOST: host,
  ZOOKEEPER_CLIENT_PORT: port,
  ZOOKEEPER_HEAP: heap,
  ZOOKEEPER_MEMORY_LIMIT: parseBytes,
  KAFKA_BROKER_ID: integer(0, 2_147_483_647),
  KAFKA_LISTENER_PORT: port,
  KAFKA_INTERNAL_PORT: port,
  KAFKA_LOG_RETENTION_HOURS: hours,
  KAFKA_HEAP: heap,
  KAFKA_MEMORY_LIMIT: parseBytes,
  CLICKHOUSE_DB: database,
  CLICKHOUSE_USER: user,
  CLICKHOUSE_PASSWORD: printable,
  CLICKHOUSE_HTTP_PORT: port,
  CLICKHOUSE_TCP_PORT: port,
  CLICKHOUSE_MEMORY_LIMIT: parseBytes,
  CLICKHOUSE_MAX_OPEN_FILES: integer(1024, 1_048_576),
  MARKET_TICKS_RETENTION_DAYS: days,
  MARKET_L1_RETENTION_DAYS: days,
  MARKET_L2_RETENTION_DAYS: days,
  MARKET_METRICS_RETENTION_DAYS: days,
  INGEST: matching(/^(on|off)$/, 'on or off'),
  INGEST_FLUSH_MS: integer(100, 60_000),
  INGEST_CONSUMERS: integer(1, 4),
  REDIS_PORT: port,
  REDIS_MAX_MEMORY: redisBytes,
  REDIS_MAX_MEMORY_POLICY: matching(EVICTION, 'a policy of Redis such as allkeys-lru'),
  REDIS_PASSWORD: noSpaces,
  REDIS_MEMORY_LIMIT: parseBytes,
  KAFKA_UI_PORT: port,
  KAFKA_UI_HEAP: heap,
  KAFKA_UI_MEMORY_LIMIT: parseBytes,
  KAFKA_BOOTSTRAP_SERVERS: bootstrapServers,
  CLICKHOUSE_HOST: host,
  CLICKHOUSE_PORT: port,
  CLICKHOUSE_DATABASE: database,
  REDIS_HOST: host,
  EMBEDDED_DATA_DIR: ((text) => path.resolve(ROOT, printable(text))) as Reader<string>,
} as const

export type Settings = { readonly [K in keyof typeof VARIABLES]: ReturnType<(typeof VARIABLES)[K]> }

/** The ports that one stack opens on one machine; no two may be equal. */
export const HOST_PORTS = [
  'ZOOKEEPER_CLIENT_PORT',
  'KAFKA_LISTENER_PORT',
  'KAFKA_INTERNAL_PORT',
  'CLICKHOUSE_HTTP_PORT',
  'CLICKHOUSE_TCP_PORT',
  'REDIS_PORT',
  'KAFKA_UI_PORT',
] as const satisfies (keyof Settings)[]

/**
 * The settings in force, checked.
 * @throws {OpsError} exit code 2, naming every wrong value with its file and line, never the value of a secret
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env, root: string = ROOT): Settings {
  const lookup = lookupFor(env, root)
  const wrong: Omit<Finding, 'severity'>[] = []
  const settings: Record<string, unknown> = {}
  const origins: Record<string, string> = {}
  const secrets = Object.keys(VARIABLES).flatMap((variable) => (isSecret(variable) && lookup(variable)?.text) || [])
  const report = (variable: string, found: string, expected: string, code = 'SETTING') =>
    wrong.push({
      code,
      subject: `${origins[variable]} ${variable}`,
      found,
      expected,
      hint: env[variable] === undefined ? `edit .env: ${variable}=…` : `unset ${variable}`,
    })
  for (const [variable, reader] of Object.entries(VARIABLES)) {
    const { text, origin, ambiguity } = lookup(variable) ?? { text: '', origin: '.env.template' }
    origins[variable] = origin
    if (isSecret(variable)) keepSecret(text)
    if (ambiguity) {
      report(variable, `${ambiguity}, which programs read differently`, 'a value in single quotes', 'ENV_AMBIGUOUS')
      continue
    }
    try {
      settings[variable] = (reader as Reader<unknown>)(text)
    } catch (error) {
      report(variable, shownValue(variable, text, secrets), reason(error))
    }
  }
  for (const [index, variable] of HOST_PORTS.entries()) {
    const twin = HOST_PORTS.slice(0, index).find((other) => settings[other] === settings[variable])
    if (twin && settings[variable] !== undefined) {
      report(variable, `port ${settings[variable]}, which ${twin} has too`, 'a port of its own')
    }
  }
  if (wrong.length > 0) throw configError(wrong)
  return settings as Settings
}

/** The address that programs on this machine reach `bindAddress` by. */
export function reachable(bindAddress: string): string {
  return bindAddress === '0.0.0.0' || bindAddress === '::' ? '127.0.0.1' : bindAddress
}
