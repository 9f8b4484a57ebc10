/**
 * The data of the page as Prometheus metrics, in the text format. Values that could not be read have no sample.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats (0.0.4) and
 * https://prometheus.io/docs/practices/naming
 */
import type { IngestView, TablesView } from './clickhouse.mts'
import type { HealthView } from './health.mts'
import type { KafkaView } from './kafka.mts'
import type { PartState } from './sampler.mts'

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Labels = Record<string, string>
type Sample = [labels: Labels, value: number | null]

interface Metric {
  name: string
  type: 'gauge' | 'counter'
  help: string
  samples: Sample[]
}

const STATES = ['healthy', 'unhealthy', 'unknown']
const INGEST_STATES = ['on', 'off', 'outdated', 'partial']

/** Renders the metrics of the parts. */
export function renderMetrics(parts: readonly PartState[]): string {
  const fresh = <T,>(name: string) =>
    parts.find((part) => part.name === name && part.problem === null)?.data as T | undefined
  const health = parts.filter(({ name, problem }) => name.startsWith('health ') && problem === null)
  const services = health.map(({ data }) => data as HealthView).filter(({ state }) => state !== 'skipped')
  const { topics = [], groups = [] } = fresh<KafkaView>('kafka') ?? {}
  const { tables = [] } = fresh<TablesView>('tables') ?? {}
  const ingest = fresh<IngestView>('ingest')
  const detail = (name: string): Sample[] =>
    services.flatMap(({ details }): Sample[] => (typeof details[name] === 'number' ? [[{}, details[name]]] : []))
  const consumed = groups.flatMap(({ group, topics: read }) => read.map((topic) => ({ group, ...topic })))
  const stateSet = (states: string[], state: string, labels: Labels = {}) =>
    states.map((each): Sample => [{ ...labels, state: each }, each === state ? 1 : 0])
  const ofTopics = (value: (topic: KafkaView['topics'][number]) => number | null) =>
    topics.map((topic): Sample => [{ topic: topic.topic }, value(topic)])
  const ofIngest = (value: (topic: IngestView['topics'][number]) => number | null) =>
    (ingest?.topics ?? []).map((topic): Sample => [{ topic: topic.topic }, value(topic)])
  const metric = (name: string, help: string, samples: Sample[], type: Metric['type'] = 'gauge') =>
    renderMetric({ name: `l2_${name}`, type, help, samples })
  return [
    metric(
      'service_state',
      '1 for the current state of the service, else 0.',
      services.flatMap(({ service, state }) => stateSet(STATES, state, { service })),
    ),
    metric(
      'service_probe_duration_seconds',
      'Duration of the health probe of the service.',
      services.map(({ service, latencyMs }) => [{ service }, latencyMs / 1000]),
    ),
    metric(
      'part_up',
      '1 if the last read of this part of the page succeeded, else 0.',
      parts.map(({ name, problem }) => [{ part: name }, problem === null ? 1 : 0]),
    ),
    metric(
      'topic_messages_written_total',
      'Messages ever written to the topic: the sum of its end offsets.',
      ofTopics(({ written }) => written),
      'counter',
    ),
    metric(
      'topic_messages',
      'Messages retained in the topic.',
      ofTopics(({ messages }) => messages),
    ),
    metric(
      'topic_size_bytes',
      "Size of the topic on the brokers' disks, including replicas.",
      ofTopics(({ bytes }) => bytes),
    ),
    metric(
      'topic_partitions',
      'Partitions of the topic.',
      ofTopics(({ partitions }) => partitions),
    ),
    metric(
      'consumer_group_members',
      'Members of the consumer group.',
      groups.map(({ group, members }) => [{ group }, members]),
    ),
    metric(
      'consumer_group_lag_messages',
      'Lag of the consumer group in the topic.',
      consumed.map(({ group, topic, lag }) => [{ group, topic }, lag]),
    ),
    metric(
      'consumer_group_committed_messages',
      'Sum of the committed offsets of the consumer group in the topic; an offset reset may lower it.',
      consumed.map(({ group, topic, committed }) => [{ group, topic }, committed]),
    ),
    metric(
      'table_rows',
      'Rows of the table; merges remove duplicates.',
      tables.map(({ table, rows }) => [{ table }, rows]),
    ),
    metric(
      'table_size_bytes',
      'Compressed size of the table on disk.',
      tables.map(({ table, bytes }) => [{ table }, bytes]),
    ),
    metric(
      'ingest_state',
      '1 for the current state of the built-in ingest, else 0.',
      ingest ? stateSet(INGEST_STATES, ingest.state) : [],
    ),
    metric(
      'ingest_lag_messages',
      'Messages of the topic that the ingest has not stored yet.',
      ofIngest(({ lag }) => lag),
    ),
    metric(
      'ingest_rejects',
      'Messages of the topic that the ingest rejected.',
      ofIngest(({ rejects }) => rejects),
    ),
    metric('clickhouse_disk_free_bytes', 'Free space on the disk of ClickHouse.', detail('freeBytes')),
    metric('redis_memory_used_bytes', 'Memory used by Redis.', detail('usedMemoryBytes')),
    metric('redis_memory_max_bytes', 'Memory limit of Redis (maxmemory).', detail('maxMemoryBytes')),
  ].join('')
}

function renderMetric({ name, type, help, samples }: Metric): string {
  const lines = samples.flatMap(([labels, value]) => {
    if (value === null) return []
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
    return [`${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`]
  })
  return lines.length > 0 ? [`# HELP ${name} ${help}\n`, `# TYPE ${name} ${type}\n`, ...lines].join('') : ''
}

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
