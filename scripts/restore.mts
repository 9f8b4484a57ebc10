#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/** Brings archived days of a market table back, verified and each at once. Adds nothing that is there already. */
import { runCommand, usage } from './lib/command/command.mts'

const NAME = 'npm run restore --'

await runCommand({
  name: NAME,
  summary: `Brings days back that npm run archive wrote: compares each file with the manifest, reads it into a scratch table, compares that
too, and moves it into the market table at once. A day that is there already stays as it is.`,
  options: {
    table: { type: 'string', value: 'T', help: 'market_ticks, market_l1, market_l2 or market_metrics' },
    from: { type: 'string', value: 'DIR', help: 'the folder of the archive' },
    day: { type: 'list', value: 'DAY', help: 'only these days, such as 2026-11-25 (default: all that are archived)' },
    yes: { type: 'boolean', help: 'do not ask before a target that is not on this machine is changed' },
    'dry-run': { type: 'boolean', help: 'show which days would be restored, and change nothing' },
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 1,
      max: 86_400,
      default: 3600,
      help: 'for each query, and for each piece of a file',
    },
  },
  example: 'npm run restore -- --table market_l2 --from ../archive --day 2026-10-05',
  exitCodes: {
    0: 'the days are there',
    1: 'declined, or a day was refused: a damaged file, or rows in its way',
    2: 'wrong use or settings, or a day that is not archived',
    3: 'could not tell: ClickHouse gives no answer',
  },
  run: async ({ options, log }) => {
    const { yes, 'dry-run': dryRun, day, timeout } = options
    const { checkFlags, renderRestored } = await import('./lib/archive/report.mts')
    const mistake = (flag: string, found: string, expected: string) => usage(NAME, flag, found, expected)
    const days = day.map((each): [string, string] => ['--day', each])
    const { name, folder } = checkFlags(mistake, { name: options.table, folder: ['--from', options.from], days })
    const path = await import('node:path')
    const { restoreDays } = await import('./lib/archive/restore.mts')
    const { DECLINED, mayChange } = await import('./lib/command/target.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    if (!dryRun && !(await mayChange(settings, ['clickhouse'], { yes, command: NAME, log }))) return DECLINED
    const restored = await restoreDays(settings, {
      table: name,
      folder: path.resolve(folder),
      days: day,
      dryRun,
      timeoutMs: timeout * 1000,
      log,
    })
    const text = `${name}\n${renderRestored(restored.days)}`
    return { findings: restored.findings, text, data: { table: name, days: restored.days } }
  },
})
