#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/** Looks through the market tables for rows that cannot be right. Changes nothing. */
import { runCommand } from './lib/command/command.mts'
import { timeoutFlag, usage } from './lib/command/flags.mts'
import { configError } from './lib/common/findings.mts'

await runCommand({
  name: 'npm run quality --',
  summary: `Looks through the market tables: gaps, late and repeated rows, crossed and locked quotes, prices and sizes that cannot be right,
symbols that ended early, book entries that never left. Each with a count, a sample, and the query that shows them.`,
  options: {
    symbol: { type: 'string', value: 'S', help: 'only this symbol (default: all)' },
    day: { type: 'string', value: 'YYYY-MM-DD', help: 'only this day, UTC (default: all)' },
    timeout: timeoutFlag(600, 'for the query of each table'),
  },
  example: 'npm run quality -- --symbol SPY --day 2026-11-25',
  exitCodes: {
    0: 'nothing in doubt, or only warnings',
    1: 'values that cannot be right',
    2: 'wrong use or settings',
    3: 'could not tell: ClickHouse gives no answer',
  },
  run: async ({ options: { symbol, day, timeout } }) => {
    if (day !== undefined && new Date(Date.parse(`${day}T00:00:00Z`) || 0).toISOString().slice(0, 10) !== day) {
      throw configError([usage('npm run quality', '--day', `"${day}"`, 'a day such as 2026-11-25')])
    }
    const { withClickHouse } = await import('./lib/clickhouse/client.mts')
    const { refuseCluster } = await import('./lib/clickhouse/cluster.mts')
    const { qualityFindings, readQuality, renderQuality } = await import('./lib/quality/quality.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    refuseCluster(settings, 'quality')
    const quality = await withClickHouse(settings, timeout * 1000, (client) => readQuality(client, { symbol, day }))
    return { findings: qualityFindings(quality), text: renderQuality(quality), data: { ...quality } }
  },
})
