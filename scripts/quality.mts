#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/** Checks the market tables for invalid and suspect rows. Changes nothing. */
import { runCommand } from './lib/command/command.mts'
import { timeoutFlag, usage } from './lib/command/flags.mts'
import { configError } from './lib/common/findings.mts'

await runCommand({
  name: 'npm run quality --',
  summary: `Checks the market tables for gaps, late and duplicate rows, crossed and locked quotes, invalid prices and sizes, symbols
that end early, and stale book entries. Reports each with a count, a sample, and a query that shows the rows.`,
  options: {
    symbol: { type: 'string', value: 'S', help: 'check only this symbol (default: all)' },
    day: { type: 'string', value: 'YYYY-MM-DD', help: 'check only this day, UTC (default: all)' },
    timeout: timeoutFlag(600, 'how long the query of each table may take'),
  },
  example: 'npm run quality -- --symbol SPY --day 2026-11-25',
  exitCodes: {
    0: 'found nothing, or only warnings',
    1: 'found invalid values',
    2: 'invalid usage or settings',
    3: 'could not be determined: ClickHouse did not answer',
  },
  run: async ({ options: { symbol, day, timeout } }) => {
    if (day !== undefined && new Date(Date.parse(`${day}T00:00:00Z`) || 0).toISOString().slice(0, 10) !== day) {
      throw configError([usage('npm run quality', '--day', `"${day}"`, 'a date such as 2026-11-25')])
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
