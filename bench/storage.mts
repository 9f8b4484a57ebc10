#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../scripts/lib/run" "$f" "$@"
/**
 * Compares the shipped schema with the schema of existing installations and a naive one: size, insert speed and
 * queries. Works in temporary databases on the ClickHouse of the stack, and drops them afterwards.
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
  summary: `Compares the shipped schema with the schema of existing installations ("today") and a naive one: bytes per row, insert speed, and
queries on tables as a trading day leaves them ("hot") and on merged tables. Reports medians, ratios and CPU time, and checks that all
three schemas return the same results. Loads a generated market, or Parquet files.`,
  options: {
    data: {
      type: 'string',
      value: 'DIR',
      help: 'load market_ticks.parquet, market_l1.parquet and market_l2.parquet (columns: docs/storage.md)',
    },
    rows: {
      type: 'number',
      value: 'N',
      min: 1000,
      max: 1e9,
      default: 5_000_000,
      help: 'rows per table, reached by copying rows to other symbols and later times',
    },
    rounds: { type: 'number', value: 'N', min: 1, max: 100, default: 9, help: 'rounds of the insert measurement' },
    svg: { type: 'string', value: 'FILE', help: 'write a chart to this file' },
  },
  example: './bench/storage.mts --rows 20000000 --svg docs/storage-bench.svg',
  exitCodes: {
    0: 'measured; all schemas returned the same results',
    1: 'the results differ, or a statement failed',
    2: 'invalid usage, or refused credentials',
    3: 'ClickHouse did not answer',
  },
  run: async ({ options }) => {
    const { data, rounds, rows, svg } = options
    const settings = readSettings()
    // The user may create only databases with this prefix.
    const prefix = `${settings.CLICKHOUSE_DB}_bench_${process.pid}`
    const bar = showProgress(() => {})
    // The first Ctrl-C stops after the current step and drops the databases; a second one exits at once.
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
          const hint = 'this is a bug in the benchmark or in a view: please report it'
          return {
            severity: 'error',
            code: 'BENCH_ANSWERS',
            subject: name,
            found,
            expected: 'the result of naive',
            hint,
          }
        }),
      )
    return { findings, text: renderBench(result), data: { ...result } }
  },
})

function interruption(prefix: string): OpsError {
  const hint = `after a second Ctrl-C, drop the databases ${prefix}_… that SHOW DATABASES lists`
  const [found, expected] = ['Ctrl-C', 'a complete run']
  return new OpsError(1, [{ severity: 'error', code: 'INTERRUPTED', subject: 'bench-storage', found, expected, hint }])
}
