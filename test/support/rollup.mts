/** Roll-ups of clickhouse/init, done now instead of every 5 s. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows } from '../../scripts/lib/clickhouse/client.mts'

/** Milliseconds that a bucket is left alone before it is rolled up. */
const QUIET_MS = 10_000

/** Rolls up what was inserted before, as the views that refresh every 5 s do: the oldest first, in more than one run if it is much. */
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
