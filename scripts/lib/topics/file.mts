/** Reads kafka/topics.yml: the declared topics, and every mistake in the file with its line and column. */
import path from 'node:path'
import { configError, error, type Finding, reason } from '../common/findings.mts'
import { readTextFile } from '../common/text-file.mts'
import { isSecret } from '../settings/environment.mts'
import { ROOT, type Settings } from '../settings/settings.mts'
import { shownPath } from './hint.mts'
import { byPosition, type YamlNode, YamlSource } from './yaml-source.mts'

/** The default of every command. */
const TOPICS_FILE = path.join(ROOT, 'kafka/topics.yml')

export interface DeclaredTopic {
  name: string
  partitions: number
  replication: number
  /** What the records are keyed by; absent if they have no key. Growing a keyed topic moves its keys. */
  key?: string
  /** Kafka's configuration keys and values; includes retentionHours and segmentHours as retention.ms and segment.ms. */
  config: Record<string, string>
  /** `file:line:column` of `name`, `partitions`, `replication` and each configuration key. */
  at: Record<string, string>
}

export interface TopicsFile {
  /** One per entry of the file. Invalid numbers are 1 and invalid texts empty, so that the checks can continue. */
  topics: DeclaredTopic[]
  mistakes: Finding[]
}

const FIELDS = [
  'name',
  'partitions',
  'replication',
  'minInsyncReplicas',
  'key',
  'retentionHours',
  'segmentHours',
  'config',
] as const
export const MIN_IN_SYNC = 'min.insync.replicas'
/** Fields in hours, and the Kafka keys that they set. */
export const HOURS = [
  ['retentionHours', 'retention.ms'],
  ['segmentHours', 'segment.ms'],
] as const
/** All fields that set Kafka keys. */
const KEY_FIELDS = [...HOURS, ['minInsyncReplicas', MIN_IN_SYNC]] as const
/** The maximum is above what a broker supports; Kafka recommends 4,000. */
const PARTITIONS = { min: 1, max: 10_000, whole: true }
const REPLICATION = { min: 1, max: 32_767, whole: true }
/** Hours; up to 100 years, like KAFKA_LOG_RETENTION_HOURS. */
export const DURATION = { min: 0.001, max: 876_000, whole: false }

/** Kafka's protocol has 15 bits for the length of a value. */
const MAX_BYTES = 32_767

/** Kafka's rule for topic names. @see org.apache.kafka.common.internals.Topic (3.9) */
const LEGAL_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/
const INTERNAL_NAMES = ['__consumer_offsets', '__transaction_state']

/** Returns the topic's name in Kafka's metrics. Kafka refuses a second topic with the same one. */
export const metricName = (topic: string): string => topic.replaceAll('.', '_')

/**
 * Parses a declaration. `${NAME}` in it expands to a setting, but never to a secret.
 * @param file how messages name the file
 */
export function parseTopicsFile(content: string, file: string, settings: Settings): TopicsFile {
  const source = new YamlSource(content, file, (name) =>
    Object.hasOwn(settings, name) && !isSecret(name) ? String(settings[name as keyof Settings]) : undefined,
  )
  const { root } = source
  if (root === undefined) return { topics: [], mistakes: source.mistakes }
  const list = source.entries(root, source.at(root), ['topics'], /^x-/)?.get('topics')
  if (!list && source.mistakes.length === 0) source.report('YAML_MISSING', source.at(root), 'no topics')
  const topics = (list ? (source.items(list.value, source.at(list.key)) ?? []) : []).map((node) =>
    readTopic(source, node),
  )
  const named = new Map<string, DeclaredTopic>()
  for (const topic of topics.filter(({ name, at }) => name && at.name)) {
    const { name, at } = topic
    const twin = named.get(metricName(name))
    if (!twin) named.set(metricName(name), topic)
    else if (at.name) {
      const expected = `a unique name, see ${twin.at.name}`
      if (twin.name === name) source.report('TOPIC_TWICE', at.name, `a second "${name}"`, expected)
      else source.report('TOPIC_COLLISION', at.name, `"${name}", which has the metric name of "${twin.name}"`, expected)
    }
  }
  return { topics, mistakes: source.mistakes }
}

function readTopic(source: YamlSource, node: unknown): DeclaredTopic {
  const topic: DeclaredTopic = { name: '', partitions: 1, replication: 1, config: {}, at: {} }
  const fields = source.entries(node, source.at(node), FIELDS)
  if (!fields) return topic
  const value = (field: string): YamlNode => fields.get(field)?.value
  const label = () => topic.name || '(no name)'
  const at = (field: string) => source.at(value(field) ?? fields.get(field)?.key)
  const required = (field: string) => {
    if (!fields.has(field)) source.report('YAML_MISSING', `${source.at(node)} ${label()}`, `no ${field}`)
    return fields.has(field)
  }

  if (required('name')) {
    const name = source.text(value('name'), at('name'), 'a topic name')
    topic.name = name ?? ''
    topic.at.name = at('name')
    if (name !== undefined && (!LEGAL_NAME.test(name) || INTERNAL_NAMES.includes(name))) {
      const found = LEGAL_NAME.test(name) ? `"${name}", which is reserved by Kafka` : `"${name}"`
      source.report('TOPIC_NAME', at('name'), found, '1 to 249 letters, digits, ".", "_", "-"; not "." or ".."')
    }
  }
  const number = (field: 'partitions' | 'replication', bounds: typeof PARTITIONS) => {
    if (!required(field)) return
    topic.at[field] = at(field)
    const found = source.number(value(field), `${at(field)} ${label()} ${field}`, bounds)
    if (found !== undefined) topic[field] = found
  }
  number('partitions', PARTITIONS)
  number('replication', REPLICATION)
  if (fields.has('key')) {
    const key = source.text(value('key'), `${at('key')} ${label()} key`, 'the name of the record key')
    if (key !== undefined) topic.key = key
  }
  for (const [field, kafkaKey] of HOURS) {
    if (!fields.has(field)) continue
    topic.at[kafkaKey] = at(field)
    const hours = source.number(value(field), `${at(field)} ${label()} ${field}`, DURATION)
    if (hours !== undefined) topic.config[kafkaKey] = String(Math.round(hours * 3_600_000))
  }
  if (fields.has('minInsyncReplicas')) {
    topic.at[MIN_IN_SYNC] = at('minInsyncReplicas')
    const inSync = source.number(
      value('minInsyncReplicas'),
      `${at('minInsyncReplicas')} ${label()} minInsyncReplicas`,
      REPLICATION,
    )
    // 1 keeps the broker's default, which may differ on external clusters.
    if (inSync !== undefined && inSync > 1) topic.config[MIN_IN_SYNC] = String(inSync)
  }
  const config = fields.has('config') && source.entries(value('config'), `${at('config')} ${label()} config`)
  for (const [kafkaKey, pair] of config || []) {
    const subject = `${source.at(pair.key)} ${label()} ${kafkaKey}`
    const twin = KEY_FIELDS.find(([, other]) => other === kafkaKey)?.[0]
    if (twin && fields.has(twin)) source.report('TOPIC_TWICE', subject, `both ${kafkaKey} and ${twin}`, 'only one')
    topic.at[kafkaKey] = source.at(pair.key)
    const text = source.text(pair.value, subject, 'a value')
    const bytes = Buffer.byteLength(text ?? '')
    if (bytes > MAX_BYTES) source.report('YAML_VALUE', subject, `${bytes} bytes`, `at most ${MAX_BYTES}`)
    else if (text !== undefined) topic.config[kafkaKey] = text
  }
  if (Number(topic.config[MIN_IN_SYNC]) > topic.replication) {
    // Kafka accepts this value, but then rejects every record that is sent with acks=all.
    const subject = `${topic.at[MIN_IN_SYNC]} ${label()} ${MIN_IN_SYNC}`
    const expected = `at most ${topic.replication}, the replication`
    source.report('TOPIC_MIN_IN_SYNC', subject, `${topic.config[MIN_IN_SYNC]}`, expected)
  }
  return topic
}

/**
 * Reads and parses a declaration file.
 * @throws {OpsError} exit code 2 when the file cannot be read
 */
export function readTopicsFile(settings: Settings, file: string = TOPICS_FILE): TopicsFile {
  const subject = shownPath(file)
  let content: string | undefined
  try {
    content = readTextFile(file)
    if (content === undefined) throw new Error('no such file')
  } catch (failure) {
    const hint = 'restore it (git checkout kafka/topics.yml), or name another file with --file'
    throw configError([error('TOPICS_FILE', subject, { found: `cannot be read: ${reason(failure)}`, hint })])
  }
  return parseTopicsFile(content, subject, settings)
}

/**
 * Returns the topics that a file declares.
 * @throws {OpsError} exit code 2, naming every mistake in the file with its line and column
 */
export function readDeclaredTopics(settings: Settings, file?: string): DeclaredTopic[] {
  const { topics, mistakes } = readTopicsFile(settings, file)
  if (mistakes.length > 0) throw configError(byPosition(mistakes))
  return topics
}
