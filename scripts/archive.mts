#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Archives old days of a market table as verified Parquet files, then asks whether to drop the archived partitions. After an interruption,
 * the next run resumes.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether, timeoutFlag } from './lib/command/flags.mts'

const NAME = 'npm run archive --'

await runCommand({
  name: NAME,
  summary: `Writes each day of a market table before a given day to a Parquet file, reads it back and compares it with the table.
Then asks whether to drop the partitions whose days are all archived, and verifies each one before it is dropped.
After an interruption, the next run resumes. npm run restore restores archived days.`,
  options: {
    table: { type: 'string', value: 'T', help: 'market_ticks, market_l1, market_l2 or market_metrics' },
    before: { type: 'string', value: 'DAY', help: 'archive the days before this one, such as 2026-11-25 (UTC)' },
    to: {
      type: 'string',
      value: 'DIR|s3://…',
      help: 'the archive: a folder or s3://BUCKET/PREFIX; stores T/DAY.parquet and a manifest',
    },
    keep: { type: 'boolean', help: 'drop nothing, and do not ask' },
    yes: {
      type: 'boolean',
      help: 'drop verified partitions without asking; without a terminal, this or --keep is required',
    },
    'dry-run': { type: 'boolean', help: 'show what would be written and dropped, and change nothing' },
    timeout: timeoutFlag(3600, 'deadline of each query and each file'),
  },
  example: 'npm run archive -- --table market_l2 --before 2026-11-01 --to ../archive',
  exitCodes: {
    0: 'the days are archived; without --keep and --dry-run their partitions are dropped too',
    1: 'declined, or a day or partition was refused; nothing unverified was dropped',
    2: 'invalid usage or settings',
    3: 'could not be determined: ClickHouse or the S3 server did not answer',
  },
  run: async ({ options, log }) => {
    const { keep, yes, 'dry-run': dryRun, before, timeout } = options
    refuseTogether({ '--keep': keep, '--yes': yes, '--dry-run': dryRun }, `${NAME} --help`)
    const { checkFlags, renderArchived, renderQuestion } = await import('./lib/archive/report.mts')
    const { name, folder } = checkFlags(NAME, options.table, ['--to', options.to], [['--before', before]])
    const { archiveTable } = await import('./lib/archive/archive.mts')
    const { confirmWord, requireTerminal } = await import('./lib/command/confirm.mts')
    const { nameRemote } = await import('./lib/command/target.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    if (!keep && !yes && !dryRun)
      requireTerminal('archive', 'no terminal to ask for confirmation', 'add --yes, --keep or --dry-run')
    const settings = readSettings()
    await nameRemote(settings, ['clickhouse'], log)
    const archived = await archiveTable(settings, {
      table: name,
      before: before as string,
      folder,
      dryRun,
      timeoutMs: timeout * 1000,
      log,
      mayDrop: async (partitions) => {
        if (keep || yes) return yes
        log(renderQuestion(name, partitions))
        return confirmWord('Type "drop" to drop them [No]: ', 'drop')
      },
    })
    const { days, partitions, findings, declined } = archived
    const isDeclined = declined && !keep
    return {
      findings,
      text: `${name} before ${before}\n${renderArchived(archived, { dryRun, isDeclined })}`,
      data: { table: name, days, partitions, declined: isDeclined },
      ...(isDeclined ? { exitCode: 1 as const } : {}),
    }
  },
})
