/** Sends messages to the topics at a given pace, in batches, each acknowledged before the next. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Message } from './message.mts'
import type { Entry } from './recording.mts'
import type { Sender } from './sender.mts'

/**
 * `recorded`: with the recorded gaps, limited to `maxGapSeconds` and divided by `speed`. `rate`: a fixed number of messages per second.
 * `fast`: without delay.
 */
export type Pace =
  | { kind: 'recorded'; speed: number; maxGapSeconds?: number | undefined }
  | { kind: 'rate'; perSecond: number }
  | { kind: 'fast' }

export interface Played {
  topics: Map<string, { sent: number; acknowledged: number; bytes: number }>
  /** Unusable entries, and messages too large for their topic. */
  mistakes: number
  /** The first mistakes, as `file:line: reason`. */
  samples: string[]
  seconds: number
}

export interface PlayOptions {
  pace: Pace
  /** Stop at the first mistake. */
  strict: boolean
  /** Called after every batch. */
  onProgress: (played: Played) => void
  /** Called before a wait of more than an hour of recorded time. */
  onGap: (gap: { seconds: number; waitSeconds: number; untilUs: number }) => void
  /** Returns true to stop. The messages that are already batched are still sent. */
  stopped: () => boolean
  now?: () => number
  sleep?: (ms: number) => Promise<unknown>
}

/** Messages per request: enough to compress well, few enough to send within milliseconds. */
const BATCH_MESSAGES = 5_000
/** Milliseconds of the shortest sleep: messages due within this time are sent together. */
const QUANTUM_MS = 5
const SAMPLES = 10
/** Longer gaps are announced: nights and weekends, but not trading halts. */
const LONG_GAP_US = 3_600e6

/**
 * Sends the message of each entry. Counts unusable entries and messages too large for their topic. A message larger than a batch is sent
 * alone.
 * @throws {OpsError} as `sender.send` does; `onProgress` reports what was acknowledged before
 */
export async function play(
  entries: AsyncIterable<Entry[]>,
  sender: Sender,
  { pace, strict, onProgress, onGap, stopped, now = performance.now.bind(performance), sleep = delay }: PlayOptions,
): Promise<Played> {
  const startMs = now()
  const played: Played = { topics: new Map(), mistakes: 0, samples: [], seconds: 0 }
  let waiting: { message: Message; entry: Entry; bytes: number }[] = []
  let waitingBytes = 0
  let count = 0
  /** The latest event time so far, and the sum of the gaps played. */
  let latestUs = Number.NaN
  let playedUs = 0
  const dueMs = (message: Message): number => {
    if (pace.kind === 'fast') return 0
    if (pace.kind === 'rate') return startMs + (count / pace.perSecond) * 1000
    const gapUs = message.timeUs - latestUs
    if (!(gapUs <= 0)) latestUs = message.timeUs
    if (gapUs > 0) {
      const takenUs = Math.min(gapUs, (pace.maxGapSeconds ?? Number.POSITIVE_INFINITY) * 1e6)
      playedUs += takenUs
      if (takenUs > LONG_GAP_US)
        onGap({ seconds: gapUs / 1e6, waitSeconds: takenUs / 1e6 / pace.speed, untilUs: message.timeUs })
    }
    return startMs + playedUs / 1000 / pace.speed
  }
  const ended = () => stopped() || (strict && played.mistakes > 0)
  const mistake = ({ file, line }: Entry, what: string) => {
    played.mistakes++
    if (played.samples.length < SAMPLES) played.samples.push(`${file}:${line}: ${what}`)
  }
  const flush = async () => {
    if (waiting.length > 0) {
      const batch = waiting
      waiting = []
      waitingBytes = 0
      for (const { message, bytes } of batch) {
        const topic = played.topics.get(message.topic) ?? { sent: 0, acknowledged: 0, bytes: 0 }
        played.topics.set(message.topic, topic)
        topic.sent++
        topic.bytes += bytes
      }
      const refused = new Set(await sender.send(batch.map(({ message }) => message)))
      for (const [index, { message, entry, bytes }] of batch.entries()) {
        const topic = played.topics.get(message.topic)
        if (refused.has(index)) mistake(entry, `${bytes} bytes exceed the limit of ${message.topic}`)
        else if (topic) topic.acknowledged++
      }
    }
    played.seconds = (now() - startMs) / 1000
    onProgress(played)
  }
  for await (const batch of entries) {
    for (const entry of batch) {
      if ('mistake' in entry) {
        // Sending the entries before it may reveal an earlier mistake: a message that its topic refuses.
        if (strict) await flush()
        if (!ended()) mistake(entry, entry.mistake)
        if (ended()) break
        continue
      }
      const due = dueMs(entry.message)
      if (due > now()) {
        await flush()
        while (due > now() && !ended()) await sleep(Math.min(1_000, Math.max(QUANTUM_MS, due - now())))
      }
      const bytes = Buffer.byteLength(entry.message.value)
      const withKey = bytes + Buffer.byteLength(entry.message.key)
      if (waiting.length >= BATCH_MESSAGES || waitingBytes + withKey > sender.batchBytes) await flush()
      if (ended()) break
      waiting.push({ message: entry.message, entry, bytes })
      waitingBytes += withKey
      count++
    }
    if (ended()) break
  }
  await flush()
  return played
}
