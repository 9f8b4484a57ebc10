/** What `npm run replay` does: files or a generated market into the topics, with a bar, a summary, and an end at Ctrl-C. */

import { onInterrupt } from '../command/interrupt.mts'
import { showProgress } from '../command/progress.mts'
import { count } from '../common/count.mts'
import { type ExitCode, type Finding, OpsError, type Paint, warning } from '../common/findings.mts'
import { table } from '../common/table.mts'
import { zoneOf } from '../common/time.mts'
import type { Settings } from '../settings/settings.mts'
import { type Kind, TOPICS } from './fields.mts'
import { openRecordings } from './files.mts'
import { type Pace, type Played, play } from './play.mts'
import { type Entry, mergeRecordings } from './recording.mts'
import { openSender } from './sender.mts'
import { generateMarket } from './synthetic.mts'

export interface ReplayOptions {
  files: readonly string[]
  kind: Kind | undefined
  /** Of rows without one. */
  symbol: string | undefined
  /** IANA name of the zone of times without an offset; without it they are UTC. */
  timezone: string | undefined
  /** Instead of files. */
  market: { symbols: number; count: number; seed: number } | undefined
  pace: Pace
  /** End at the first line that cannot be used. */
  strict: boolean
  /** How long Kafka may be away, in ms. */
  timeoutMs: number
  log: (line: string) => void
}

export interface Replayed {
  played: Played
  findings: Finding[]
  data: Record<string, unknown>
  exitCode?: ExitCode
}

/** Messages per second of a generated market whose pace is not given. */
const MARKET_RATE = 1_000
const BATCH = 1_000

/**
 * Plays it all; what came to an end before that has the exit code of its cause, and what was acknowledged until then.
 * @throws {OpsError} exit code 2 for files or topics that are not there, 3 when Kafka stays away, before anything is sent
 */
export async function replay(settings: Settings, options: ReplayOptions): Promise<Replayed> {
  const { files, kind, symbol, timezone, market, pace, strict, timeoutMs, log } = options
  const zone = timezone === undefined ? undefined : zoneOf(timezone)
  const recordings = await openRecordings(files, { kind, symbol, zone, log }, settings)
  let generated = 0
  async function* generate({ symbols, count, seed }: NonNullable<typeof market>): AsyncGenerator<Entry[]> {
    const rate = pace.kind === 'rate' ? pace.perSecond : MARKET_RATE
    const startMs = marketStartMs(Date.now(), { count, rate, pace })
    const messages = generateMarket({ symbols, rate, startMs, seed })
    while (generated < count) {
      const batch: Entry[] = []
      while (generated < count && batch.length < BATCH)
        batch.push({ file: 'generated', line: ++generated, message: messages.next().value })
      yield batch
    }
  }
  const fraction = () =>
    market
      ? generated / market.count
      : recordings.reduce((sum, recording) => sum + recording.fraction(), 0) / recordings.length
  const shown = showProgress(log)
  let stopped = false
  const sender = await openSender(settings, Object.values(TOPICS), { timeoutMs, log })
  const release = onInterrupt(() => {
    stopped = true
    log('Stopping after the messages on their way; press Ctrl-C again to stop at once')
  })
  let latest: Played | undefined
  try {
    const played = await play(market ? generate(market) : mergeRecordings(recordings), sender, {
      pace,
      strict,
      stopped: () => stopped,
      onGap: ({ seconds, waitSeconds, untilUs }) => {
        const until = new Date(untilUs / 1000).toISOString().slice(0, 19)
        log(
          `A gap of ${spanOf(seconds)}, until ${until}Z: waiting ${spanOf(waitSeconds)}; --max-gap SECONDS shortens gaps`,
        )
      },
      onProgress: (progress) => {
        latest = progress
        shown.show(fraction(), summaryOf(progress))
      },
    })
    const atMistake = strict && played.mistakes > 0
    const nothing = played.mistakes > 0 && total(played, 'acknowledged') === 0
    const hint = atMistake
      ? 'correct the line; everything before it was sent, nothing after it'
      : stopped
        ? 'correct the line; the usable lines before the end were sent'
        : 'correct the line; all usable lines were sent'
    return {
      played,
      findings: mistakeFindings(played, hint),
      data: dataOf(played),
      ...(atMistake || stopped || nothing ? { exitCode: 1 as const } : {}),
    }
  } catch (error) {
    if (!latest || !(error instanceof OpsError)) throw error
    // What was acknowledged until then stands.
    const { findings, exitCode } = error
    return { played: latest, findings, data: dataOf(latest), exitCode }
  } finally {
    shown.clear()
    release()
    await sender.close()
  }
}

/**
 * Milliseconds since 1970 at which a generated market begins that is played from now on, so that no message is from a time that is still
 * to come: 20 s at 20 times the speed take 1 s, and begin 19 s ago; played at once they begin 20 s ago, at their own pace or slower now.
 */
export function marketStartMs(nowMs: number, market: { count: number; rate: number; pace: Pace }): number {
  const { count, rate, pace } = market
  const lengthMs = (count / rate) * 1000
  if (pace.kind === 'fast') return nowMs - lengthMs
  return pace.kind === 'recorded' ? nowMs - lengthMs * Math.max(0, 1 - 1 / pace.speed) : nowMs
}

function mistakeFindings({ mistakes, samples }: Played, hint: string): Finding[] {
  const findings = samples.map((sample) => {
    const [, subject = '', found = ''] = /^(.*?:\d+): (.*)$/s.exec(sample) ?? []
    return warning('REPLAY_LINE', subject, { found, hint })
  })
  const rest = mistakes - samples.length
  if (rest > 0) findings.push(warning('REPLAY_LINE', 'further lines', { found: `${rest} more`, hint }))
  return findings
}

/** 55800 → "15 h 30 min" */
function spanOf(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function total({ topics }: Played, which: 'sent' | 'acknowledged' | 'bytes'): number {
  return [...topics.values()].reduce((sum, topic) => sum + topic[which], 0)
}

function summaryOf(played: Played): string {
  const acknowledged = total(played, 'acknowledged')
  const perSecond = played.seconds > 0 ? acknowledged / played.seconds : 0
  const lines = played.mistakes > 0 ? `, ${count.format(played.mistakes)} lines not usable` : ''
  return `${count.format(acknowledged)} messages, ${count.format(Math.round(perSecond))}/s${lines}`
}

function dataOf(played: Played): Record<string, unknown> {
  const { topics, mistakes, seconds } = played
  return { topics: Object.fromEntries(topics), unusableLines: mistakes, seconds }
}

/** A line a topic, then the sum. */
export function renderPlayed(played: Played, paint: Paint = (_, text) => text): string {
  const rows = [...played.topics]
    .sort()
    .map(([topic, { sent, acknowledged, bytes }]) => [
      topic,
      `${count.format(sent)} sent`,
      `${count.format(acknowledged)} acknowledged`,
      `${(bytes / 1e6).toFixed(1)} MB`,
    ])
  const topics = rows.length > 0 ? [table(rows, { align: 'lrrr' })] : []
  return [...topics, paint('bold', `${summaryOf(played)}, in ${played.seconds.toFixed(1)} s`)].join('\n')
}
