/** Runs the roll-ups of clickhouse/init now instead of every 5 s. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../../scripts/lib/clickhouse/client.mts'

/** Milliseconds for which a bucket must be unchanged before it is rolled up. */
const QUIET_MS = 10_000

/** Rolls up everything inserted so far, as the views that refresh every 5 s do: oldest first, in several runs if needed. */
export async function rollUp(client: ClickHouseClient, rollup: 'bars' | 'book'): Promise<void> {
  await delay(QUIET_MS + 100)
  for (let run = 0; run < 60; run++) {
    await client.command({ query: `SYSTEM REFRESH VIEW market_${rollup}_refresh` })
    await client.command({ query: `SYSTEM WAIT VIEW market_${rollup}_refresh` })
    const stale = await readRows(
      client,
      `SELECT bucket FROM market_rollup_state FINAL WHERE rollup = '${rollup}' AND computed_at <= inserted_at + INTERVAL 10 SECOND`,
    )
    if (stale.length === 0) return
  }
  throw new Error(`Cannot roll up ${rollup}: buckets stay stale`)
}
