/** The embedded services as data: what each is started with, from the same configuration files as the containers. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import type { Settings } from '../../settings/settings.mts'
import { ROOT, reachable } from '../../settings/settings.mts'
import { type EmbeddedName, embeddedServicesOf } from '../service.mts'
import type { Launch } from './processes.mts'

/** Where the installed parts of the embedded stack are. */
export interface Installed {
  java: string
  jars: string[]
  /** Folder whose node_modules holds ClickHouse. */
  libraries: string
  redisServer: string
  /** Class-data archives of earlier runs by service, or where this run shall write one. */
  archives: { folder: string; existing: string[] }
}

export interface EmbeddedService extends Launch {
  name: EmbeddedName
  /** Host and port that it answers on. */
  host: string
  port: number
  /** Files to write before the start, by path: `text`, after the contents of the shared file `base` if there is one. */
  files: Record<string, { base?: string; text: string }>
  /** Links to make before the start: path of the link, and the shared file it leads to. */
  links: Record<string, string>
  folders: string[]
  /** Folders to delete before the start. */
  leftovers: string[]
  /** The header that logs in over HTTP, where one is needed to ask whether it serves. */
  login?: string
  /** Longest time to its first answer, in ms. */
  startTimeoutMs: number
}

/** Longest time from SIGTERM to the end, in ms: the stop_grace_period of docker-compose.yml. */
export const STOP_TIMEOUT_MS: Record<string, number> = {
  zookeeper: 15_000,
  kafka: 45_000,
  clickhouse: 60_000,
  redis: 30_000,
}

/** The services in the order in which they start. Reads and writes nothing. */
export function embeddedServices(settings: Settings, installed: Installed): EmbeddedService[] {
  const makers = { zookeeper, kafka, clickhouse, redis }
  return embeddedServicesOf(settings).map((name) => makers[name](settings, installed))
}

/** A file that containers and embedded stack share. */
export const shared = (file: string) => path.join(ROOT, file)

/** The class-data archive that a JVM of the data folder writes at a clean end: named after the JVM and jars that it is good for. */
export function archiveFile(dataDir: string, name: string, { archives }: Installed): string {
  return path.join(dataDir, 'run', `${name}.${path.basename(archives.folder)}.jsa`)
}

/** Kafka 4 logs through log4j 2, older ones and ZooKeeper through log4j 1. */
const LOGGING = {
  zookeeper: `-Dlog4j.configuration=file:${shared('kafka/log4j.properties')}`,
  kraft: `-Dlog4j2.configurationFile=file:${shared('kafka/log4j2.properties')}`,
}

/** Without a locale Java cannot open a path with letters beyond ASCII. */
export const JAVA_ENV = { LC_ALL: 'C.UTF-8' }

/** JVM options, most of all for a fast start: see "class-data archives" in the README's section on the embedded stack. */
function java(settings: Settings, installed: Installed, name: EmbeddedName, heap: string, mainClass: string): string[] {
  const archive = `${name}.jsa`
  const sharing = installed.archives.existing.includes(archive)
    ? [`-XX:SharedArchiveFile=${path.join(installed.archives.folder, archive)}`]
    : [`-XX:ArchiveClassesAtExit=${archiveFile(settings.EMBEDDED_DATA_DIR, name, installed)}`]
  return [
    `-Xms${heap}`,
    `-Xmx${heap}`,
    // One collector thread instead of a pool: less memory, and heaps this small are collected in milliseconds.
    '-XX:+UseSerialGC',
    '-Xlog:cds=off',
    '-Xlog:cds+dynamic=off',
    ...sharing,
    '-Djava.awt.headless=true',
    LOGGING[settings.KAFKA_MODE],
    '-cp',
    installed.jars.join(':'),
    mainClass,
  ]
}

function zookeeper(settings: Settings, installed: Installed): EmbeddedService {
  const dataDir = settings.EMBEDDED_DATA_DIR
  const config = path.join(dataDir, 'run', 'zoo.cfg')
  const data = path.join(dataDir, 'zookeeper', 'data')
  const logs = path.join(dataDir, 'zookeeper', 'datalog')
  return {
    name: 'zookeeper',
    host: reachable(settings.BIND_ADDRESS),
    port: settings.ZOOKEEPER_CLIENT_PORT,
    command: installed.java,
    args: [
      ...java(
        settings,
        installed,
        'zookeeper',
        settings.ZOOKEEPER_HEAP,
        'org.apache.zookeeper.server.quorum.QuorumPeerMain',
      ),
      config,
    ],
    env: JAVA_ENV,
    cwd: dataDir,
    stdin: '',
    files: {
      // Of two equal keys the later one holds.
      [config]: {
        base: shared('zookeeper/zoo.cfg'),
        text: [
          '',
          `dataDir=${propertyText(data)}`,
          `dataLogDir=${propertyText(logs)}`,
          `clientPort=${settings.ZOOKEEPER_CLIENT_PORT}`,
          `clientPortAddress=${settings.BIND_ADDRESS}`,
          '',
        ].join('\n'),
      },
    },
    links: {},
    folders: [data, logs],
    leftovers: [],
    startTimeoutMs: 30_000,
  }
}

/** `text` as a Java properties file holds it: backslashes and what is beyond ASCII escaped. */
export function propertyText(text: string): string {
  return text.replace(/\\|[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The folder of Kafka's records. */
export const kafkaFolder = (settings: Settings): string => path.join(settings.EMBEDDED_DATA_DIR, 'kafka')

/** The listeners for the broker itself and its neighbours, and for programs. */
const brokerListeners = ({
  BIND_ADDRESS: bind,
  KAFKA_INTERNAL_PORT: internal,
  KAFKA_LISTENER_PORT: external,
}: Settings) => `INTERNAL://${bind}:${internal},EXTERNAL://${bind}:${external}`

/**
 * What makes a broker of Kafka 4 its own controller. The one voter is named by configuration, not by the formatted storage, so that its
 * port may change. Nothing but the broker itself asks it: it listens on the loopback address.
 */
export function kraftProperties(settings: Settings) {
  const { KAFKA_BROKER_ID: id, KAFKA_CONTROLLER_PORT: port } = settings
  return {
    'process.roles': 'broker,controller',
    'node.id': id,
    'broker.id': id,
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': `${id}@127.0.0.1:${port}`,
    'listener.security.protocol.map': 'INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
    listeners: `${brokerListeners(settings)},CONTROLLER://127.0.0.1:${port}`,
  }
}

/** What makes a broker of Kafka 3.9 keep its metadata in ZooKeeper. */
const zookeeperProperties = (settings: Settings) => ({
  'broker.id': settings.KAFKA_BROKER_ID,
  'zookeeper.connect': `${reachable(settings.BIND_ADDRESS)}:${settings.ZOOKEEPER_CLIENT_PORT}`,
  listeners: brokerListeners(settings),
})

function kafka(settings: Settings, installed: Installed): EmbeddedService {
  const dataDir = settings.EMBEDDED_DATA_DIR
  const logs = kafkaFolder(settings)
  const local = reachable(settings.BIND_ADDRESS)
  const overrides = {
    ...(settings.KAFKA_MODE === 'kraft' ? kraftProperties(settings) : zookeeperProperties(settings)),
    'log.dirs': logs,
    'log.retention.hours': settings.KAFKA_LOG_RETENTION_HOURS,
    'advertised.listeners':
      `INTERNAL://${local}:${settings.KAFKA_INTERNAL_PORT},` +
      `EXTERNAL://${settings.KAFKA_ADVERTISED_HOST}:${settings.KAFKA_LISTENER_PORT}`,
  }
  return {
    name: 'kafka',
    host: local,
    port: settings.KAFKA_LISTENER_PORT,
    command: installed.java,
    args: [
      ...java(settings, installed, 'kafka', settings.KAFKA_HEAP, 'kafka.Kafka'),
      shared('kafka/server.properties'),
      ...Object.entries(overrides).flatMap(([key, value]) => ['--override', `${key}=${value}`]),
    ],
    env: JAVA_ENV,
    cwd: dataDir,
    stdin: '',
    files: {},
    links: {},
    folders: [logs],
    leftovers: [],
    startTimeoutMs: 90_000,
  }
}

/** Sources that are files of this machine. */
const OF_FILES = ['FILE', 'SQLITE', 'HIVE']

function clickhouse(settings: Settings, installed: Installed): EmbeddedService {
  const dataDir = settings.EMBEDDED_DATA_DIR
  const run = path.join(dataDir, 'run', 'clickhouse')
  const host = reachable(settings.BIND_ADDRESS)
  const file = (name: string) => path.join(run, name)
  return {
    name: 'clickhouse',
    host,
    port: settings.CLICKHOUSE_HTTP_PORT,
    command: shared('scripts/lib/run'),
    args: [
      shared('scripts/lib/engines/embedded/clickhouse-server.mts'),
      installed.libraries,
      file('config.xml'),
      path.join(dataDir, 'clickhouse'),
    ],
    env: {
      // The Node.js that runs this, wherever it is installed.
      PATH: `${path.dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      CLICKHOUSE_DB: settings.CLICKHOUSE_DB,
      L2_EXTRA_SOURCES: settings.CLICKHOUSE_EXTRA_GRANTS.map((source) => `, ${source}`).join(''),
      L2_HTTP_ADDRESS: settings.BIND_ADDRESS,
      L2_HTTP_HOST: settings.KAFKA_ADVERTISED_HOST,
      L2_HTTP_PORT: String(settings.CLICKHOUSE_HTTP_PORT),
      L2_CLICKHOUSE_FILES: settings.CLICKHOUSE_EXTRA_GRANTS.some((source) => OF_FILES.includes(source)) ? 'all' : 'own',
      L2_KAFKA_BROKERS: `${host}:${settings.KAFKA_INTERNAL_PORT}`,
    },
    cwd: dataDir,
    login: basicLogin(settings.CLICKHOUSE_USER, settings.CLICKHOUSE_PASSWORD),
    stdin: JSON.stringify({
      L2_CLICKHOUSE_PASSWORD_SHA256: sha256(settings.CLICKHOUSE_PASSWORD),
      L2_CLICKHOUSE_READONLY_SHA256: sha256(settings.CLICKHOUSE_READONLY_PASSWORD),
    }),
    files: {
      [file('config.xml')]: {
        text: `<clickhouse>
    <listen_host>${settings.BIND_ADDRESS}</listen_host>
    <http_port>${settings.CLICKHOUSE_HTTP_PORT}</http_port>
    <tcp_port>${settings.CLICKHOUSE_TCP_PORT}</tcp_port>
    <user_directories><users_xml><path>${xmlText(file('users.xml'))}</path></users_xml></user_directories>
</clickhouse>
`,
      },
      // What the container learns from its memory limit; and seconds to wait for clients' open connections at the end.
      [file('config.d/embedded.xml')]: {
        text: `<clickhouse>
    <max_server_memory_usage>${Math.floor(settings.CLICKHOUSE_MEMORY_LIMIT * 0.85)}</max_server_memory_usage>
    <shutdown_wait_unfinished>1</shutdown_wait_unfinished>
</clickhouse>
`,
      },
      [file('users.xml')]: { text: usersXml(settings) },
    },
    links: {
      [file('config.d/l2.xml')]: shared('clickhouse/config.d/l2.xml'),
      [file('config.d/l2-http.xml')]: shared('clickhouse/config.d/http.xml'),
      [file('config.d/l2-ingest.xml')]: shared('clickhouse/config.d/ingest.xml'),
      [file('users.d/l2.xml')]: shared('clickhouse/users.d/l2.xml'),
    },
    folders: [path.join(dataDir, 'clickhouse'), file('config.d'), file('users.d')],
    // The library forgets its system.*_log tables at the end but not their files, and then cannot create them again.
    leftovers: [path.join(dataDir, 'clickhouse', 'data', 'system')],
    startTimeoutMs: 60_000,
  }
}

/**
 * The users of the embedded ClickHouse. The library's own session needs a user `default` without password: it may only start and
 * stop the listeners, and its one session is that one. The others have the rights that docker-compose.yml gives them. Their passwords
 * come as hashes: what from_env brings is read as XML, in which some passwords would be no text.
 */
function usersXml({ CLICKHOUSE_USER, CLICKHOUSE_READONLY_USER }: Settings): string {
  const user = (name: string, variable: string, grants: string) => `
        <${name}>
            <password_sha256_hex from_env="${variable}"/>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants incl="${grants}"/>
        </${name}>`
  return `<clickhouse>
    <include_from>${xmlText(shared('clickhouse/users.d/grants.xml'))}</include_from>
    <profiles>
        <default>
            <!-- Joins on disk as clickhouse/users.d/l2.xml has it for sorts; the image's version does not know these settings yet. -->
            <max_bytes_before_external_join>67108864</max_bytes_before_external_join>
            <max_bytes_ratio_before_external_join>0</max_bytes_ratio_before_external_join>
        </default>
        <session><max_sessions_for_user>1</max_sessions_for_user></session>
    </profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password></password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>session</profile>
            <quota>default</quota>
            <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
        </default>${user(CLICKHOUSE_USER, 'L2_CLICKHOUSE_PASSWORD_SHA256', 'owner')}${
          CLICKHOUSE_READONLY_USER ? user(CLICKHOUSE_READONLY_USER, 'L2_CLICKHOUSE_READONLY_SHA256', 'reader') : ''
        }
    </users>
</clickhouse>
`
}

/** The header that logs in over HTTP. The X-ClickHouse-Key header takes neither letters beyond Latin-1 nor outer spaces. */
function basicLogin(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** `text` as XML holds it; a path may have an ampersand. */
function xmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
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
    port: settings.REDIS_PORT,
    command: installed.redisServer,
    args: [
      shared('redis/redis.conf'),
      ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]),
      '-',
    ],
    env: {},
    cwd: dataDir,
    // Through standard input, so that no command line shows it.
    stdin: `requirepass "${settings.REDIS_PASSWORD.replace(/["\\]/g, '\\$&')}"\n`,
    files: {},
    links: {},
    folders: [data],
    leftovers: [],
    startTimeoutMs: 60_000,
  }
}
