#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../scripts/lib/run" "$f" "$@"
/**
 * Measures the shipped schema against the one of today's installations and a naive one: bytes, inserts, questions. Works in
 * databases of its own on the ClickHouse of the stack and drops them afterwards; writes no file but the chart it is asked for.
 */
import { writeFileSync } from 'node:fs'
import { runCommand } from '../scripts/lib/command/command.mts'
import { onInterrupt } from '../scripts/lib/command/interrupt.mts'
import { showProgress } from '../scripts/lib/command/progress.mts'
import { type Finding, OpsError } from '../scripts/lib/common/findings.mts'
import { readSettings } from '../scripts/lib/settings/settings.mts'
import { benchStorage } from './storage/bench.mts'
import { chartOf, renderBench } from './storage/report.mts'

await runCommand({
  name: './bench/storage.mts',
  summary: `Measures the shipped schema against the one of today's installations and a naive one: bytes a row, inserts, and six questions
to tables as a trading day leaves them and to merged ones, as medians, ratios and CPU. All three must give the same answers. Loads a
generated market, or Parquet files.`,
  options: {
    data: {
      type: 'string',
      value: 'DIR',
      help: 'real rows: market_ticks.parquet, market_l1.parquet, market_l2.parquet (columns: docs/storage.md)',
    },
    rows: {
      type: 'number',
      value: 'N',
      min: 1000,
      max: 1e9,
      default: 5_000_000,
      help: 'fill each table with that many: the rows again, as other symbols and later',
    },
    rounds: { type: 'number', value: 'N', min: 1, max: 100, default: 9, help: 'rounds of the insert measurement' },
    svg: { type: 'string', value: 'FILE', help: 'write a chart' },
  },
  example: './bench/storage.mts --rows 20000000 --svg docs/storage-bench.svg',
  exitCodes: {
    0: 'measured; all schemas gave the same answers',
    1: 'the answers differ, or a statement failed',
    2: 'wrong use, or a refused login',
    3: 'could not tell: ClickHouse did not answer',
  },
  run: async ({ options }) => {
    const { data, rounds, rows, svg } = options
    const settings = readSettings()
    // The login may create no others.
    const prefix = `${settings.CLICKHOUSE_DB}_bench_${process.pid}`
    const bar = showProgress(() => {})
    // The databases are dropped before it ends; a second Ctrl-C ends it at once.
    let interrupted = false
    onInterrupt(() => {
      interrupted = true
    })
    const show = (part: number, doing: string) => {
      if (interrupted) throw interruption(prefix)
      bar.show(part, doing)
    }
    const result = await benchStorage(settings, prefix, { data, rounds, rows, show }).finally(bar.clear)
    if (svg) writeFileSync(svg, chartOf(result))
    const findings = result.states
      .flatMap(({ answers }) => answers)
      .flatMap(({ name, differs }) =>
        differs.map((found): Finding => {
          const hint = 'this is a defect of the benchmark or of a view: please report it'
          return { severity: 'error', code: 'BENCH_ANSWERS', subject: name, found, expected: "naive's answer", hint }
        }),
      )
    return { findings, text: renderBench(result), data: { ...result } }
  },
})

function interruption(prefix: string): OpsError {
  const hint = `if a second Ctrl-C came: DROP DATABASE ${prefix}_…, as SHOW DATABASES names them`
  const [found, expected] = ['Ctrl-C', 'to end by itself']
  return new OpsError(1, [{ severity: 'error', code: 'INTERRUPTED', subject: 'bench-storage', found, expected, hint }])
}
