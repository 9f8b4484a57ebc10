/** A dedicated stack with tables and topics, with helpers to write to the topics and query the tables. */
import { type ClickHouseClient, createClient } from '@clickhouse/client'
import type { Message } from 'kafkajs'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { syncTopics } from '../../scripts/lib/topics/topics.mts'
import { runScript } from './command.mts'
import { start } from './embedded.mts'
import { KafkaHelper } from './kafka.mts'
import { applyInitFiles, startStack, type TestStack } from './stack.mts'

export interface IngestReport {
  exitCode: number
  state: string
  changed: string[]
  topics: { topic: string; lag: number; rejects: number; messagesPerSecond: number; otherReaders: string[] }[]
  rejects: { topic: string; error: string; message: string }[]
  findings: Finding[]
}

/** The raw topics, and the tables in which ingest stores them. */
export const TABLES = {
  'iqfeed.trades.raw': 'market_ticks',
  'iqfeed.quotes.raw': 'market_l1',
  'iqfeed.l2.raw': 'market_l2',
}

export class IngestStack {
  readonly stack: TestStack
  readonly clickhouse: ClickHouseClient
  readonly kafka: KafkaHelper

  private constructor(stack: TestStack) {
    this.stack = stack
    this.kafka = new KafkaHelper(stack.settings)
    this.clickhouse = createClient({
      url: `http://127.0.0.1:${stack.settings.CLICKHOUSE_HTTP_PORT}`,
      username: stack.settings.CLICKHOUSE_USER,
      password: stack.settings.CLICKHOUSE_PASSWORD,
      database: stack.settings.CLICKHOUSE_DB,
      // The server waits for open connections when it stops.
      keep_alive: { enabled: false },
    })
  }

  static async start(overrides: NodeJS.ProcessEnv = {}): Promise<IngestStack> {
    const stack = await startStack(undefined, { INGEST_FLUSH_MS: '200', NO_COLOR: '1', ...overrides })
    await applyInitFiles(stack.settings)
    await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log: () => {} })
    return new IngestStack(stack)
  }

  async stop(): Promise<void> {
    await this.clickhouse.close()
    await this.stack.stop()
  }

  /**
   * Starts stopped services and switches ingest on, as `npm start` does with INGEST=on. ClickHouse's Kafka client may have lost its only
   * broker while that broker restarted (clickhouse/config.d/ingest.xml).
   * @returns whether queues had to be recreated
   */
  async startAgain(): Promise<boolean> {
    const switchOn = async () => {
      await start(this.stack.settings)
      return this.ingest(['on'])
    }
    let report = await switchOn()
    // A broker whose disk was full may exit after the start found it running.
    if (report.findings.some(({ hint }) => hint === 'npm start')) report = await switchOn()
    assert.is(report.state, 'on', JSON.stringify(report.findings))
    return report.changed.length > 0
  }

  /** Runs `ingest.mts … --json` and returns the object it prints. */
  async ingest(args: string[], env: NodeJS.ProcessEnv = {}): Promise<IngestReport> {
    const { stdout } = await runScript('ingest.mts', [...args, '--json'], { env: { ...this.stack.env, ...env } })
    return JSON.parse(stdout) as IngestReport
  }

  /** Sends values to a topic and waits for their acknowledgement. Values other than strings, buffers and null are sent as JSON. */
  async send(topic: string, values: readonly unknown[], more: Partial<Message> = {}): Promise<void> {
    const kafka = await openKafkajs(this.stack.settings, { timeoutMs: 20_000 })
    try {
      const producer = await kafka.producer()
      const messages = values.map((value) => ({
        key: 'TEST',
        value: value === null || typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value),
        ...more,
      }))
      await producer.send({ topic, messages, acks: -1 })
    } finally {
      await kafka.close()
    }
  }

  /** Returns the rows of a query as arrays. */
  async rows(query: string): Promise<unknown[][]> {
    return (await this.clickhouse.query({ query, format: 'JSONCompactEachRow' })).json()
  }

  async count(table: string, where = '1'): Promise<number> {
    const [[count] = []] = await this.rows(`SELECT toFloat64(count()) FROM ${table} WHERE ${where}`)
    return Number(count)
  }

  /** Counts the rows of all {@link TABLES}. */
  async stored(): Promise<number> {
    const counts = await Promise.all(Object.values(TABLES).map((table) => this.count(table)))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** Counts duplicate rows in all {@link TABLES}: rows with the same Kafka position and time as another. */
  async duplicates(): Promise<number> {
    const unique = '(symbol, timestamp, sequence, ingestion_time)'
    const counts = Object.values(TABLES).map((table) =>
      this.rows(`SELECT toFloat64(count() - uniqExact${unique}) FROM ${table}`),
    )
    return (await Promise.all(counts)).reduce((sum, [row]) => sum + Number(row?.[0]), 0)
  }

  /** Returns the number of rows once it reaches `expected`, or after 20 s. */
  async settles(table: string, where: string, expected: number): Promise<number> {
    let seen = -1
    const enough = async () => {
      seen = await this.count(table, where)
      return seen >= expected
    }
    await waitUntil(enough, { timeoutMs: 20_000, pollMs: 50 })
    return seen
  }
}

/** Messages as producers send them. `more` adds or replaces fields; undefined removes one. */
export const trade = (more: Record<string, unknown> = {}) => ({
  symbol: 'TEST',
  timestamp: '2026-11-23T10:00:00.000001',
  trade_price: 189.12345678,
  trade_size: 100,
  total_volume: 5_000_000,
  trade_market_center: 5,
  trade_conditions: '0187',
  tick_id: 7,
  bid_price: 189.12,
  ask_price: 189.13,
  _metadata: { producer_id: 'test', message_type: 'trade', kafka_timestamp: 1, schema_version: '1.0' },
  ...more,
})

export const quote = (more: Record<string, unknown> = {}) => ({
  symbol: 'TEST',
  timestamp: '2026-11-23T10:00:00.000001',
  bid_price: 189.1,
  bid_size: 3,
  ask_price: 189.2,
  ask_size: 4,
  bid_market_center: 5,
  ask_market_center: 11,
  tick_id: 9,
  ...more,
})

export const event = (more: Record<string, unknown> = {}) => ({
  symbol: 'TEST',
  timestamp: '2026-11-23T10:00:00.000001',
  level: 1,
  market_maker: 'NSDQ',
  operation: 0,
  side: 1,
  price: 189.1,
  size: 100,
  tick_id: 1,
  ...more,
})
