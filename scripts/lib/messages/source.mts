/** Selects the partitions to read, and the range of offsets in each. */
import { configError, error, type Finding, unknown, warning } from '../common/findings.mts'
import { nearest, suggestion } from '../common/nearest.mts'
import { type Cluster, HEALTH_CHECK } from '../kafka/cluster.mts'
import type { TopicMetadata } from '../kafka/cluster-requests.mts'
import { readEnds, readOffsets } from '../kafka/offsets.mts'
import { readStarts, type Start } from '../kafka/start-position.mts'

export interface Range {
  partition: number
  /** Offset of the first retained record. */
  low: number
  /** Offset to start at. */
  from: number
  /** High watermark: one more than the last record's offset. */
  high: number
}

export interface Source {
  topic: TopicMetadata
  ranges: Range[]
  findings: Finding[]
}

/** Maximum names listed in a message. */
const SHOWN_NAMES = 20

/** Returns the named topic. @throws {OpsError} exit code 2 if it does not exist, with the name that was probably meant */
function topicOf({ metadata }: Cluster, name: string): TopicMetadata {
  const topic = metadata.topics.find((each) => each.name === name)
  if (topic) return topic
  const names = metadata.topics.filter(({ internal }) => !internal).map((each) => each.name)
  const meant = nearest(name, names)
  const found = `no such topic${suggestion(meant)}`
  const shown = names.sort().slice(0, SHOWN_NAMES)
  const expected = `one of ${shown.join(', ')}${names.length > shown.length ? ', …' : ''}`
  const hint = meant === undefined ? './scripts/create-topics.mts --dry-run' : `./scripts/tail-topic.mts ${meant}`
  throw configError([error('TOPIC_UNKNOWN', name, names.length > 0 ? { found, expected, hint } : { found, hint })])
}

/**
 * Resolves a start position in the partitions of a topic. Partitions that do not report their ends are left out, with a finding.
 * @param options.partition limits reading to this partition
 * @throws {OpsError} exit code 2 for a topic or partition that does not exist; 3 if Kafka does not answer
 */
export async function readSource(
  cluster: Cluster,
  name: string,
  { start, partition, timeoutMs }: { start: Start; partition?: number | undefined; timeoutMs: number },
): Promise<Source> {
  const known = topicOf(cluster, name)
  if (partition !== undefined && !known.partitions.some(({ index }) => index === partition)) {
    const expected = `0 to ${known.partitions.length - 1}, the partitions of ${name}`
    const hint = `./scripts/tail-topic.mts ${name}`
    throw configError([error('USAGE', '--partition', { found: `${partition}`, expected, hint })])
  }
  const { topics, high, unread, errors } = await readEnds(cluster, [name], timeoutMs / 2)
  const topic = topics[0] ?? known
  const low = await readOffsets(cluster, 'low', [topic])
  const starts = await readStarts(cluster, start, [topic], { low, high })
  const wanted = topic.partitions.map(({ index }) => index).filter((index) => index === (partition ?? index))
  const findings: Finding[] = []
  const open = (unread.get(name) ?? []).filter((index) => wanted.includes(index))
  if (open.length > 0) {
    const found = `no leader answers for partitions ${open.join(', ')} (${errors.get(name)}); they are left out`
    findings.push(unknown('KAFKA_NOT_SERVED', name, { found, hint: `${HEALTH_CHECK} --only kafka` }))
  }
  const ranges = wanted
    .map((index) => ({ index, key: `${name}/${index}` }))
    .flatMap(({ index, key }): Range[] => {
      const [from, first, end] = [starts.get(key), low.get(key)?.offset, high.get(key)?.offset]
      return from === undefined || first === undefined || end === undefined
        ? []
        : [{ partition: index, low: first, from, high: end }]
    })
    .sort((a, b) => a.partition - b.partition)
  if (start.kind === 'offset') findings.push(...outsideFindings(name, start.offset, ranges))
  return { topic, ranges, findings }
}

/** Warns if no partition contains the offset. The end counts as contained: the next record gets that offset. */
function outsideFindings(name: string, offset: number, ranges: readonly Range[]): Finding[] {
  if (ranges.length === 0 || ranges.some(({ low, high }) => offset >= low && offset <= high)) return []
  const shown = ranges.slice(0, 5).map(({ partition, low, high }) => `partition ${partition}: ${low} to ${high}`)
  const found = `no offset ${offset} (${shown.join('; ')}${ranges.length > shown.length ? '; …' : ''})`
  const hint = `./scripts/tail-topic.mts ${name} --from earliest`
  return [warning('OFFSET_OUT_OF_RANGE', name, { found, hint })]
}
