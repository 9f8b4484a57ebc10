/**
 * What the page shows as metrics for Prometheus, in its text format and naming. What could not be read has no sample.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats (0.0.4) and https://prometheus.io/docs/practices/naming
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

/** The metrics of these parts. */
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
  const read = groups.flatMap(({ group, topics: own }) => own.map((topic) => ({ group, ...topic })))
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
      '1 for the state that a service is in.',
      services.flatMap(({ service, state }) => stateSet(STATES, state, { service })),
    ),
    metric(
      'service_probe_duration_seconds',
      'Time that the health probe of a service took.',
      services.map(({ service, latencyMs }) => [{ service }, latencyMs / 1000]),
    ),
    metric(
      'part_up',
      '1 where the last reading of a part of the page brought data.',
      parts.map(({ name, problem }) => [{ part: name }, problem === null ? 1 : 0]),
    ),
    metric(
      'topic_messages_written_total',
      'Messages ever written to a topic, by the ends of its partitions.',
      ofTopics(({ written }) => written),
      'counter',
    ),
    metric(
      'topic_messages',
      'Messages that a topic keeps.',
      ofTopics(({ messages }) => messages),
    ),
    metric(
      'topic_size_bytes',
      "Bytes of a topic on the brokers' disks, copies counted.",
      ofTopics(({ bytes }) => bytes),
    ),
    metric(
      'topic_partitions',
      'Partitions of a topic.',
      ofTopics(({ partitions }) => partitions),
    ),
    metric(
      'consumer_group_members',
      'Members of a consumer group.',
      groups.map(({ group, members }) => [{ group }, members]),
    ),
    metric(
      'consumer_group_lag_messages',
      'Messages of a topic that a consumer group has not read yet.',
      read.map(({ group, topic, lag }) => [{ group, topic }, lag]),
    ),
    metric(
      'consumer_group_committed_messages',
      'Offsets that a consumer group has committed, over the partitions of a topic; a reset may take them back.',
      read.map(({ group, topic, committed }) => [{ group, topic }, committed]),
    ),
    metric(
      'table_rows',
      'Rows of a table; merges take repeated ones away.',
      tables.map(({ table, rows }) => [{ table }, rows]),
    ),
    metric(
      'table_size_bytes',
      'Bytes of a table on disk, compressed.',
      tables.map(({ table, bytes }) => [{ table }, bytes]),
    ),
    metric(
      'ingest_state',
      '1 for the state that the built-in ingest is in.',
      ingest ? stateSet(INGEST_STATES, ingest.state) : [],
    ),
    metric(
      'ingest_lag_messages',
      'Messages of a topic that the ingest has not stored yet.',
      ofIngest(({ lag }) => lag),
    ),
    metric(
      'ingest_rejects',
      'Messages of a topic that the ingest could not read.',
      ofIngest(({ rejects }) => rejects),
    ),
    metric('clickhouse_disk_free_bytes', "Free bytes on ClickHouse's disk.", detail('freeBytes')),
    metric('redis_memory_used_bytes', "Memory of Redis's data.", detail('usedMemoryBytes')),
    metric('redis_memory_max_bytes', 'Memory from which on Redis evicts keys.', detail('maxMemoryBytes')),
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
