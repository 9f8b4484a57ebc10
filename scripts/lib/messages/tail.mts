/** Implements tail-topic: reads the last messages of a topic, or those from a position on, and then follows it. Changes nothing. */
import type { Finding } from '../common/findings.mts'
import { mergeByTime } from '../common/merge.mts'
import { openCluster } from '../kafka/cluster.mts'
import type { Start } from '../kafka/start-position.mts'
import type { Settings } from '../settings/settings.mts'
import { isWanted, type Where } from './filter.mts'
import { followTopic } from './follow.mts'
import { byTime, type Message, Reader, timeOf } from './reader.mts'
import { type Range, readSource, type Source } from './source.mts'

export interface TailRequest {
  topic: string
  /** The number of wanted messages to show, the newest by time; ignored if `from` is given. */
  last: number
  from?: Start | undefined
  /** Whether to wait for further messages until `stop`. */
  follow: boolean
  partition?: number | undefined
  key?: string | undefined
  where?: Where | undefined
  timeoutMs: number
  log: (line: string) => void
}

/** Receives messages, and decides when to stop. */
export interface Sink {
  /** Called once, before the first message. */
  begin: (source: Source) => void
  /** Resolves when more can be written. */
  write: (messages: readonly Message[]) => Promise<void>
  /** Resolves when no more messages are wanted. */
  stop: Promise<void>
  stopped: () => boolean
}

export interface Tailed {
  findings: Finding[]
  /** The number of messages written. */
  messages: number
}

/** The number of messages read first from the end of each partition if a filter is set. */
const FIRST_WINDOW = 1_000

/**
 * Writes the wanted messages of a topic; existing ones are ordered by time. While following, it waits indefinitely for an unavailable broker.
 * @throws {OpsError} exit code 1 if a message cannot be decoded or the topic was deleted; 2 for a topic or partition that does not exist; 3 if
 * Kafka does not answer
 */
export async function tailTopic(settings: Settings, request: TailRequest, sink: Sink): Promise<Tailed> {
  const { timeoutMs, log, from, partition, follow } = request
  let cluster = await openCluster(settings, { timeoutMs, log })
  const ended = new AbortController()
  sink.stop.then(() => ended.abort())
  const reopen = async () => {
    cluster.close()
    cluster = await openCluster(settings, { timeoutMs, waitMs: Number.POSITIVE_INFINITY, signal: ended.signal })
    return cluster
  }
  try {
    const start = from ?? { kind: 'latest' }
    const source = await readSource(cluster, request.topic, { start, partition, timeoutMs })
    const reader = new Reader(cluster, source.topic, timeoutMs)
    sink.begin(source)
    let messages = 0
    const write = async (found: readonly Message[]) => {
      const wanted = found.filter((message) => isWanted(message, request))
      messages += wanted.length
      if (wanted.length > 0) await sink.write(wanted)
    }
    if (from === undefined) await write(await lastMessages(reader, source.ranges, request, sink))
    else {
      const parts = source.ranges.map((range) => reader.range(range.partition, range.from, range.high))
      for await (const merged of mergeByTime(parts, timeOf)) {
        if (sink.stopped()) break
        await write(merged)
      }
    }
    if (follow) await followTopic({ ...sink, reader, ranges: source.ranges, partition, reopen, write, log })
    return { findings: source.findings, messages }
  } finally {
    cluster.close()
  }
}

/** Returns the newest wanted messages: of each partition the last ones by offset, and of all these the last ones by time. */
async function lastMessages(
  reader: Reader,
  ranges: readonly Range[],
  request: TailRequest,
  sink: Sink,
): Promise<Message[]> {
  const { last, key, where } = request
  if (last === 0) return []
  const all: Message[] = []
  for (const { partition, low, high } of ranges) {
    const found: Message[] = []
    let windowSize = key === undefined && where === undefined ? last : Math.max(last, FIRST_WINDOW)
    // Backwards in growing windows: compaction, transactions and filters leave fewer messages than offsets.
    for (let end = high; end > low && found.length < last && !sink.stopped(); windowSize *= 2) {
      const begin = Math.max(low, end - windowSize)
      const window: Message[] = []
      for await (const batch of reader.range(partition, begin, end)) {
        if (sink.stopped()) return []
        window.push(...batch.filter((message) => isWanted(message, request)))
        if (window.length > last) window.splice(0, window.length - last)
      }
      found.unshift(...window)
      end = begin
    }
    all.push(...found.slice(-last))
    // Bounds memory to what can be shown.
    if (all.length > last) all.sort(byTime).splice(0, all.length - last)
  }
  return all.sort(byTime)
}
