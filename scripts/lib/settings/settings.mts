/** The settings of the stack: .env.template, overridden by .env, overridden by the shell, as in Docker Compose. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { configError, error, type Finding, reason } from '../common/findings.mts'
import { registerSecret } from '../common/redact.mts'
import { connectionMistakes, file, s3Endpoint, tokenEndpoint } from './connections.mts'
import { envFileName } from './env-file.mts'
import { isSecret, lookupFor, shownValue } from './environment.mts'
import {
  bootstrapServers,
  cluster,
  database,
  days,
  EVICTION,
  extraGrants,
  heap,
  host,
  hours,
  image,
  integer,
  ipv4,
  kafkaMode,
  matching,
  noSpaces,
  oneOf,
  otherUser,
  parseBytes,
  port,
  printable,
  type Reader,
  redisBytes,
  user,
} from './readers.mts'

/** The folder of docker-compose.yml. */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')

/** Returns the absolute path of a readable file, relative to the project's folder as in Compose; may be empty. */
const inRoot: Reader<string> = (text) => (text === '' ? '' : file(path.resolve(ROOT, text)))

/** All variables and their parsers. Default values are in .env.template. */
export const VARIABLES = {
  ZOOKEEPER_IMAGE: image,
  KAFKA_IMAGE: image,
  KAFKA_KRAFT_IMAGE: image,
  CLICKHOUSE_IMAGE: image,
  REDIS_IMAGE: image,
  KAFKA_UI_IMAGE: image,
  BIND_ADDRESS: ipv4,
  KAFKA_ADVERTISED_HOST: host,
  ZOOKEEPER_CLIENT_PORT: port,
  ZOOKEEPER_HEAP: heap,
  ZOOKEEPER_MEMORY_LIMIT: parseBytes,
  KAFKA_MODE: kafkaMode,
  KAFKA_BROKER_ID: integer(0, 2_147_483_647),
  KAFKA_LISTENER_PORT: port,
  KAFKA_INTERNAL_PORT: port,
  KAFKA_CONTROLLER_PORT: port,
  KAFKA_LOG_RETENTION_HOURS: hours,
  KAFKA_REPLICATION_FACTOR: integer(1, 32_767),
  KAFKA_MIN_INSYNC_REPLICAS: integer(1, 32_767),
  KAFKA_HEAP: heap,
  KAFKA_MEMORY_LIMIT: parseBytes,
  CLICKHOUSE_DB: database,
  CLICKHOUSE_USER: user,
  CLICKHOUSE_PASSWORD: printable,
  CLICKHOUSE_READONLY_USER: otherUser,
  CLICKHOUSE_READONLY_PASSWORD: printable,
  CLICKHOUSE_EXTRA_GRANTS: extraGrants,
  CLICKHOUSE_HTTP_PORT: port,
  CLICKHOUSE_TCP_PORT: port,
  CLICKHOUSE_HTTPS_PORT: port,
  CLICKHOUSE_TCP_TLS_PORT: port,
  CLICKHOUSE_MEMORY_LIMIT: parseBytes,
  CLICKHOUSE_MAX_OPEN_FILES: integer(1024, 1_048_576),
  MARKET_TICKS_RETENTION_DAYS: days,
  MARKET_L1_RETENTION_DAYS: days,
  MARKET_L2_RETENTION_DAYS: days,
  MARKET_METRICS_RETENTION_DAYS: days,
  INGEST: oneOf('on', 'off'),
  INGEST_FLUSH_MS: integer(100, 60_000),
  INGEST_CONSUMERS: integer(1, 4),
  REDIS_PORT: port,
  REDIS_MAX_MEMORY: redisBytes,
  REDIS_MAX_MEMORY_POLICY: matching(EVICTION, 'an eviction policy such as allkeys-lru'),
  REDIS_PASSWORD: noSpaces,
  REDIS_MEMORY_LIMIT: parseBytes,
  KAFKA_UI_PORT: port,
  KAFKA_UI_READONLY: oneOf('true', 'false'),
  KAFKA_UI_USER: printable,
  KAFKA_UI_PASSWORD: printable,
  KAFKA_UI_HEAP: heap,
  KAFKA_UI_MEMORY_LIMIT: parseBytes,
  UI_PORT: port,
  KAFKA_BOOTSTRAP_SERVERS: bootstrapServers,
  KAFKA_SECURITY_PROTOCOL: oneOf('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'),
  KAFKA_SASL_MECHANISM: oneOf('', 'PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'),
  KAFKA_SASL_USERNAME: printable,
  KAFKA_SASL_PASSWORD: printable,
  KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: tokenEndpoint,
  KAFKA_SSL_CA_LOCATION: inRoot,
  KAFKA_SSL_CERTIFICATE_LOCATION: inRoot,
  KAFKA_SSL_KEY_LOCATION: inRoot,
  KAFKA_SSL_KEY_PASSWORD: printable,
  CLICKHOUSE_HOST: host,
  CLICKHOUSE_PORT: port,
  CLICKHOUSE_DATABASE: database,
  CLICKHOUSE_CLUSTER: cluster,
  CLICKHOUSE_SECURE: oneOf('true', 'false'),
  CLICKHOUSE_CA_CERT: inRoot,
  REDIS_HOST: host,
  REDIS_USERNAME: noSpaces,
  REDIS_TLS: oneOf('true', 'false'),
  REDIS_CA_CERT: inRoot,
  S3_ENDPOINT: s3Endpoint,
  S3_REGION: matching(/^[\w-]*$/, 'letters, digits and "-", such as eu-central-1'),
  S3_ACCESS_KEY_ID: noSpaces,
  S3_SECRET_ACCESS_KEY: noSpaces,
  EMBEDDED_UI: oneOf('on', 'off'),
  EMBEDDED_DATA_DIR: ((text) => path.resolve(ROOT, printable(text))) as Reader<string>,
} as const

export type Settings = { readonly [K in keyof typeof VARIABLES]: ReturnType<(typeof VARIABLES)[K]> }

/** Returns the settings as environment variables for a child process. */
export const variablesOf = (settings: Settings): Record<string, string> =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)]))

/** The ports that a stack opens on its machine; all must differ. */
export const HOST_PORTS = [
  'ZOOKEEPER_CLIENT_PORT',
  'KAFKA_LISTENER_PORT',
  'KAFKA_INTERNAL_PORT',
  'KAFKA_CONTROLLER_PORT',
  'CLICKHOUSE_HTTP_PORT',
  'CLICKHOUSE_TCP_PORT',
  'REDIS_PORT',
  'KAFKA_UI_PORT',
] as const satisfies (keyof Settings)[]

/**
 * Reads and checks the settings in effect.
 * @throws {OpsError} exit code 2, with a finding for every invalid value, its file and line; never shows a secret
 */
export function readSettings(env: NodeJS.ProcessEnv = process.env, root: string = ROOT): Settings {
  const lookup = lookupFor(env, root)
  const wrong: Finding[] = []
  const settings: Record<string, unknown> = {}
  const origins: Record<string, string> = {}
  const secrets = Object.keys(VARIABLES).flatMap((variable) => (isSecret(variable) && lookup(variable)?.text) || [])
  const report = (variable: string, found: string, expected: string, code = 'SETTING') => {
    const hint = env[variable] === undefined ? `edit ${envFileName(env, root)}: ${variable}=…` : `unset ${variable}`
    wrong.push(error(code, `${origins[variable]} ${variable}`, { found, expected, hint }))
  }
  for (const [variable, reader] of Object.entries(VARIABLES)) {
    const { text, origin, ambiguity } = lookup(variable) ?? { text: '', origin: '.env.template' }
    origins[variable] = origin
    if (isSecret(variable)) registerSecret(text)
    if (ambiguity) {
      report(variable, `${ambiguity}, which programs parse differently`, 'a value in single quotes', 'ENV_AMBIGUOUS')
      continue
    }
    try {
      settings[variable] = (reader as Reader<unknown>)(text)
    } catch (failure) {
      report(variable, shownValue(variable, text, secrets), reason(failure))
    }
  }
  for (const [index, variable] of HOST_PORTS.entries()) {
    const twin = HOST_PORTS.slice(0, index).find((other) => settings[other] === settings[variable])
    if (twin && settings[variable] !== undefined) {
      report(variable, `port ${settings[variable]}, which ${twin} also uses`, 'a different port')
    }
  }
  for (const [variable, found, expected] of contradictions(settings as Settings)) report(variable, found, expected)
  for (const [variable, found, expected] of connectionMistakes(settings)) report(variable, found, expected)
  if (wrong.length > 0) throw configError(wrong)
  const { CLICKHOUSE_SECURE, CLICKHOUSE_PORT, CLICKHOUSE_HTTP_PORT, ...rest } = settings as Settings
  // With TLS, the template's CLICKHOUSE_PORT, this stack's port without TLS, means that no port was chosen.
  const isUnchosen = CLICKHOUSE_SECURE === 'true' && CLICKHOUSE_PORT === CLICKHOUSE_HTTP_PORT
  const port = isUnchosen ? rest.CLICKHOUSE_HTTPS_PORT : CLICKHOUSE_PORT
  return { ...rest, CLICKHOUSE_SECURE, CLICKHOUSE_HTTP_PORT, CLICKHOUSE_PORT: port }
}

/** Bytes that Redis needs per byte of maxmemory while it rewrites its append-only file at 1,000 writes/s. */
const REDIS_OVERHEAD = 1.4

/** Returns settings that are valid on their own but contradict each other. */
function contradictions(settings: Partial<Settings>): [variable: keyof Settings, found: string, expected: string][] {
  const list: ReturnType<typeof contradictions> = []
  const { REDIS_MAX_MEMORY = 0, REDIS_MEMORY_LIMIT = Number.POSITIVE_INFINITY } = settings
  if (REDIS_MEMORY_LIMIT < REDIS_OVERHEAD * REDIS_MAX_MEMORY) {
    const least = `${Math.ceil((REDIS_OVERHEAD * REDIS_MAX_MEMORY) / 1024 ** 2)}m`
    const found = `${Math.floor(REDIS_MEMORY_LIMIT / 1024 ** 2)}m`
    list.push(['REDIS_MEMORY_LIMIT', found, `at least ${least}, ${REDIS_OVERHEAD} times REDIS_MAX_MEMORY`])
  }
  const { KAFKA_REPLICATION_FACTOR: replicas = 1, KAFKA_MIN_INSYNC_REPLICAS: inSync = 1 } = settings
  if (inSync > replicas)
    list.push(['KAFKA_MIN_INSYNC_REPLICAS', `${inSync}`, `at most ${replicas}, KAFKA_REPLICATION_FACTOR`])
  const { CLICKHOUSE_READONLY_USER: reader, CLICKHOUSE_READONLY_PASSWORD: password } = settings
  if (reader && reader === settings.CLICKHOUSE_USER) {
    list.push(['CLICKHOUSE_READONLY_USER', `"${reader}", the same as CLICKHOUSE_USER`, 'a different name'])
  }
  if (reader && password === '') list.push(['CLICKHOUSE_READONLY_PASSWORD', 'none', 'a password'])
  return list
}

/** Returns the address at which programs on this machine reach services bound to `bindAddress`. */
export function reachable(bindAddress: string): string {
  return bindAddress === '0.0.0.0' || bindAddress === '::' ? '127.0.0.1' : bindAddress
}
