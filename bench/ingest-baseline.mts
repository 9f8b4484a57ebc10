#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../scripts/lib/run" "$f" "$@"
/**
 * The benchmark's baseline: a typical consumer program for the schema of existing installations. Reads JSON messages,
 * maps their fields to columns, inserts batches over HTTP, and commits offsets after each insert. Runs until SIGTERM.
 */
import kafkajs, { type EachBatchPayload } from 'kafkajs'
import { compressFrame, decompressFrame } from 'lz4-napi'
import { connectClickHouse } from '../scripts/lib/clickhouse/client.mts'
import { openKafkajs } from '../scripts/lib/kafka/clients.mts'
import { readSettings } from '../scripts/lib/settings/settings.mts'

const BATCH_ROWS = 10_000
const BATCH_MS = 1_000

type Fields = Record<string, unknown>

/** Table and row mapping by topic. */
const ROUTES: Record<string, [table: string, row: (message: Fields) => Fields]> = {
  'iqfeed.trades.raw': [
    'market_ticks',
    ({ symbol, timestamp, trade_price, trade_size, trade_conditions, tick_id, source }) => ({
      symbol,
      timestamp,
      price: trade_price,
      size: trade_size,
      conditions: trade_conditions,
      tick_id,
      source,
    }),
  ],
  'iqfeed.quotes.raw': [
    'market_l1',
    ({ symbol, timestamp, bid_price, ask_price, bid_size, ask_size, tick_id, source }) => ({
      symbol,
      timestamp,
      bid: bid_price,
      ask: ask_price,
      bid_size,
      ask_size,
      tick_id,
      source,
    }),
  ],
  'iqfeed.l2.raw': [
    'market_l2',
    ({ symbol, timestamp, side, price, size, operation, level, market_maker, tick_id, source }) => ({
      symbol,
      timestamp,
      side,
      price,
      size,
      operation,
      level,
      market_maker,
      tick_id,
      source,
    }),
  ],
}

kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }: { buffer: Buffer }) => compressFrame(buffer),
  decompress: async (buffer: Buffer) => decompressFrame(buffer),
})
const settings = readSettings()
const client = await connectClickHouse(settings, 30_000)
const kafka = await openKafkajs(settings, { timeoutMs: 30_000 })
const consumer = await kafka.consumer({ groupId: 'market_data_consumer', maxWaitTimeInMs: 100 })
const buffered = new Map<string, Fields[]>()
const offsets = new Map<string, { topic: string; partition: number; offset: string }>()
let rows = 0
let flushedMs = performance.now()
let flushing: Promise<void> = Promise.resolve()

/** Inserts the buffered rows, then commits their offsets. Calls run one after the other. */
function flush(): Promise<void> {
  flushing = flushing.then(async () => {
    flushedMs = performance.now()
    const [tables, ends] = [[...buffered], [...offsets.values()]]
    buffered.clear()
    offsets.clear()
    rows = 0
    for (const [table, values] of tables) await client.insert({ table, values, format: 'JSONEachRow' })
    if (ends.length > 0) await consumer.commitOffsets(ends)
  })
  return flushing
}

async function take({ batch, heartbeat, resolveOffset }: EachBatchPayload): Promise<void> {
  const [table, row] = ROUTES[batch.topic] ?? ['', () => ({})]
  for (const { value, offset } of batch.messages) {
    const values = buffered.get(table) ?? []
    buffered.set(table, values)
    values.push({ ...row(JSON.parse(String(value))), ingestion_time: new Date().toISOString() })
    offsets.set(`${batch.topic}/${batch.partition}`, {
      topic: batch.topic,
      partition: batch.partition,
      offset: String(BigInt(offset) + 1n),
    })
    rows++
    resolveOffset(offset)
    if (rows >= BATCH_ROWS) await flush()
  }
  await heartbeat()
  if (performance.now() - flushedMs >= BATCH_MS) await flush()
}

await consumer.subscribe({ topics: Object.keys(ROUTES), fromBeginning: true })
await consumer.run({ autoCommit: false, eachBatch: take })
// Flushes the last rows if no further batch arrives.
const timer = setInterval(() => {
  if (rows > 0 && performance.now() - flushedMs >= BATCH_MS) flush()
}, 100)
process.once('SIGTERM', async () => {
  clearInterval(timer)
  await flush()
  await kafka.close()
  await client.close()
})
