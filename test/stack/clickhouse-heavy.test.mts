/** Queries larger than the server's memory: each succeeds by spilling to disk, while parts merge. Results at full size: docs/storage.md. */
import { createClient } from '@clickhouse/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { runScript } from '../support/command.mts'
import { applyInitFiles, startStack } from '../support/stack.mts'

/** Less than the shipped limit, and rows that need more memory than that to sort. */
const stack = await startStack(['clickhouse'], { CLICKHOUSE_MEMORY_LIMIT: '600m' })
await applyInitFiles(stack.settings)
const client = createClient({
  url: `http://127.0.0.1:${stack.settings.CLICKHOUSE_HTTP_PORT}`,
  username: stack.settings.CLICKHOUSE_USER,
  password: stack.settings.CLICKHOUSE_PASSWORD,
  database: stack.settings.CLICKHOUSE_DB,
  request_timeout: 300_000,
  keep_alive: { enabled: false },
})
const ROWS = 6_000_000
const insert = (rows: number, source: string) =>
  `INSERT INTO market_ticks (symbol, timestamp, price, size, tick_id, source)
   SELECT concat('S', toString(number % 2000)), toDateTime64('2026-11-23 14:30:00', 6, 'UTC') + toIntervalMicrosecond(number * 1170),
     100 + number % 1000 / 100, 1 + number % 500, number, '${source}'
   FROM numbers(${rows})`

const heavy = suite('queries larger than memory')

heavy.before(async () => {
  await client.command({ query: insert(ROWS, 'heavy') })
})

const QUERIES: [name: string, query: string][] = [
  ['a sort of all columns', 'SELECT * FROM market_ticks ORDER BY price, size FORMAT Null'],
  ['a group for each row', 'SELECT tick_id, count(), max(price) FROM market_ticks GROUP BY tick_id FORMAT Null'],
  [
    'a group by text',
    'SELECT concat(symbol, toString(tick_id)) AS k, count() FROM market_ticks GROUP BY k FORMAT Null',
  ],
  [
    'a join of all rows',
    'SELECT count(), sum(b.size) FROM market_ticks AS a JOIN market_ticks AS b ON a.tick_id = b.tick_id FORMAT Null',
  ],
  [
    'windows by symbol',
    'SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY timestamp) FROM market_ticks FORMAT Null',
  ],
  ['one window', 'SELECT tick_id, row_number() OVER (ORDER BY price, tick_id) FROM market_ticks FORMAT Null'],
  ['FINAL, sorted', 'SELECT * FROM market_ticks FINAL ORDER BY timestamp, tick_id FORMAT Null'],
  ['a mutation', "ALTER TABLE market_ticks UPDATE source = 'changed' WHERE size = 7 SETTINGS mutations_sync = 1"],
  ['an INSERT of as many rows', insert(ROWS, 'again')],
]
for (const [name, query] of QUERIES) {
  heavy(`${name} completes while parts merge`, async () => {
    for (let part = 0; part < 3; part++) await client.command({ query: insert(100_000, `part ${part} for ${name}`) })
    const merging = client.command({ query: 'OPTIMIZE TABLE market_ticks FINAL' })
    await client.command({ query })
    await merging
  })
}

heavy('nothing was lost or duplicated', async () => {
  const query = 'SELECT toUInt32(count()) AS n FROM market_ticks FINAL'
  const [row] = await (await client.query({ query, format: 'JSONEachRow' })).json<{ n: number }>()
  // Rows with the same tick id are one trade, except for id 0, which means no id: one row per insert.
  assert.is(row?.n, ROWS - 1 + 2 + QUERIES.length * 3)
})

heavy('a query that runs out of memory is reported by health-check, with what to raise', async () => {
  const query =
    'SELECT DISTINCT tick_id, price, timestamp, size FROM market_ticks FORMAT Null SETTINGS max_memory_usage = 20000000'
  const code = await client.command({ query }).then(
    () => 'an end',
    (error: { code?: string }) => error.code,
  )
  assert.is(code, '241')
  const { stdout } = await runScript('health-check.mts', ['--only', 'clickhouse', '--json'], { env: stack.env })
  const [finding] = JSON.parse(stdout).findings.filter((each: Finding) => each.code === 'CLICKHOUSE_MEMORY')
  assert.is(finding?.severity, 'warning')
  assert.match(
    finding.found,
    /^\d+ exceeded a memory limit since the server started, most recently at \d\d:\d\d:\d\d UTC$/,
  )
  assert.match(finding.hint, /^raise CLICKHOUSE_MEMORY_LIMIT in \.env/)
})

heavy.after(async () => {
  await client.close()
  await stack.stop()
})
heavy.run()
