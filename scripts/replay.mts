#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Plays recorded or synthetic market data into the raw topics. It sends messages and changes nothing else; Parquet files pass through a
 * temporary table in ClickHouse.
 */
import { runCommand } from './lib/command/command.mts'
import { NAME, OPTIONS, replayOptions } from './lib/replay/options.mts'

await runCommand({
  name: NAME,
  summary: `Plays JSON, CSV or Parquet recordings into the raw topics: keyed by symbol, every message acknowledged, several files merged
by time. With --generate it sends synthetic market data instead: consistent books, quotes and trades, source "generated".`,
  arguments: {
    value: 'FILE…',
    help: 'recordings: .jsonl .ndjson .json .csv, also .gz or .zst; .parquet; - for standard input',
  },
  options: OPTIONS,
  example: 'npm run replay -- --generate --rate 1000',
  exitCodes: {
    0: 'every usable line was acknowledged; unusable lines are counted and named',
    1: 'stopped early (Ctrl-C, or an unusable line with --strict), or nothing could be sent',
    2: 'wrong use or settings, or a file that cannot be read or has no usable line',
    3: 'could not tell: Kafka did not answer; the last batch may have arrived or not',
  },
  run: async ({ options, args, log, paint }) => {
    const choice = replayOptions(options, args)
    const { DECLINED, mayChange } = await import('./lib/command/target.mts')
    const { renderPlayed, replay } = await import('./lib/replay/replay.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    if (!(await mayChange(settings, ['kafka'], { yes: options.yes, command: NAME, log }))) return DECLINED
    const { played, ...outcome } = await replay(settings, { ...choice, log })
    return { ...outcome, text: renderPlayed(played, paint) }
  },
})
