#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/** Restores archived days of a market table, or a whole database from a backup. Verifies the data, and adds no duplicates. */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether, timeoutFlag } from './lib/command/flags.mts'

const NAME = 'npm run restore --'

await runCommand({
  name: NAME,
  summary: `Restores days that npm run archive wrote: compares each file with the manifest, loads it into a scratch table, compares that
too, and moves it into the market table in one step. Days that are already present stay unchanged.
With --backup, restores a whole database that npm run backup wrote, into tables that are missing or empty.`,
  options: {
    backup: {
      type: 'string',
      value: 'NAME',
      help: 'restore this backup of a whole database; or the latest one: --backup latest',
    },
    table: { type: 'string', value: 'T', help: 'market_ticks, market_l1, market_l2 or market_metrics' },
    from: {
      type: 'string',
      value: 'DIR|s3://…',
      help: 'the folder of the archive or backups; or s3://BUCKET/PREFIX',
    },
    day: { type: 'list', value: 'DAY', help: 'only these days, such as 2026-11-25 (default: all archived days)' },
    yes: { type: 'boolean', help: 'do not ask before changing a target that is not on this machine' },
    'dry-run': { type: 'boolean', help: 'show what would be restored, and change nothing' },
    timeout: timeoutFlag(3600, 'for each query, and for each chunk of a file'),
  },
  example: 'npm run restore -- --table market_l2 --from ../archive --day 2026-10-05',
  exitCodes: {
    0: 'the days or the database are present',
    1: 'declined, or something was refused: a damaged file, or conflicting rows',
    2: 'invalid usage or settings, a day that is not archived, or no such backup',
    3: 'could not be determined: no answer from ClickHouse or the S3 server, or another backup or restore is running',
  },
  run: async ({ options, log }) => {
    const { backup, table, from, yes, 'dry-run': dryRun, day, timeout } = options
    const { checkFlags, checkFolder, renderRestored } = await import('./lib/archive/report.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    if (backup !== undefined) {
      refuseTogether({ '--backup': true, '--table': table !== undefined, '--day': day.length > 0 }, `${NAME} --help`)
      const folder = checkFolder(NAME, '--from', from)
      const { renderRestored } = await import('./lib/backup/report.mts')
      const { restoreDatabase } = await import('./lib/backup/restore.mts')
      const request = { folder, backup, dryRun, timeoutMs: timeout * 1000, log }
      const restored = await restoreDatabase(readSettings(), request)
      const { name, tables, findings } = restored
      return { findings, text: renderRestored(restored), data: { backup: name, tables } }
    }
    const days = day.map((each): [string, string] => ['--day', each])
    const { name, folder } = checkFlags(NAME, table, ['--from', from], days)
    const { restoreDays } = await import('./lib/archive/restore.mts')
    const { DECLINED, mayChange } = await import('./lib/command/target.mts')
    const settings = readSettings()
    if (!dryRun && !(await mayChange(settings, ['clickhouse'], { yes, command: NAME, log }))) return DECLINED
    const request = { table: name, folder, days: day, dryRun, timeoutMs: timeout * 1000, log }
    const restored = await restoreDays(settings, request)
    const text = `${name}\n${renderRestored(restored.days)}`
    return { findings: restored.findings, text, data: { table: name, days: restored.days } }
  },
})
