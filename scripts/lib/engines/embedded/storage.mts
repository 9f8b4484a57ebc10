/** Kafka's data folder: of which mode its data is, and in KRaft mode its formatting before the first start. */
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

/** Bytes of a meta.properties, at most: it has five lines. */
const MAX_BYTES = 64 * 1024

/**
 * What Kafka's data folder holds: data of a mode, of a broker that was migrated from ZooKeeper to KRaft, partitions without the file that says
 * so, or nothing yet.
 */
type Storage = KafkaMode | 'migrated' | 'unmarked' | 'empty'

/** Since Kafka 2.8 a KRaft broker writes version 1 and node.id, one with ZooKeeper version 0 and broker.id, which a migration keeps. */
function readStorage(folder: string): Storage {
  const meta = readTextFile(path.join(folder, 'meta.properties'), { maxBytes: MAX_BYTES })
  if (meta !== undefined && /^version=1\s*$/m.test(meta)) return 'kraft'
  if (meta !== undefined) return existsSync(path.join(folder, '__cluster_metadata-0')) ? 'migrated' : 'zookeeper'
  return partitionsIn(folder) ? 'unmarked' : 'empty'
}

/** Whether the folder has any folder in it: those of partitions, or of the cluster's metadata. */
function partitionsIn(folder: string): boolean {
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
    'data of a broker that was migrated to KRaft, with a controller of its own, which the embedded stack has not',
  unmarked: 'partitions without meta.properties: KRaft mode would have to format the folder, and then deletes them',
  empty: 'nothing',
}

/**
 * Does nothing where the data folder has data of KAFKA_MODE, or none. A broker with ZooKeeper writes a missing meta.properties itself.
 * @throws {OpsError} exit code 2 for data that KAFKA_MODE cannot use; nothing is changed
 */
export function refuseOtherMode(settings: Settings): void {
  const { KAFKA_MODE: mode } = settings
  const folder = kafkaFolder(settings)
  const storage = readStorage(folder)
  if (storage === mode || storage === 'empty' || (storage === 'unmarked' && mode === 'zookeeper')) return
  const other = mode === 'kraft' ? 'zookeeper' : 'kraft'
  const use = storage === 'migrated' ? 'start it with its controller' : `set KAFKA_MODE=${other} in .env`
  const fresh = `npm stop; mv '${folder}' '${folder}-${storage === 'migrated' ? storage : other}'; npm start`
  const hint = `to use it, ${use}; to begin without its records and keep it aside: ${fresh} (docs/kraft.md)`
  throw configError([error('KAFKA_MODE', folder, { found: FOUND[storage], hint })])
}

/** Longest time of the formatting, in ms: a Java start, on a busy machine. */
const FORMAT_TIMEOUT_MS = 60_000

/**
 * Formats Kafka's data folder for KRaft mode, with a new cluster id, where it has no data yet. It is made beside its place and then moved: it
 * appears whole or not at all.
 * @throws {OpsError} exit code 1 with what Kafka's tool says
 */
export async function formatStorage(settings: Settings, { java, jars }: Installed): Promise<void> {
  const folder = kafkaFolder(settings)
  if (settings.KAFKA_MODE !== 'kraft' || readStorage(folder) !== 'empty') return
  const target = `${folder}.new`
  // What a start that was killed left of its own.
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const config = path.join(settings.EMBEDDED_DATA_DIR, 'run', 'kafka-format.properties')
  const properties = { ...kraftProperties(settings), 'log.dirs': propertyText(target) }
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}`)
  // Of two equal keys the later one holds.
  writeFileSync(config, [readFileSync(shared('kafka/server.properties'), 'utf8'), ...lines, ''].join('\n'))
  // Read once and gone: less of a compiler and of a heap than a server needs.
  const jvm = ['-Xmx64m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xlog:cds=off', '-cp', jars.join(':')]
  const tool = ['kafka.tools.StorageTool', 'format', `--cluster-id=${newClusterId()}`, `--config=${config}`]
  const { ok, stdout, stderr } = await run([java, ...jvm, ...tool], { env: JAVA_ENV, timeoutMs: FORMAT_TIMEOUT_MS })
  if (!ok) {
    const found = `it could not be formatted: ${`${stdout}\n${stderr}`.trim().split('\n').slice(0, 5).join(' · ')}`
    throw new OpsError(1, [error('KAFKA_FORMAT', folder, { found, hint: 'npm start' })])
  }
  // Files of a broker that ended before it had data, such as its lock.
  rmSync(folder, { recursive: true, force: true })
  renameSync(target, folder)
}

/** 16 random bytes as Kafka writes a UUID, without the two signs of base64 that its tool could take for an option. */
const newClusterId = (): string => randomBytes(16).toString('base64url').replace(/[-_]/g, 'A')
