/** Implements `npm run replay`: sends files or a generated market to the topics, with a progress bar, a summary and Ctrl-C handling. */

import { onInterrupt } from '../command/interrupt.mts'
import { showProgress } from '../command/progress.mts'
import { formatCount } from '../common/count.mts'
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
  /** Symbol of rows without one. */
  symbol: string | undefined
  /** IANA name of the zone of times without an offset; UTC by default. */
  timezone: string | undefined
  /** Generates a market instead of reading files. */
  market: { symbols: number; count: number; seed: number } | undefined
  pace: Pace
  /** Stop at the first unusable line. */
  strict: boolean
  /** Milliseconds that Kafka may be unavailable. */
  timeoutMs: number
  log: (line: string) => void
}

export interface Replayed {
  played: Played
  findings: Finding[]
  data: Record<string, unknown>
  exitCode?: ExitCode
}

/** Default messages per second of a generated market. */
const MARKET_RATE = 1_000
const BATCH = 1_000

/**
 * Sends files or a generated market. If sending fails midway, returns the findings and exit code of the failure, with the counts of what
 * was acknowledged before.
 * @throws {OpsError} before anything is sent: exit code 2 for missing or unusable files and topics, 3 when Kafka does not answer
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
    log('Stopping after the messages in flight; press Ctrl-C again to stop immediately')
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
    const nothing = played.mistakes > 0 && acknowledgedOf(played) === 0
    const hint = atMistake
      ? 'correct the line; everything before it was sent, nothing after it'
      : stopped
        ? 'correct the line; the usable lines before the stop were sent'
        : 'correct the line; all usable lines were sent'
    return {
      played,
      findings: mistakeFindings(played, hint),
      data: dataOf(played),
      ...(atMistake || stopped || nothing ? { exitCode: 1 as const } : {}),
    }
  } catch (error) {
    if (!latest || !(error instanceof OpsError)) throw error
    const { findings, exitCode } = error
    return { played: latest, findings, data: dataOf(latest), exitCode }
  } finally {
    shown.clear()
    release()
    await sender.close()
  }
}

/**
 * Returns when a generated market begins, in milliseconds since 1970, so that no message has a timestamp in the future when it is sent. A
 * market of 20 s begins 19 s ago at 20 times its speed, 20 s ago when sent at once, and now at its own speed or slower.
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

function acknowledgedOf({ topics }: Played): number {
  return [...topics.values()].reduce((sum, { acknowledged }) => sum + acknowledged, 0)
}

function summaryOf(played: Played): string {
  const acknowledged = acknowledgedOf(played)
  const perSecond = played.seconds > 0 ? acknowledged / played.seconds : 0
  const lines = played.mistakes > 0 ? `, ${formatCount(played.mistakes)} unusable lines` : ''
  return `${formatCount(acknowledged)} messages, ${formatCount(Math.round(perSecond))}/s${lines}`
}

function dataOf(played: Played): Record<string, unknown> {
  const { topics, mistakes, seconds } = played
  return { topics: Object.fromEntries(topics), unusableLines: mistakes, seconds }
}

/** Renders a line per topic, then the totals. */
export function renderPlayed(played: Played, paint: Paint): string {
  const rows = [...played.topics]
    .sort()
    .map(([topic, { sent, acknowledged, bytes }]) => [
      topic,
      `${formatCount(sent)} sent`,
      `${formatCount(acknowledged)} acknowledged`,
      `${(bytes / 1e6).toFixed(1)} MB`,
    ])
  const topics = rows.length > 0 ? [table(rows, { align: 'lrrr' })] : []
  return [...topics, paint('bold', `${summaryOf(played)}, in ${played.seconds.toFixed(1)} s`)].join('\n')
}
