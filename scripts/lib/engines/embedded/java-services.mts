/** ZooKeeper and Kafka as embedded services, in both modes of Kafka. */
import path from 'node:path'
import { reachable, type Settings } from '../../settings/settings.mts'
import type { EmbeddedName } from '../service.mts'
import { type EmbeddedService, type Installed, shared } from './definition.mts'

/** Returns the CDS archive that a JVM writes at a clean exit. The name identifies the JVM and jars for which it is valid. */
export function archiveFile(dataDir: string, name: string, { archives }: Installed): string {
  return path.join(dataDir, 'run', `${name}.${path.basename(archives.folder)}.jsa`)
}

/** Kafka 4 logs with log4j 2; Kafka 3.9 and ZooKeeper log with log4j 1. */
const LOGGING = {
  zookeeper: `-Dlog4j.configuration=file:${shared('kafka/log4j.properties')}`,
  kraft: `-Dlog4j2.configurationFile=file:${shared('kafka/log4j2.properties')}`,
}

/** Without this locale Java cannot open a path with non-ASCII letters. */
export const JAVA_ENV = { LC_ALL: 'C.UTF-8' }

/** Returns the folder into which a JVM unpacks native libraries. Each start deletes it, because a killed JVM leaves files behind. */
const temporaryFolder = (settings: Settings, name: EmbeddedName) =>
  path.join(settings.EMBEDDED_DATA_DIR, 'run', `${name}-tmp`)

/** Returns JVM options, mainly for a fast start: see "CDS archives" in the README's section on the embedded stack. */
function java(settings: Settings, installed: Installed, name: EmbeddedName, heap: string, mainClass: string): string[] {
  const archive = `${name}.jsa`
  const sharing = installed.archives.existing.includes(archive)
    ? [`-XX:SharedArchiveFile=${path.join(installed.archives.folder, archive)}`]
    : [`-XX:ArchiveClassesAtExit=${archiveFile(settings.EMBEDDED_DATA_DIR, name, installed)}`]
  return [
    `-Xms${heap}`,
    `-Xmx${heap}`,
    // A single collector thread needs less memory than a pool, and collects heaps this small in milliseconds.
    '-XX:+UseSerialGC',
    '-Xlog:cds=off',
    '-Xlog:cds+dynamic=off',
    ...sharing,
    '-Djava.awt.headless=true',
    `-Djava.io.tmpdir=${temporaryFolder(settings, name)}`,
    LOGGING[settings.KAFKA_MODE],
    '-cp',
    installed.jars.join(':'),
    mainClass,
  ]
}

export function zookeeper(settings: Settings, installed: Installed): EmbeddedService {
  const dataDir = settings.EMBEDDED_DATA_DIR
  const config = path.join(dataDir, 'run', 'zoo.cfg')
  const data = path.join(dataDir, 'zookeeper', 'data')
  const logs = path.join(dataDir, 'zookeeper', 'datalog')
  return {
    name: 'zookeeper',
    host: reachable(settings.BIND_ADDRESS),
    ports: [settings.ZOOKEEPER_CLIENT_PORT],
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
    files: {
      // The last occurrence of a key wins.
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
    folders: [data, logs, temporaryFolder(settings, 'zookeeper')],
    leftovers: [temporaryFolder(settings, 'zookeeper')],
    startTimeoutMs: 30_000,
  }
}

/** Escapes backslashes and non-ASCII characters for a Java properties file. */
export function propertyText(text: string): string {
  return text.replace(/\\|[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Returns Kafka's data folder. */
export const kafkaFolder = (settings: Settings): string => path.join(settings.EMBEDDED_DATA_DIR, 'kafka')

/** Returns the internal listener, for the stack's services, and the external one, for other programs. */
const brokerListeners = ({
  BIND_ADDRESS: bind,
  KAFKA_INTERNAL_PORT: internal,
  KAFKA_LISTENER_PORT: external,
}: Settings) => `INTERNAL://${bind}:${internal},EXTERNAL://${bind}:${external}`

/**
 * Returns the properties that make a Kafka 4 broker its own controller. The single voter is set in the configuration instead of the
 * formatted storage, so that its port can change. Only the broker connects to it, so it listens on the loopback address.
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

/** Returns the properties of a Kafka 3.9 broker that stores its metadata in ZooKeeper. */
const zookeeperProperties = (settings: Settings) => ({
  'broker.id': settings.KAFKA_BROKER_ID,
  'zookeeper.connect': `${reachable(settings.BIND_ADDRESS)}:${settings.ZOOKEEPER_CLIENT_PORT}`,
  listeners: brokerListeners(settings),
})

export function kafka(settings: Settings, installed: Installed): EmbeddedService {
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
    // In KRaft mode one port may answer although the broker is about to exit because the other port is taken.
    ports: [settings.KAFKA_LISTENER_PORT, settings.KAFKA_INTERNAL_PORT],
    command: installed.java,
    args: [
      ...java(settings, installed, 'kafka', settings.KAFKA_HEAP, 'kafka.Kafka'),
      shared('kafka/server.properties'),
      ...Object.entries(overrides).flatMap(([key, value]) => ['--override', `${key}=${value}`]),
    ],
    env: JAVA_ENV,
    folders: [logs, temporaryFolder(settings, 'kafka')],
    leftovers: [temporaryFolder(settings, 'kafka')],
    startTimeoutMs: 90_000,
  }
}
