/** Kafka data for the page: topics with settings, messages and rates, and consumer groups with lag. */
import type { Finding } from '../common/findings.mts'
import { type GroupStatus, statusOf } from '../groups/rates.mts'
import { type Cluster, openCluster } from '../kafka/cluster.mts'
import { metadata, type TopicMetadata } from '../kafka/cluster-requests.mts'
import { lagsOf, type Positions, readPositions } from '../kafka/lag.mts'
import { lagFindings } from '../kafka/lag-findings.mts'
import { LAG_LIMITS } from '../kafka/lag-limits.mts'
import { bytesByTopic, readLogDirs } from '../kafka/log-dirs.mts'
import { type Offsets, readOffsets } from '../kafka/offsets.mts'
import { describeTopicConfigs } from '../kafka/topic-requests.mts'
import type { Settings } from '../settings/settings.mts'
import type { Part, Traces } from './sampler.mts'

export interface TopicView {
  topic: string
  partitions: number
  replication: number
  /**
   * Offsets between the first and last of each partition: equal to messages, except for compaction and transaction
   * markers. null if a partition does not report its offsets.
   */
  messages: number | null
  /** Messages ever written: the sum of the end offsets. */
  written: number | null
  /** null at the first sample, also of a topic that was recreated. */
  writtenPerSecond: number | null
  /** Bytes on the brokers' disks, including replicas. null if a broker does not report them. */
  bytes: number | null
  /** Settings of the topic that override the broker's defaults. */
  config: { key: string; value: string }[]
}

export type GroupView = Omit<GroupStatus, 'topics' | 'members'> & {
  members: number
  topics: {
    topic: string
    lag: number | null
    /** Sum of the committed offsets of all partitions. */
    committed: number
    /** null at the first sample. */
    readPerSecond: number | null
    /** Seconds until the lag is 0 at the current rate; null if the lag does not shrink or is unknown. */
    catchUpSeconds: number | null
  }[]
}

export interface KafkaView {
  topics: TopicView[]
  groups: GroupView[]
  findings: Finding[]
}

/** Deadline of the connection and of each request, in ms. */
const TIMEOUT_MS = 2_000
/** Sizes and settings rarely change: they are read once per this many samples. */
const RARE_INTERVAL = 5

interface Sample {
  atMs: number
  topics: TopicMetadata[]
  high: Offsets
  low: Offsets
  positions: Positions
}

type RareData = { bytes: Map<string, number> | undefined; config: Map<string, TopicView['config']> }

export function kafkaPart(settings: Settings): Part {
  let cluster: Cluster | undefined
  let before: Sample | undefined
  let rare: RareData | undefined
  let samples = 0
  const close = () => {
    cluster?.close()
    cluster = undefined
    before = undefined
    rare = undefined
  }
  const read = async (): Promise<KafkaView> => {
    try {
      cluster ??= await openCluster(settings, { timeoutMs: TIMEOUT_MS, refused: 'fail' })
      const sample = await readSample(cluster)
      if (!rare || samples++ % RARE_INTERVAL === 0) rare = await readRare(cluster, sample.topics)
      const view = viewOf(before, sample, rare)
      before = sample
      return view
    } catch (failure) {
      // The connections may be broken.
      close()
      throw failure
    }
  }
  return { name: 'kafka', pauseMs: 2_000, timeoutMs: 3 * TIMEOUT_MS, read, traces: kafkaTraces, close }
}

async function readSample(cluster: Cluster): Promise<Sample> {
  const positions = await readPositions(cluster, TIMEOUT_MS / 2)
  const topics = (await cluster.send(metadata)).topics.filter(({ internal }) => !internal)
  const [high, low] = await Promise.all([readOffsets(cluster, 'high', topics), readOffsets(cluster, 'low', topics)])
  return { atMs: performance.now(), topics, high, low, positions }
}

async function readRare(cluster: Cluster, topics: readonly TopicMetadata[]): Promise<RareData> {
  const names = topics.map(({ name }) => name)
  const { brokers } = cluster.metadata
  const [sizes, configs] = await Promise.all([
    // Reading log directories needs the Describe permission on the cluster.
    readLogDirs(cluster, brokers).then(bytesByTopic, () => undefined),
    names.length > 0 ? cluster.send(describeTopicConfigs(names)).catch(() => undefined) : undefined,
  ])
  const overrides = [...(configs ?? [])].map(([name, values]): [string, TopicView['config']] => [
    name,
    [...values]
      .filter(([, value]) => value.own)
      .map(([key, { value }]) => ({ key, value: value ?? '' }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
  ])
  const bytes = sizes && new Map(names.map((name) => [name, sizes.get(name) ?? 0]))
  return { bytes, config: new Map(overrides) }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/** Returns the view of the sample `now`, with rates since the sample `before`. */
function viewOf(before: Sample | undefined, now: Sample, { bytes, config }: RareData): KafkaView {
  const seconds = before ? (now.atMs - before.atMs) / 1000 : Number.POSITIVE_INFINITY
  const ends = (sample: Sample, topic: TopicMetadata, which: 'high' | 'low'): number | null => {
    const offsets = topic.partitions.map(({ index }) => sample[which].get(`${topic.name}/${index}`)?.offset)
    return offsets.includes(undefined) ? null : sum(offsets.map((offset) => offset ?? 0))
  }
  const topics = now.topics.map((topic): TopicView => {
    const { name, id, partitions } = topic
    const [written, first] = [ends(now, topic, 'high'), ends(now, topic, 'low')]
    const same = before?.topics.find((each) => each.name === name && each.id === id)
    const earlier = before && same ? ends(before, same, 'high') : null
    return {
      topic: name,
      partitions: partitions.length,
      replication: Math.max(0, ...partitions.map(({ replicas }) => replicas.length)),
      messages: written === null || first === null ? null : written - first,
      written,
      writtenPerSecond: written === null || earlier === null ? null : Math.max(0, written - earlier) / seconds,
      bytes: bytes?.get(name) ?? null,
      config: config.get(name) ?? [],
    }
  })
  const groups = now.positions.groups.map((group): GroupView => {
    const earlier = before?.positions.groups.find(({ id }) => id === group.id)
    const { members, topics: read, ...rest } = statusOf(earlier, group, seconds)
    return {
      ...rest,
      members: members.length,
      topics: read.map(({ topic, lag, consumedPerSecond, catchUpSeconds, partitions }) => ({
        topic,
        lag,
        committed: sum(partitions.map(({ committed }) => committed ?? 0)),
        readPerSecond: before ? consumedPerSecond : null,
        catchUpSeconds: before ? catchUpSeconds : null,
      })),
    }
  })
  return {
    topics: topics.sort((a, b) => (a.topic < b.topic ? -1 : 1)),
    groups: groups.sort((a, b) => (a.group < b.group ? -1 : 1)),
    findings: lagFindings(lagsOf(now.positions), LAG_LIMITS),
  }
}

function kafkaTraces({ topics, groups }: KafkaView): Traces {
  const written = topics.flatMap(({ topic, writtenPerSecond }) =>
    writtenPerSecond === null ? [] : [[topic, writtenPerSecond]],
  )
  const lags = groups.flatMap(({ group, topics: read }) => {
    const known = read.filter(({ lag }) => lag !== null)
    return known.length > 0 ? [[group, sum(known.map(({ lag }) => lag ?? 0))]] : []
  })
  return { throughput: Object.fromEntries(written), lag: Object.fromEntries(lags) }
}
