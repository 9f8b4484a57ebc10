/** Causes that show in a service's own log lines, with the least destructive way to fix each. */
import type { Finding } from '../common/findings.mts'

/** Whether the service's log may say why. */
export const isSilent = ({ code }: Finding): boolean => code === 'NO_ANSWER' || code === 'KAFKA_NOT_SERVED'

export interface KnownCause {
  code: string
  /** What the log says, in our words. */
  cause: string
  hint: string
  /** Where the fix is another one for containers. */
  dockerHint?: string
}

/** Topics were deleted and created again since ZooKeeper's data was copied: the broker refuses partitions of other ids than it has. */
const OLDER_ZOOKEEPER = {
  pattern: /does not match the topic ID for partition|InconsistentTopicIdException/,
  code: 'KAFKA_OLDER_ZOOKEEPER',
  cause: 'ZooKeeper data of another time than Kafka’s, as after a restored backup',
  // Records and offsets stay: the broker takes ZooKeeper's ids for the logs that it has.
  hint: 'put the ZooKeeper data of the same time back; if it is lost: npm stop; (cd "DATA_DIR/kafka" && rm */partition.metadata); npm start',
  dockerHint:
    "put the ZooKeeper volumes of the same time back; if they are lost: docker-compose stop kafka; docker-compose run --rm --no-deps kafka sh -c 'rm /var/lib/kafka/data/*/partition.metadata'; docker-compose up -d --wait",
}

const CAUSES: (KnownCause & { pattern: RegExp })[] = [
  OLDER_ZOOKEEPER,
  {
    // The words of Kafka up to 3.6, and from 3.7 on.
    pattern: /InconsistentClusterIdException|Invalid cluster\.id in/,
    code: 'KAFKA_CLUSTER_ID',
    cause: 'Kafka data that belongs to another ZooKeeper',
    // Records and offsets stay: without these files the broker joins the new cluster, and recreated topics find their logs.
    hint: 'put the ZooKeeper data of the same stack back; if it is lost: npm stop; (cd "DATA_DIR/kafka" && rm meta.properties */partition.metadata); npm start',
    dockerHint:
      "put the ZooKeeper volumes of the same stack back; if they are lost: docker-compose stop kafka; docker-compose run --rm --no-deps kafka sh -c 'cd /var/lib/kafka/data && rm meta.properties */partition.metadata'; docker-compose up -d --wait; ./scripts/create-topics.mts",
  },
  {
    // The broker's words for data of KRaft mode, and those of docker-compose.kraft.yml.
    pattern:
      /ZK-based brokers that are not migrating|data of Kafka with ZooKeeper, which KRaft|partitions without meta\.properties/,
    code: 'KAFKA_MODE',
    cause: 'Kafka data of another mode than the one it is started in',
    hint: 'set KAFKA_MODE in .env to the mode that made the data, or begin with other data: docs/kraft.md',
    dockerHint:
      'set KAFKA_MODE and COMPOSE_FILE in .env to the mode that made the data, or begin with a new volume: docs/kraft.md',
  },
  {
    // The last one: the session ends between the broker's two looks at it.
    pattern:
      /NodeExistsException|Error while creating ephemeral at \/brokers\/ids|Stat\.getEphemeralOwner\(\)" because/,
    code: 'KAFKA_NODE_EXISTS',
    cause: 'a broker that came back before ZooKeeper ended its old session',
    hint: 'wait 6 s (zookeeper.session.timeout.ms) and start again: npm start',
    dockerHint: 'Docker restarts it by itself: ./scripts/health-check.mts --wait 60',
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
    hint: 'raise KAFKA_HEAP or ZOOKEEPER_HEAP in .env, and its memory limit with it',
  },
  {
    pattern: /Could not reserve enough space for|insufficient memory for the Java Runtime Environment/,
    code: 'JAVA_MEMORY',
    cause: 'a Java heap that this machine has no memory for',
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
    cause: 'a port that another program holds',
    hint: 'npm run ports',
  },
  {
    pattern: /No space left on device/,
    code: 'DISK_FULL',
    cause: 'a full disk',
    hint: 'free space where the data is (docker system df, df -h), then: npm start',
  },
  {
    pattern: /Bad file format reading the append only file|Unexpected end of file reading the append only file/,
    code: 'REDIS_AOF',
    cause: 'a damaged append-only file',
    hint: 'copy the Redis data folder, then cut off the damaged end: redis-check-aof --fix FILE',
  },
  {
    pattern: /error setting rlimit/,
    code: 'OPEN_FILES_LIMIT',
    cause: 'an engine that may not raise the limit of open files',
    hint: 'echo "CLICKHOUSE_MAX_OPEN_FILES=$(ulimit -Hn)" >> .env && docker-compose up -d',
  },
  {
    pattern: /Permission denied/,
    code: 'PERMISSION',
    cause: 'files that the service may not use',
    hint: 'give the data folder to the user that runs the stack: chown -R',
  },
]

/**
 * The first cause of the list that shows in the text, or undefined.
 * @param dataDir the data folder of the embedded stack in question, which the hint names
 */
export function knownCause(log: string, dataDir = 'DATA_DIR'): KnownCause | undefined {
  const known = CAUSES.find(({ pattern }) => pattern.test(log))
  return known && { ...known, hint: known.hint.replace('DATA_DIR', () => dataDir) }
}

/**
 * The init file that stopped the image's first start, and ClickHouse's words about it; undefined if the log names none. The
 * image names each file before it runs it and stops at the first that fails: it is the last one named, in a log that goes
 * on with the line for a data folder that is not new.
 */
export function failedInitFile(log: string): { file: string; error: string } | undefined {
  const [first = '', ...later] = log.split(/Skipping initialization/i)
  const file = [...first.matchAll(/running \/docker-entrypoint-initdb\.d\/(\S+)/g)].at(-1)?.[1]
  const error = [...first.matchAll(/^Code: .*$/gm)].at(-1)?.[0]
  return later.length > 0 && file && error ? { file, error } : undefined
}
