/** What `npm run replay` does: files or a generated market into the topics, with a bar, a summary, and an end at Ctrl-C. */

import { onInterrupt } from '../command/interrupt.mts'
import { progressBar } from '../command/progress.mts'
import type { ExitCode, Finding, Paint } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { type Kind, TOPICS } from './fields.mts'
import { openRecordings } from './files.mts'
import { generateMarket } from './market.mts'
import { mergeRecordings } from './merge.mts'
import { type Pace, type Played, play } from './play.mts'
import type { Entry } from './recording.mts'
import { openSender } from './sender.mts'

export interface ReplayOptions {
  files: readonly string[]
  kind: Kind | undefined
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

/** Plays it all. @throws {OpsError} exit code 2 for files or topics that are not there, 3 when Kafka stays away */
export async function replay(settings: Settings, options: ReplayOptions): Promise<Replayed> {
  const { files, kind, market, pace, strict, timeoutMs, log } = options
  const recordings = openRecordings(files, kind, settings)
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
  const bar = progressBar(process.stderr)
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
      onProgress: (progress) => {
        latest = progress
        bar.show(fraction(), summaryOf(progress))
      },
    })
    const atMistake = strict && played.mistakes > 0
    const hint = atMistake
      ? 'mend the line; the play ended there, what came before it was sent'
      : stopped
        ? 'mend the line; of the others, those before the end were sent'
        : 'mend the line; the others were sent'
    return {
      played,
      findings: mistakeFindings(played, hint),
      data: dataOf(played),
      ...(atMistake || stopped ? { exitCode: 1 as const } : {}),
    }
  } catch (error) {
    bar.clear()
    if (latest) log(renderPlayed(latest))
    throw error
  } finally {
    bar.clear()
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
  const rest = mistakes - samples.length
  const text = (sample: string): [string, string] => {
    const [, subject = '', found = ''] = /^(.*?:\d+): (.*)$/s.exec(sample) ?? []
    return [subject, found]
  }
  const expected = 'a message as docs/ingest.md describes it'
  const finding = (subject: string, found: string): Finding => ({
    severity: 'warning',
    code: 'REPLAY_LINE',
    subject,
    found,
    expected,
    hint,
  })
  const findings = samples.map((sample) => finding(...text(sample)))
  if (rest > 0) findings.push(finding('further lines', `${rest} more`))
  return findings
}

function total({ topics }: Played, which: 'sent' | 'acknowledged' | 'bytes'): number {
  return [...topics.values()].reduce((sum, topic) => sum + topic[which], 0)
}

const count = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })

function summaryOf(played: Played): string {
  const acknowledged = total(played, 'acknowledged')
  const perSecond = played.seconds > 0 ? acknowledged / played.seconds : 0
  const lines = played.mistakes > 0 ? `, ${count.format(played.mistakes)} lines not usable` : ''
  return `${count.format(acknowledged)} messages, ${count.format(perSecond)}/s${lines}`
}

function dataOf(played: Played): Record<string, unknown> {
  const { topics, mistakes, seconds } = played
  return { topics: Object.fromEntries(topics), unusableLines: mistakes, seconds }
}

/** A line a topic, then the sum. */
export function renderPlayed(played: Played, paint: Paint = (_, text) => text): string {
  const rows = [...played.topics].sort().map(([topic, { sent, acknowledged, bytes }]) => {
    const megabytes = (bytes / 1e6).toFixed(1)
    return `  ${topic.padEnd(18)}  ${count.format(sent).padStart(12)} sent  ${count.format(acknowledged).padStart(12)} acknowledged  ${megabytes.padStart(8)} MB`
  })
  return [...rows, paint('bold', `${summaryOf(played)}, in ${played.seconds.toFixed(1)} s`)].join('\n')
}
