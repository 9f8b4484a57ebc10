/** The status of the built-in ingest as findings and as text. */
import type { Finding, Paint } from '../common/findings.mts'
import { LAG_LIMITS, type LagLimits } from '../health/probe.mts'
import type { IngestStatus } from './status.mts'

/** What makes consumers that read nothing anew. */
export const ANEW = './scripts/ingest.mts off && ./scripts/ingest.mts on'

/** For where a backlog is what is expected. */
export const NO_LAG_LIMITS: LagLimits = { lagWarning: Number.POSITIVE_INFINITY, lagCritical: Number.POSITIVE_INFINITY }
/** Seconds. What is read at the present pace in this time is on its way: messages are committed block by block. */
const ON_ITS_WAY_S = 5

/** Whether partitions of it are without a consumer. */
const isIdle = ({ partitions, partitionsRead }: IngestStatus['topics'][number]) => partitionsRead < partitions

/** What is wrong, or worth a look. */
export function statusFindings(
  { state, differing, topics, failures, rejects }: IngestStatus,
  { lagWarning, lagCritical } = LAG_LIMITS,
): Finding[] {
  const findings: Finding[] = []
  const add = (
    severity: Finding['severity'],
    code: string,
    subject: string,
    found: string,
    expected: string,
    hint: string,
  ) => findings.push({ severity, code, subject, found, expected, hint })
  const on = './scripts/ingest.mts on'
  if (state === 'partial' || state === 'outdated') {
    const [word, severity] =
      state === 'partial' ? ['missing or different', 'error' as const] : ['different', 'warning' as const]
    add(
      severity,
      'INGEST_DIFFERS',
      'ingest',
      `${word}: ${differing.join(', ')}`,
      'what clickhouse/ingest and .env say',
      on,
    )
  }
  if (state === 'off') return findings
  for (const { topic } of topics.filter(({ exists }) => !exists))
    add('error', 'INGEST_TOPIC', topic, 'no such topic', 'a topic to read', './scripts/create-topics.mts')
  const shared = topics.filter(({ table, otherReaders }) => table !== 'market_messages' && otherReaders.length > 0)
  for (const { topic, table, otherReaders } of shared) {
    const expected = `no other program that writes ${table}`
    add(
      'warning',
      'INGEST_OTHER_READER',
      topic,
      `a reader beside it: ${otherReaders.join(', ')}`,
      expected,
      'if it stores what it reads: ./scripts/ingest.mts off',
    )
  }
  // What is missing explains why nothing is read.
  for (const { topic, partitions, partitionsRead } of state === 'partial' ? [] : topics.filter(isIdle)) {
    const found = `${partitionsRead} of ${partitions} partitions read`
    add('error', 'INGEST_NOT_READING', topic, found, 'all of them', ANEW)
  }
  for (const { topic, lag, messagesPerSecond } of topics) {
    const [warning, critical] = [lagWarning, lagCritical].map(
      (limit) => lag > Math.max(limit, ON_ITS_WAY_S * messagesPerSecond),
    )
    if (!warning && !critical) continue
    const expected = `at most ${critical ? lagCritical : lagWarning}`
    const hint = `if it does not shrink: ${ANEW}`
    add(critical ? 'error' : 'warning', 'INGEST_LAG', topic, `${lag} messages not stored yet`, expected, hint)
  }
  for (const { table, ageSeconds, text } of failures) {
    const hint = 'docker logs l2_clickhouse, or .embedded/data/logs/clickhouse.log'
    add('error', 'INGEST_FAILS', table, `${ageSeconds} s ago: ${text}`, 'no failure since', hint)
  }
  const rejected = topics.filter((topic) => topic.rejectsToday > 0)
  if (rejected.length > 0) {
    const found = rejected.map((topic) => `${topic.rejectsToday} of ${topic.topic}`).join(', ')
    const newest = rejects[0] ? `; the newest of ${rejects[0].timestamp}: ${rejects[0].error}` : ''
    add(
      'warning',
      'INGEST_REJECTS',
      'market_rejects',
      `in the last 24 hours ${found}${newest}`,
      'no message that cannot be read',
      'SELECT * FROM market_rejects ORDER BY timestamp DESC LIMIT 10',
    )
  }
  return findings
}

const STATES = {
  on: 'on',
  off: 'off',
  outdated: 'on, but not as clickhouse/ingest and .env say now',
  partial: 'broken: something of it is missing',
}

/** A line a topic, then the newest rejects. */
export function renderStatus(status: IngestStatus, paint: Paint): string {
  const count = new Intl.NumberFormat('en-GB')
  const rows = [
    ['topic', 'table', 'lag', 'messages/s', 'rejects', 'newest message'],
    ...status.topics.map(({ topic, table, exists, lag, messagesPerSecond, rejects, newestMs }) => [
      topic,
      table,
      exists ? count.format(lag) : '-',
      count.format(messagesPerSecond),
      count.format(rejects),
      newestMs === undefined ? (exists ? 'none' : 'no such topic') : new Date(newestMs).toISOString(),
    ]),
  ]
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const table = rows.map((row) =>
    row
      .map((cell, column) =>
        column >= 2 && column <= 4 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  const idle = status.state === 'on' && status.topics.some(isIdle)
  const style = idle ? 'red' : status.state === 'on' ? 'green' : status.state === 'off' ? 'dim' : 'red'
  return [
    `Built-in ingest: ${paint(style, idle ? 'on, but not all partitions are read' : STATES[status.state])}`,
    ...table.map((line) => `  ${line}`),
    ...(status.rejects.length > 0 ? ['Newest rejects'] : []),
    ...status.rejects.map(
      ({ topic, partition, offset, timestamp, error, message }) =>
        `  ${timestamp}  ${topic} ${partition}/${offset}  ${error}  ${paint('dim', message.replaceAll(/\p{Cc}/gu, '·'))}`,
    ),
  ].join('\n')
}
