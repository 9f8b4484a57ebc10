/** What ClickHouse's consumers of the queues do now. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'

/** Milliseconds that consumers get to have all partitions: after a rebalance, new partitions, or an outage of Kafka. */
export const SETTLE_MS = 5_000

export interface Consumer {
  /** The Kafka table. */
  table: string
  /** Its name in its group; empty while it is in none. */
  memberId: string
  /** What it reads. */
  assigned: { topic: string; partition: number; position: number }[]
  /** What it complained of last, in one line; empty if never. */
  complaint: string
  complaintAgeSeconds: number
}

/** The consumers of the named tables of the market database; none while nothing takes what a table reads. */
export async function readConsumers(client: ClickHouseClient, tables: readonly string[]): Promise<Consumer[]> {
  const consumers = await readRows<Consumer>(
    client,
    `
      SELECT table, consumer_id AS memberId,
          arrayMap(
              (topic, partition, offset) -> (topic, partition, toFloat64(offset)),
              assignments.topic, assignments.partition_id, assignments.current_offset
          )::Array(Tuple(topic String, partition Int32, position Float64)) AS assigned,
          exceptions.text[-1] AS complaint, toFloat64(dateDiff('second', exceptions.time[-1], now())) AS complaintAgeSeconds
      FROM system.kafka_consumers
      WHERE database = currentDatabase() AND has({tables: Array(String)}, table)`,
    { tables },
  )
  // Below the first line the server puts its own stack.
  return consumers.map((each) => ({ ...each, complaint: (each.complaint.split('\n')[0] ?? '').slice(0, 300) }))
}

/** The places up to which the partitions of each topic were read; below 0 where nothing was yet. A partition without a consumer is not in it. */
export function positionsOf(consumers: readonly Consumer[]): Map<string, Map<number, number>> {
  const topics = new Map<string, Map<number, number>>()
  for (const { topic, partition, position } of consumers.flatMap(({ assigned }) => assigned))
    topics.set(topic, (topics.get(topic) ?? new Map()).set(partition, position))
  return topics
}

/** The number of partitions that the consumers have. */
export const countRead = (consumers: readonly Consumer[]): number =>
  consumers.reduce((count, { assigned }) => count + assigned.length, 0)
