/** Surveys what a reset would destroy: each topic's records, bytes and newest record, and the groups that read it. Changes nothing. */
import { formatCount } from '../common/count.mts'
import { table } from '../common/table.mts'
import type { Cluster } from '../kafka/cluster.mts'
import { metadata } from '../kafka/cluster-requests.mts'
import { type ConsumerGroup, readSettledGroups } from '../kafka/groups.mts'
import { bytesByTopic, readLogDirs } from '../kafka/log-dirs.mts'
import { formatTime, readOffsets } from '../kafka/offsets.mts'
import type { Settings } from '../settings/settings.mts'

export interface TopicLoss {
  name: string
  id: string
  /** Declared topics are recreated; others are only deleted. */
  declared: boolean
  /** The sum of high watermarks minus low watermarks. */
  records: number
  /** Bytes of all replicas on the brokers' disks. */
  bytes: number
  /** Milliseconds since 1970 of the newest record; undefined when there is none. */
  newestMs?: number
  /** The number of partitions whose records are not counted, because they do not report their offsets, for example without a leader. */
  uncounted: number
}

export interface Survey {
  clusterId: string
  topics: TopicLoss[]
  /** Declared topics that do not exist: they are only created. */
  missing: string[]
  /** Groups that are subscribed to one of the topics or have committed offsets for it. */
  groups: ConsumerGroup[]
}

/**
 * Surveys the named topics.
 * @param names the topics, declared ones first; those in `declaredNames` that do not exist are reported as missing
 */
export async function readSurvey(
  cluster: Cluster,
  settings: Settings,
  names: readonly string[],
  declaredNames: readonly string[],
  timeoutMs: number,
): Promise<Survey> {
  const seen = await cluster.send(metadata)
  const topics = names.flatMap((name) => seen.topics.find((topic) => topic.name === name) ?? [])
  const [high, low, newest, sizes] = await Promise.all([
    readOffsets(cluster, 'high', topics),
    readOffsets(cluster, 'low', topics),
    readOffsets(cluster, 'newest', topics),
    readLogDirs(cluster, seen.brokers).then(bytesByTopic),
  ])
  const groups = await readGroupsOf(cluster, settings, names, timeoutMs)
  const losses = topics.map(({ name, id, partitions }): TopicLoss => {
    const keys = partitions.map(({ index }) => `${name}/${index}`)
    const counted = keys.filter((key) => high.has(key) && low.has(key))
    const timesMs = keys.map((key) => newest.get(key)?.timestampMs ?? -1).filter((ms) => ms >= 0)
    return {
      name,
      id,
      declared: declaredNames.includes(name),
      records: counted.reduce((sum, key) => sum + (high.get(key)?.offset ?? 0) - (low.get(key)?.offset ?? 0), 0),
      bytes: sizes.get(name) ?? 0,
      ...(timesMs.length > 0 ? { newestMs: Math.max(...timesMs) } : {}),
      uncounted: keys.length - counted.length,
    }
  })
  const missing = names.filter((name) => declaredNames.includes(name) && !topics.some((topic) => topic.name === name))
  return { clusterId: seen.clusterId, topics: losses, missing, groups }
}

/** Returns the groups that are or may be subscribed to one of the named topics, or have committed offsets for it. */
export async function readGroupsOf(
  cluster: Cluster,
  settings: Settings,
  names: readonly string[],
  timeoutMs: number,
): Promise<ConsumerGroup[]> {
  const reads = (topic: string) => names.includes(topic)
  const groups = await readSettledGroups(cluster, settings, timeoutMs)
  return (
    groups
      // A group that does not report its subscription may read these topics.
      .filter(
        ({ subscribed, committed }) =>
          !subscribed || [...subscribed, ...committed.map(({ topic }) => topic)].some(reads),
      )
      .map(({ id, state, members, subscribed, committed }) => ({ id, state, members, subscribed, committed }))
  )
}

/** Formats bytes with at least three significant digits, in units of 1,024: 1,536 → "1.50 KB". */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  const units = bytes / 1024 ** power
  return `${power === 0 || units >= 100 ? Math.round(units) : units.toPrecision(3)} ${['B', 'KB', 'MB', 'GB', 'TB'][power]}`
}

/** Renders a survey with one line per topic, then one line per group. */
export function renderSurvey({ clusterId, topics, missing, groups }: Survey): string {
  const rows = [
    ['topic', 'records', 'on disk', 'newest record', ''],
    ...topics.map(({ name, records, bytes, newestMs, declared, uncounted }) => [
      name,
      formatCount(records),
      formatBytes(bytes),
      newestMs === undefined ? '-' : formatTime(newestMs),
      [
        declared ? '' : 'not declared: permanently deleted',
        uncounted > 0 ? `${uncounted} partitions do not report their offsets and are not counted` : '',
      ]
        .filter(Boolean)
        .join('; '),
    ]),
    ...missing.map((name) => [name, '-', '-', '-', 'does not exist yet']),
  ]
  const readers = groups.map(({ id, state, members, committed }) => {
    const what = `${state}, members: ${members.length}, committed offsets: ${committed.length}`
    return `  consumer group ${id}: ${what}`
  })
  return [`Kafka cluster ${clusterId}`, table(rows, { align: 'lrr' }), ...readers].join('\n')
}
