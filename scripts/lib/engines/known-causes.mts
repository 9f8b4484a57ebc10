/** Known causes, recognized by the services' own log lines, with the least destructive fix for each. */
import type { Finding } from '../common/findings.mts'

/** Reports whether the service's log may explain the finding. */
export const isSilent = ({ code }: Finding): boolean => code === 'NO_ANSWER' || code === 'KAFKA_NOT_SERVED'

export interface KnownCause {
  code: string
  /** The cause in plain words, as a noun phrase. */
  cause: string
  hint: string
  /** The hint for containers, if it differs. */
  dockerHint?: string
}

/** Topics were deleted and recreated since ZooKeeper's data was copied, so its topic ids differ from those in the broker's logs. */
const OLDER_ZOOKEEPER = {
  pattern: /does not match the topic ID for partition|InconsistentTopicIdException/,
  code: 'KAFKA_OLDER_ZOOKEEPER',
  cause: "ZooKeeper data from a different time than Kafka's, as after restoring a backup",
  // Keeps records and offsets: the broker assigns ZooKeeper's ids to its existing logs.
  hint: 'restore the ZooKeeper data from the same time; if it is lost: npm stop; (cd "DATA_DIR/kafka" && rm */partition.metadata); npm start',
  dockerHint:
    "restore the ZooKeeper volumes from the same time; if they are lost: docker-compose stop kafka; docker-compose run --rm --no-deps kafka sh -c 'rm /var/lib/kafka/data/*/partition.metadata'; docker-compose up -d --wait",
}

const CAUSES: (KnownCause & { pattern: RegExp })[] = [
  OLDER_ZOOKEEPER,
  {
    // The message of Kafka 3.6 and older, and that of 3.7 and newer.
    pattern: /InconsistentClusterIdException|Invalid cluster\.id in/,
    code: 'KAFKA_CLUSTER_ID',
    cause: 'Kafka data that belongs to another ZooKeeper',
    // Keeps records and offsets: without these files the broker joins the new cluster, and recreated topics reuse their logs.
    hint: 'restore the ZooKeeper data of the same stack; if it is lost: npm stop; (cd "DATA_DIR/kafka" && rm meta.properties */partition.metadata); npm start',
    dockerHint:
      "restore the ZooKeeper volumes of the same stack; if they are lost: docker-compose stop kafka; docker-compose run --rm --no-deps kafka sh -c 'cd /var/lib/kafka/data && rm meta.properties */partition.metadata'; docker-compose up -d --wait; ./scripts/create-topics.mts",
  },
  {
    // The broker's message about KRaft data, and those of docker-compose.kraft.yml.
    pattern:
      /ZK-based brokers that are not migrating|data of Kafka with ZooKeeper, which KRaft|partitions without meta\.properties/,
    code: 'KAFKA_MODE',
    cause: 'Kafka data of the other KAFKA_MODE',
    hint: 'set KAFKA_MODE in .env to the mode that wrote the data, or start with an empty data folder: docs/kraft.md',
    dockerHint:
      'set KAFKA_MODE and COMPOSE_FILE in .env to the mode that wrote the data, or start with a new volume: docs/kraft.md',
  },
  {
    // The last pattern: the session expires between two requests of the broker about it.
    pattern:
      /NodeExistsException|Error while creating ephemeral at \/brokers\/ids|Stat\.getEphemeralOwner\(\)" because/,
    code: 'KAFKA_NODE_EXISTS',
    cause: 'a broker that restarted before its old ZooKeeper session expired',
    hint: 'wait 6 s (zookeeper.session.timeout.ms), then: npm start',
    dockerHint: 'Docker restarts it automatically: ./scripts/health-check.mts --wait 60',
  },
  {
    pattern: /Failed to acquire lock on file .lock/,
    code: 'KAFKA_DATA_IN_USE',
    cause: 'another broker that uses the same data folder',
    hint: 'stop it first: npm stop',
  },
  {
    pattern: /java\.lang\.OutOfMemoryError|Too small (initial|maximum) heap/,
    code: 'JAVA_HEAP',
    cause: 'a Java heap that is too small',
    hint: 'raise KAFKA_HEAP or ZOOKEEPER_HEAP in .env, together with the memory limit of that service',
  },
  {
    pattern: /Could not reserve enough space for|insufficient memory for the Java Runtime Environment/,
    code: 'JAVA_MEMORY',
    cause: 'a Java heap larger than the available memory',
    hint: 'lower KAFKA_HEAP or ZOOKEEPER_HEAP in .env, or free memory: free -m',
  },
  {
    pattern: /Unrecognized (VM )?option|UnsupportedClassVersionError/,
    code: 'JAVA_VERSION',
    cause: 'a Java runtime that is too old',
    hint: 'sudo apt-get install openjdk-17-jre-headless',
  },
  {
    pattern: /Address already in use|address already in use|port is already allocated|BindException|EADDRINUSE/,
    code: 'PORT_TAKEN',
    cause: 'a port held by another program',
    hint: 'npm run ports',
  },
  {
    pattern: /No space left on device/,
    code: 'DISK_FULL',
    cause: 'a full disk',
    hint: 'free space on the disk that stores the data (docker system df, df -h), then: npm start',
  },
  {
    pattern: /Bad file format reading the append only file|Unexpected end of file reading the append only file/,
    code: 'REDIS_AOF',
    cause: 'a damaged append-only file',
    hint: 'back up the Redis data folder, then truncate the damaged file: redis-check-aof --fix FILE',
  },
  {
    pattern: /error setting rlimit/,
    code: 'OPEN_FILES_LIMIT',
    cause: 'a Docker engine that may not raise the limit of open files',
    hint: 'echo "CLICKHOUSE_MAX_OPEN_FILES=$(ulimit -Hn)" >> .env && docker-compose up -d',
  },
  {
    pattern: /Permission denied/,
    code: 'PERMISSION',
    cause: 'files that the service has no permission to use',
    hint: 'change the owner of the data folder to the user that runs the stack: chown -R',
  },
]

/**
 * Returns the first known cause that the log shows, or undefined.
 * @param dataDir data folder of the embedded stack, for the hint
 */
export function knownCause(log: string, dataDir = 'DATA_DIR'): KnownCause | undefined {
  const known = CAUSES.find(({ pattern }) => pattern.test(log))
  return known && { ...known, hint: known.hint.replace('DATA_DIR', () => dataDir) }
}

/**
 * Returns the init file that failed at the first start of the ClickHouse image, with ClickHouse's error; undefined if the log shows none.
 * The image logs the name of each file before it runs it, and stops at the first that fails. The next start skips the init files, so the
 * failed file is the last one named before that line.
 */
export function failedInitFile(log: string): { file: string; error: string } | undefined {
  const [first = '', ...later] = log.split(/Skipping initialization/i)
  const file = [...first.matchAll(/running \/docker-entrypoint-initdb\.d\/(\S+)/g)].at(-1)?.[1]
  const error = [...first.matchAll(/^Code: .*$/gm)].at(-1)?.[0]
  return later.length > 0 && file && error ? { file, error } : undefined
}
