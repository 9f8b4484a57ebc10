/** The command bench-storage: its output, and what it leaves behind. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BenchResult } from '../../bench/storage/bench.mts'
import type { InsertSpeed } from '../../bench/storage/inserts.mts'
import { difference } from '../../bench/storage/queries.mts'
import { withClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { sharedStack } from '../support/stack.mts'

const stack = await sharedStack()
const BENCH = path.join(ROOT, 'bench/storage.mts')
const folder = mkdtempSync(path.join(tmpdir(), 'l2-bench-'))
const left = () =>
  withClickHouse({ ...stack.settings, CLICKHOUSE_DATABASE: 'system' }, 10_000, async (client) => {
    const query = "SELECT name FROM databases WHERE name LIKE '%_bench_%'"
    return (await client.query({ query, format: 'JSONEachRow' })).json()
  })

const comparing = suite('difference')

comparing('ignores rounding only', () => {
  assert.is(difference([['a', 1.00000001]], [['a', 1]]), undefined)
  assert.is(difference([['a', 2]], [['a', 1]]), '2 in row 1, column 2, not 1')
  assert.is(difference([['a']], [['b']]), '"a" in row 1, column 1, not "b"')
  assert.is(difference([[1]], []), '1 rows, not 0')
})

const bench = suite('bench-storage')

bench('measures all three schemas, which return the same, and leaves nothing', async () => {
  const svg = path.join(folder, 'chart.svg')
  const { exitCode, stdout, stderr } = await runFile(
    BENCH,
    ['--rows', '20000', '--rounds', '1', '--svg', svg, '--json'],
    { env: stack.env },
  )
  assert.is(exitCode, 0, stdout + stderr)
  const report = JSON.parse(stdout)
  assert.equal(report.findings, [])
  assert.equal(
    report.sizes.map(({ table, by }: { table: string; by: object }) => [table, Object.keys(by)]),
    ['market_ticks', 'market_l1', 'market_l2'].map((table) => [table, ['shipped', 'naive', 'today']]),
  )
  assert.is(report.inserts.length, 18)
  for (const { by } of report.inserts) {
    for (const { perSecond, cpuMs } of Object.values<InsertSpeed>(by)) assert.ok(perSecond > 0 && cpuMs > 0)
  }
  const [hot, merged] = report.states as BenchResult['states']
  assert.equal([hot?.state, merged?.state, hot?.rows === merged?.rows], ['hot', 'merged', true])
  for (const schema of ['shipped', 'naive', 'today'] as const)
    assert.ok((hot?.parts[schema] ?? 0) > (merged?.parts[schema] ?? 0))
  for (const { answers } of report.states as BenchResult['states'])
    assert.equal(
      answers.map(({ name, differs }) => [name, differs]),
      [
        'last 1,000 trades',
        'day of minute bars',
        'book top 10 at a moment',
        'ASOF trades × quotes',
        'spread by minute',
        'aggregate by symbol',
        'spread and aggressor by minute',
        'bars of 10 seconds',
        'hourly bars from 09:30',
        'top of book by minute',
        'imbalance by minute',
        'what a market order would pay',
      ].map((name) => [name, []]),
    )
  assert.match(readFileSync(svg, 'utf8'), /^<svg .*aggregate by symbol.*<\/svg>\n$/s)
  assert.equal(await left(), [])
})

bench('names every missing Parquet file and leaves nothing', async () => {
  const { exitCode, stdout } = await runFile(BENCH, ['--data', folder, '--json'], { env: stack.env })
  const { findings } = JSON.parse(stdout)
  assert.equal([exitCode, findings.length, findings[0].code], [2, 3, 'USAGE'])
  assert.equal(await left(), [])
})

bench.after(async () => {
  rmSync(folder, { recursive: true })
  await stack.stop()
})
comparing.run()
bench.run()
