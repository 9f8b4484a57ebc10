/** Lists, resends or deletes rejected messages. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'
import type { Report } from '../command/command.mts'
import { confirmWord, requireTerminal } from '../command/confirm.mts'
import { DECLINED } from '../command/target.mts'
import { formatCount } from '../common/count.mts'
import type { Paint } from '../common/findings.mts'
import { table } from '../common/table.mts'
import { openKafkajs } from '../kafka/clients.mts'
import type { Settings } from '../settings/settings.mts'
import { type RejectReason, readReasons } from './rejects.mts'

/** Messages that are sent, then deleted, together. */
const BATCH = 1_000

export interface RejectOptions {
  action: 'list' | 'replay' | 'clear'
  /** Clears without confirmation. */
  yes: boolean
  timeoutMs: number
  paint: Paint
  log: (line: string) => void
}

/**
 * Lists the rejects by reason. `replay` resends each to its topic and deletes it once the broker has acknowledged it; `clear` deletes all.
 * After an interruption, the next run resumes with the remaining rejects.
 * @throws {OpsError} exit code 3 when Kafka does not answer, 2 to clear without `yes` or a terminal
 */
export async function runRejects(
  client: ClickHouseClient,
  settings: Settings,
  options: RejectOptions,
): Promise<Report> {
  const { action, yes, timeoutMs, paint, log } = options
  const reasons = await readReasons(client)
  const total = reasons.reduce((sum, { count }) => sum + count, 0)
  const list = renderReasons(reasons, paint)
  const data = { reasons }
  if (action === 'list' || total === 0) return { findings: [], text: list, data }
  if (action === 'replay') {
    const sent = await resend(client, settings, timeoutMs, log)
    return { findings: [], text: `${list}\nResent ${sent} messages`, data: { ...data, sent } }
  }
  if (!yes) {
    requireTerminal('ingest rejects', `no terminal to confirm deleting ${total} messages`, 'add --yes')
    process.stderr.write(`${list}\n`)
    if (!(await confirmWord(`This permanently deletes ${total} rejected messages. Type "clear" to confirm: `, 'clear')))
      return { ...DECLINED, data: { ...data, declined: true } }
  }
  // Only those listed above: more may have been rejected since.
  await remove(client, "stored_at <= toDateTime64({until:String}, 3, 'UTC')", { until: newestOf(reasons) })
  return { findings: [], text: `Deleted ${total} rejected messages`, data: { ...data, deleted: total } }
}

async function resend(
  client: ClickHouseClient,
  settings: Settings,
  timeoutMs: number,
  log: (line: string) => void,
): Promise<number> {
  const [{ now } = { now: '' }] = await readRows<{ now: string }>(client, "SELECT toString(now64(3, 'UTC')) AS now", {})
  const kafka = await openKafkajs(settings, { timeoutMs })
  try {
    const producer = await kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    let sent = 0
    for (;;) {
      const batch = await readRows<Stored>(
        client,
        `SELECT topic, partition, toString(offset) AS offset, toString(timestamp) AS time, toUnixTimestamp64Milli(timestamp) AS ms,
           base64Encode(key) AS key, base64Encode(message) AS message
         FROM market_rejects FINAL WHERE stored_at <= toDateTime64({now:String}, 3, 'UTC')
         ORDER BY topic, partition, offset LIMIT ${BATCH}`,
        { now },
      )
      if (batch.length === 0) return sent
      const topics = [...new Set(batch.map(({ topic }) => topic))]
      await producer.sendBatch({
        acks: -1,
        topicMessages: topics.map((topic) => ({
          topic,
          messages: batch
            .filter((each) => each.topic === topic)
            .map(({ key, message, ms }) => ({
              key: key === '' ? null : Buffer.from(key, 'base64'),
              value: Buffer.from(message, 'base64'),
              timestamp: String(ms),
            })),
        })),
      })
      const keys = batch.map(({ topic, partition, offset, time }) => [topic, String(partition), offset, time])
      await remove(
        client,
        `(topic, toString(partition), toString(offset), toString(timestamp)) IN
           (SELECT (each[1], each[2], each[3], each[4]) FROM (SELECT arrayJoin({keys:Array(Array(String))}) AS each))`,
        { keys },
      )
      sent += batch.length
      log(`Resent ${sent} messages`)
    }
  } finally {
    await kafka.close()
  }
}

interface Stored {
  topic: string
  partition: number
  offset: string
  time: string
  ms: string
  key: string
  message: string
}

async function remove(client: ClickHouseClient, where: string, values: Record<string, unknown>): Promise<void> {
  await client.command({
    query: `DELETE FROM market_rejects WHERE ${where}`,
    query_params: values,
    clickhouse_settings: { lightweight_deletes_sync: '2' },
  })
}

const newestOf = (reasons: readonly RejectReason[]): string =>
  reasons.map(({ newest }) => newest).reduce((a, b) => (a > b ? a : b), '')

/** Renders a line per reason: count, topic, reason, time of the newest, and a sample. */
function renderReasons(reasons: readonly RejectReason[], paint: Paint): string {
  if (reasons.length === 0) return 'No rejected messages'
  return table(
    [
      ['messages', 'topic', 'reason', 'newest', 'sample'],
      ...reasons.map((each) => [
        formatCount(each.count),
        each.topic,
        each.error,
        each.newest,
        paint('dim', each.sample.replaceAll(/\p{Cc}/gu, '·')),
      ]),
    ],
    { align: 'r' },
  )
}
