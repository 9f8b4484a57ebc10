#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Writes old days of a market table as Parquet files, reads them back and compares, then drops the partitions that they make up, after a
 * question. Run again after an interruption, it finishes.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether, timeoutFlag } from './lib/command/flags.mts'

const NAME = 'npm run archive --'

await runCommand({
  name: NAME,
  summary: `Writes the days of a market table before a day as Parquet, a file a day, reads each back and compares it with the table.
Then asks whether to drop the partitions whose days are all archived, and drops what is proven.
If it is interrupted, the next run finishes it; npm run restore brings days back.`,
  options: {
    table: { type: 'string', value: 'T', help: 'market_ticks, market_l1, market_l2 or market_metrics' },
    before: { type: 'string', value: 'DAY', help: 'the first day that is not archived, such as 2026-11-25 (UTC)' },
    to: {
      type: 'string',
      value: 'DIR|s3://…',
      help: 'the folder of the archive: DIR/T/DAY.parquet, and a manifest; or s3://BUCKET/PREFIX',
    },
    keep: { type: 'boolean', help: 'drop nothing, and do not ask' },
    yes: {
      type: 'boolean',
      help: 'do not ask before proven partitions are dropped; needed where there is no terminal',
    },
    'dry-run': { type: 'boolean', help: 'show what would be written and dropped, and change nothing' },
    timeout: timeoutFlag(3600, 'for each query, and for each file'),
  },
  example: 'npm run archive -- --table market_l2 --before 2026-11-01 --to ../archive',
  exitCodes: {
    0: 'the days are archived; without --keep and --dry-run their partitions are dropped too',
    1: 'declined, or something was refused: nothing unproven was dropped',
    2: 'wrong use or settings',
    3: 'could not tell: ClickHouse or the S3 server gives no answer',
  },
  run: async ({ options, log }) => {
    const { keep, yes, 'dry-run': dryRun, before, timeout } = options
    refuseTogether({ '--keep': keep, '--yes': yes, '--dry-run': dryRun }, `${NAME} --help`)
    const { checkFlags, renderDays, renderQuestion } = await import('./lib/archive/report.mts')
    const { name, folder } = checkFlags(NAME, options.table, ['--to', options.to], [['--before', before]])
    const { archiveTable } = await import('./lib/archive/archive.mts')
    const { confirmWord, requireTerminal } = await import('./lib/command/confirm.mts')
    const { nameRemote } = await import('./lib/command/target.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    if (!keep && !yes && !dryRun) requireTerminal('archive', 'no terminal to ask on', 'add --yes, --keep or --dry-run')
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
        return confirmWord('Type "drop" to go on [No]: ', 'drop')
      },
    })
    const { days, partitions, findings, declined } = archived
    const no = declined && !keep
    const dropped = partitions.filter(({ state }) => state === 'dropped')
    const ids = (list: typeof partitions) => list.map(({ partition }) => partition).join(', ')
    const outcome = no
      ? 'Declined: the files stay, and nothing was dropped'
      : dropped.length > 0
        ? `Dropped: ${ids(dropped)}`
        : partitions.length > 0
          ? `Archived as a whole, not dropped: ${ids(partitions)}`
          : 'No partition is archived as a whole: none was dropped'
    const text = [`${name} before ${before}`, days.length > 0 ? renderDays(archived) : 'No rows', outcome].join('\n')
    return {
      findings,
      text,
      data: { table: name, days, partitions, declined: no },
      ...(no ? { exitCode: 1 as const } : {}),
    }
  },
})
