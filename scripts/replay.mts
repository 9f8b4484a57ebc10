#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Sends recorded or synthetic market data to the raw topics. Changes nothing else; Parquet files are read through a temporary table in
 * ClickHouse.
 */
import { runCommand } from './lib/command/command.mts'
import { NAME, OPTIONS, replayOptions } from './lib/replay/options.mts'

await runCommand({
  name: NAME,
  summary: `Sends JSON, CSV or Parquet recordings to the raw topics. Messages are keyed by symbol and acknowledged; several files are
merged by time. With --generate, sends synthetic market data instead: consistent books, quotes and trades, source "generated".`,
  arguments: {
    value: 'FILE…',
    help: 'recordings: .jsonl, .ndjson, .json or .csv, optionally with .gz or .zst; .parquet; - for standard input',
  },
  options: OPTIONS,
  example: 'npm run replay -- --generate --rate 1000',
  exitCodes: {
    0: 'all usable lines were acknowledged; unusable lines are counted and reported',
    1: 'stopped early (Ctrl-C, or an unusable line with --strict), or nothing could be sent',
    2: 'invalid usage or settings, or a file that cannot be read or has no usable line',
    3: 'could not be determined: Kafka did not answer, and may or may not have stored the last batch',
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
