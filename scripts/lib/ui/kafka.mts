/** What the page shows of Kafka: topics with settings, messages and rates, and consumer groups with lag. Keeps its connection. */
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
  /** Offsets that are kept: messages, but for compaction and the marks of transactions. null where a partition does not report its ends. */
  messages: number | null
  /** Messages ever written, as far as the ends of its partitions say. */
  written: number | null
  /** null at the first look, and for a topic that was created again. */
  writtenPerSecond: number | null
  /** On the brokers' disks, copies counted. null where a broker does not say. */
  bytes: number | null
  /** Set on the topic itself. */
  config: { key: string; value: string }[]
}

export type GroupView = Omit<GroupStatus, 'topics' | 'members'> & {
  members: number
  topics: {
    topic: string
    lag: number | null
    /** Offsets committed, over the partitions. */
    committed: number
    /** null at the first look. */
    readPerSecond: number | null
    /** Seconds until the lag is 0 at this pace; null where it does not shrink, or is not known. */
    catchUpSeconds: number | null
  }[]
}

export interface KafkaView {
  topics: TopicView[]
  groups: GroupView[]
  findings: Finding[]
}

/** Milliseconds for a connection and for each answer. */
const TIMEOUT_MS = 2_000
/** Looks between two at what changes seldom: sizes and settings. */
const SELDOM = 5

interface Look {
  atMs: number
  topics: TopicMetadata[]
  high: Offsets
  low: Offsets
  positions: Positions
}

type Seldom = { bytes: Map<string, number> | undefined; config: Map<string, TopicView['config']> }

export function kafkaPart(settings: Settings): Part {
  let cluster: Cluster | undefined
  let before: Look | undefined
  let seldom: Seldom | undefined
  let looks = 0
  const close = () => {
    cluster?.close()
    cluster = undefined
    before = undefined
    seldom = undefined
  }
  const read = async (): Promise<KafkaView> => {
    try {
      cluster ??= await openCluster(settings, { timeoutMs: TIMEOUT_MS, refused: 'fail' })
      const look = await readLook(cluster)
      if (!seldom || looks++ % SELDOM === 0) seldom = await readSeldom(cluster, look.topics)
      const view = viewOf(before, look, seldom)
      before = look
      return view
    } catch (failure) {
      // Its connections are of no use any more.
      close()
      throw failure
    }
  }
  return { name: 'kafka', pauseMs: 2_000, timeoutMs: 3 * TIMEOUT_MS, read, traces: kafkaTraces, close }
}

async function readLook(cluster: Cluster): Promise<Look> {
  const positions = await readPositions(cluster, TIMEOUT_MS / 2)
  const topics = (await cluster.send(metadata)).topics.filter(({ internal }) => !internal)
  const [high, low] = await Promise.all([readOffsets(cluster, 'high', topics), readOffsets(cluster, 'low', topics)])
  return { atMs: performance.now(), topics, high, low, positions }
}

async function readSeldom(cluster: Cluster, topics: readonly TopicMetadata[]): Promise<Seldom> {
  const names = topics.map(({ name }) => name)
  const { brokers } = cluster.metadata
  const [sizes, configs] = await Promise.all([
    // A login may lack the right to see them.
    readLogDirs(cluster, brokers).then(bytesByTopic, () => undefined),
    names.length > 0 ? cluster.send(describeTopicConfigs(names)).catch(() => undefined) : undefined,
  ])
  const own = [...(configs ?? [])].map(([name, values]): [string, TopicView['config']] => [
    name,
    [...values]
      .filter(([, value]) => value.own)
      .map(([key, { value }]) => ({ key, value: value ?? '' }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
  ])
  const bytes = sizes && new Map(names.map((name) => [name, sizes.get(name) ?? 0]))
  return { bytes, config: new Map(own) }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/** What two looks show together. */
export function viewOf(before: Look | undefined, now: Look, { bytes, config }: Seldom): KafkaView {
  const seconds = before ? (now.atMs - before.atMs) / 1000 : Number.POSITIVE_INFINITY
  const ends = (look: Look, topic: TopicMetadata, which: 'high' | 'low'): number | null => {
    const offsets = topic.partitions.map(({ index }) => look[which].get(`${topic.name}/${index}`)?.offset)
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
