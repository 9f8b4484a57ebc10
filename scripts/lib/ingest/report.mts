/** Reports the status of the built-in ingest as findings and as text. */
import { formatCount } from '../common/count.mts'
import { error, type Finding, type Paint, unknown, warning } from '../common/findings.mts'
import { table } from '../common/table.mts'
import { LAG_LIMITS, type LagLimits } from '../kafka/lag-limits.mts'
import { formatTime } from '../kafka/offsets.mts'
import { RATE_MINUTES } from './rejects.mts'
import { RESTART } from './state.mts'
import type { IngestStatus } from './status.mts'

/** For when a backlog is expected. */
export const NO_LAG_LIMITS: LagLimits = { lagWarning: Number.POSITIVE_INFINITY, lagCritical: Number.POSITIVE_INFINITY }
/** Seconds. Lag that the current read rate clears in this time is ignored, because offsets are committed block by block. */
const IN_PROGRESS_S = 5

/** Reports whether some partitions of a topic have no consumer. */
const isIdle = ({ partitions, partitionsRead }: IngestStatus['topics'][number]) => partitionsRead < partitions

/** Returns the problems that a status shows. */
export function statusFindings(
  { state, differing, topics, failures, rejects }: IngestStatus,
  { lagWarning, lagCritical } = LAG_LIMITS,
): Finding[] {
  const findings: Finding[] = []
  if (state === 'partial' || state === 'outdated') {
    const [word, severity] = state === 'partial' ? ['missing or different', error] : ['different', warning]
    const found = `objects ${word} from clickhouse/ingest and .env: ${differing.join(', ')}`
    findings.push(severity('INGEST_DIFFERS', 'ingest', { found, hint: './scripts/ingest.mts on' }))
  }
  for (const { topic, lag, unread } of topics) {
    if (lag !== null) continue
    const found = `unknown lag: Kafka does not report the offsets of all partitions (${unread ?? 'no first offset'})`
    findings.push(unknown('INGEST_LAG', topic, { found, hint: './scripts/health-check.mts --only kafka' }))
  }
  if (state === 'off') return findings
  for (const { topic } of topics.filter(({ exists }) => !exists))
    findings.push(error('INGEST_TOPIC', topic, { found: 'no such topic', hint: './scripts/create-topics.mts' }))
  for (const { topic, table, otherReaders } of topics) {
    if (table === 'market_messages' || otherReaders.length === 0) continue
    const found = `also read by ${otherReaders.join(', ')}, which may write the same rows to ${table}`
    const hint = 'if it does: ./scripts/ingest.mts off'
    findings.push(warning('INGEST_OTHER_READER', topic, { found, hint }))
  }
  // If objects are missing, INGEST_DIFFERS already explains why partitions are not read.
  for (const { topic, partitions, partitionsRead } of state === 'partial' ? [] : topics.filter(isIdle)) {
    const found = `${partitionsRead} of ${partitions} partitions read`
    findings.push(error('INGEST_NOT_READING', topic, { found, hint: RESTART }))
  }
  for (const { topic, lag, ahead, messagesPerSecond } of topics) {
    if (ahead > 0) {
      const found = `committed offsets ${ahead} messages beyond the end of the topic: the next fetch fails`
      findings.push(error('KAFKA_GROUP_AHEAD', topic, { found, hint: './scripts/health-check.mts --only kafka' }))
    }
    const isAbove = (limit: number) => lag !== null && lag > Math.max(limit, IN_PROGRESS_S * messagesPerSecond)
    if (isAbove(lagWarning) || isAbove(lagCritical)) {
      const [severity, limit] = isAbove(lagCritical) ? [error, lagCritical] : [warning, lagWarning]
      const hint = `if it does not shrink: ${RESTART}`
      findings.push(
        severity('INGEST_LAG', topic, { found: `${lag} messages not stored yet`, expected: `at most ${limit}`, hint }),
      )
    }
  }
  for (const { table, ageSeconds, text } of failures) {
    const hint = './scripts/health-check.mts --only clickhouse'
    findings.push(error('INGEST_FAILS', table, { found: `failed ${ageSeconds} s ago: ${text}`, hint }))
  }
  const rejected = topics.filter((topic) => topic.rejectsLately > 0)
  if (rejected.length > 0) {
    const rates = rejected.map((topic) => `${topic.rejectsLately} of ${topic.topic}`).join(', ')
    const newest = rejects[0] ? `; the newest: ${rejects[0].error}` : ''
    const found = `messages rejected in the last ${RATE_MINUTES} minutes: ${rates}${newest}`
    findings.push(warning('INGEST_REJECTS', 'market_rejects', { found, hint: './scripts/ingest.mts rejects' }))
  }
  return findings
}

const STATES = {
  on: 'on',
  off: 'off',
  outdated: 'on, but different from clickhouse/ingest and .env',
  partial: 'broken: objects are missing',
}

/** Renders a line per topic, then the newest rejects. */
export function renderStatus(status: IngestStatus, paint: Paint): string {
  const rows = [
    ['topic', 'table', 'lag', 'messages/s', 'rejects', 'newest message'],
    ...status.topics.map(({ topic, table, exists, lag, messagesPerSecond, rejects, newestMs }) => [
      topic,
      table,
      !exists ? '-' : lag === null ? 'unknown' : formatCount(lag),
      formatCount(messagesPerSecond),
      formatCount(rejects),
      newestMs === undefined ? (exists ? 'none' : 'no such topic') : formatTime(newestMs),
    ]),
  ]
  const idle = status.state === 'on' && status.topics.some(isIdle)
  const style = idle ? 'red' : status.state === 'on' ? 'green' : status.state === 'off' ? 'dim' : 'red'
  return [
    `Built-in ingest: ${paint(style, idle ? 'on, but not all partitions are read' : STATES[status.state])}`,
    table(rows, { align: 'llrrr' }),
    ...(status.rejects.length > 0 ? ['Newest rejects'] : []),
    ...status.rejects.map(
      ({ topic, partition, offset, timestamp, error, message }) =>
        `  ${timestamp}  ${topic} ${partition}/${offset}  ${error}  ${paint('dim', message.replaceAll(/\p{Cc}/gu, '·'))}`,
    ),
  ].join('\n')
}
