/** The state of ClickHouse's Kafka consumers. */
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../clickhouse/client.mts'

/** Milliseconds in which consumers should be assigned all partitions after a rebalance, new partitions, or an outage of Kafka. */
export const SETTLE_MS = 5_000

export interface Consumer {
  /** The Kafka table. */
  table: string
  /** Its member id in the consumer group; empty while it is not a member. */
  memberId: string
  assigned: { topic: string; partition: number; position: number }[]
  /** The first line of its last error; empty if there was none. */
  lastError: string
  lastErrorAgeSeconds: number
}

/** Returns the consumers of the named tables of the market database. A table that no view reads has none. */
export async function readConsumers(client: ClickHouseClient, tables: readonly string[]): Promise<Consumer[]> {
  const consumers = await readRows<Consumer>(
    client,
    `
      SELECT table, consumer_id AS memberId,
          arrayMap(
              (topic, partition, offset) -> (topic, partition, toFloat64(offset)),
              assignments.topic, assignments.partition_id, assignments.current_offset
          )::Array(Tuple(topic String, partition Int32, position Float64)) AS assigned,
          exceptions.text[-1] AS lastError, toFloat64(dateDiff('second', exceptions.time[-1], now())) AS lastErrorAgeSeconds
      FROM system.kafka_consumers
      WHERE database = currentDatabase() AND has({tables: Array(String)}, table)`,
    { tables },
  )
  // The lines after the first are a stack trace.
  return consumers.map((each) => ({ ...each, lastError: (each.lastError.split('\n')[0] ?? '').slice(0, 300) }))
}

/** Returns the read position of each assigned partition by topic and partition; below 0 where nothing was read yet. */
export function positionsOf(consumers: readonly Consumer[]): Map<string, Map<number, number>> {
  const topics = new Map<string, Map<number, number>>()
  for (const { topic, partition, position } of consumers.flatMap(({ assigned }) => assigned))
    topics.set(topic, (topics.get(topic) ?? new Map()).set(partition, position))
  return topics
}

/** Returns the number of partitions assigned to the consumers. */
export const countRead = (consumers: readonly Consumer[]): number =>
  consumers.reduce((count, { assigned }) => count + assigned.length, 0)
