/** Checks the mode of the data in Kafka's data folder, and formats the folder for KRaft mode before the first start. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { configError, error, OpsError } from '../../common/findings.mts'
import { run } from '../../common/run.mts'
import { readTextFile } from '../../common/text-file.mts'
import type { KafkaMode } from '../../settings/readers.mts'
import type { Settings } from '../../settings/settings.mts'
import { type Installed, shared } from './definition.mts'
import { JAVA_ENV, kafkaFolder, kraftProperties, propertyText } from './java-services.mts'

/** Largest size of a meta.properties, in bytes; it has five lines. */
const MAX_BYTES = 64 * 1024

/**
 * The contents of Kafka's data folder: data of one mode, data of a broker that was migrated from ZooKeeper to KRaft, partitions without the
 * meta.properties that would identify the mode, or nothing yet.
 */
type Storage = KafkaMode | 'migrated' | 'unmarked' | 'empty'

/** Since Kafka 2.8 a KRaft broker writes version 1 and node.id; one with ZooKeeper writes version 0 and broker.id, which a migration keeps. */
function readStorage(folder: string): Storage {
  const meta = readTextFile(path.join(folder, 'meta.properties'), { maxBytes: MAX_BYTES })
  if (meta !== undefined && /^version=1\s*$/m.test(meta)) return 'kraft'
  if (meta !== undefined) return existsSync(path.join(folder, '__cluster_metadata-0')) ? 'migrated' : 'zookeeper'
  return hasPartitions(folder) ? 'unmarked' : 'empty'
}

/** Reports whether the folder contains any folder: one of a partition, or of the cluster's metadata. */
function hasPartitions(folder: string): boolean {
  try {
    return readdirSync(folder, { withFileTypes: true }).some((entry) => entry.isDirectory())
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== 'ENOENT') throw failure
    return false
  }
}

const FOUND: Record<Storage, string> = {
  kraft: 'data of Kafka in KRaft mode, which Kafka 3.9 with ZooKeeper cannot use',
  zookeeper: 'data of Kafka with ZooKeeper, which KRaft mode cannot use',
  migrated:
    'data of a broker that was migrated to KRaft and needs a separate controller, which the embedded stack does not have',
  unmarked: 'partitions without meta.properties, which a broker in a newly formatted folder would delete',
  empty: 'nothing',
}

/**
 * Checks that Kafka's data folder contains data of KAFKA_MODE, or none. A broker with ZooKeeper writes a missing meta.properties itself.
 * @throws {OpsError} exit code 2 for data that KAFKA_MODE cannot use; changes nothing
 */
export function refuseOtherMode(settings: Settings): void {
  const { KAFKA_MODE: mode } = settings
  const folder = kafkaFolder(settings)
  const storage = readStorage(folder)
  if (storage === mode || storage === 'empty' || (storage === 'unmarked' && mode === 'zookeeper')) return
  const other = mode === 'kraft' ? 'zookeeper' : 'kraft'
  const use = storage === 'migrated' ? 'start it with its controller' : `set KAFKA_MODE=${other} in .env`
  const fresh = `npm stop; mv '${folder}' '${folder}-${storage === 'migrated' ? storage : other}'; npm start`
  const hint = `to use it, ${use}; to start with an empty folder and keep this one: ${fresh} (docs/kraft.md)`
  throw configError([error('KAFKA_MODE', folder, { found: FOUND[storage], hint })])
}

/** Longest time of the formatting, in ms: a start of Java on a busy machine. */
const FORMAT_TIMEOUT_MS = 60_000

/**
 * Formats an empty Kafka data folder for KRaft mode, with a new cluster id. Formats a temporary folder and then renames it, so that the data
 * folder is never half formatted.
 * @throws {OpsError} exit code 1 with the output of Kafka's tool
 */
export async function formatStorage(settings: Settings, { java, jars }: Installed): Promise<void> {
  const folder = kafkaFolder(settings)
  if (settings.KAFKA_MODE !== 'kraft' || readStorage(folder) !== 'empty') return
  const target = `${folder}.new`
  // Left by a start that was killed.
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const config = path.join(settings.EMBEDDED_DATA_DIR, 'run', 'kafka-format.properties')
  const properties = { ...kraftProperties(settings), 'log.dirs': propertyText(target) }
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}`)
  // The last occurrence of a key wins.
  writeFileSync(config, [readFileSync(shared('kafka/server.properties'), 'utf8'), ...lines, ''].join('\n'))
  // A short-lived tool needs less heap and compilation than a server.
  const jvm = ['-Xmx64m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xlog:cds=off', '-cp', jars.join(':')]
  const tool = ['kafka.tools.StorageTool', 'format', `--cluster-id=${newClusterId()}`, `--config=${config}`]
  const { ok, stdout, stderr } = await run([java, ...jvm, ...tool], { env: JAVA_ENV, timeoutMs: FORMAT_TIMEOUT_MS })
  if (!ok) {
    const found = `formatting failed: ${`${stdout}\n${stderr}`.trim().split('\n').slice(0, 5).join(' · ')}`
    throw new OpsError(1, [error('KAFKA_FORMAT', folder, { found, hint: 'npm start' })])
  }
  // May contain files of a broker that exited before it had data, such as its lock.
  rmSync(folder, { recursive: true, force: true })
  renameSync(target, folder)
}

/** Returns 16 random bytes in Kafka's UUID format, without `-` and `_`: the tool could take a leading `-` for an option. */
const newClusterId = (): string => randomBytes(16).toString('base64url').replace(/[-_]/g, 'A')
