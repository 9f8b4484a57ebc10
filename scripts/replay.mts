#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Plays recorded market data, or a generated market, into the raw topics. It sends messages and changes nothing else; Parquet files pass
 * through a temporary table of ClickHouse's.
 */
import { runCommand } from './lib/cli.mts'
import { configError, type Finding } from './lib/findings.mts'
import type { Kind } from './lib/replay/fields.mts'
import { renderPlayed, replay } from './lib/replay/replay.mts'
import { readSettings } from './lib/settings.mts'

const KINDS = ['trades', 'quotes', 'l2']

await runCommand({
  name: 'npm run replay --',
  summary: `Plays JSON lines, CSV or Parquet files into the raw topics: keyed by symbol, lz4, every message acknowledged, several files
merged by time. With --generate a market that never was: books, quotes and trades that fit together, source "generated".`,
  arguments: { value: 'FILE…', help: 'recordings: .jsonl .ndjson .json .csv .parquet' },
  options: {
    generate: { type: 'boolean', help: 'play a generated market instead of files' },
    speed: {
      type: 'number',
      value: 'TIMES',
      min: 0.001,
      max: 1e6,
      default: 1,
      help: 'so many times as fast as it happened',
    },
    rate: {
      type: 'number',
      value: 'N',
      min: 0.001,
      max: 1e6,
      help: 'N messages a second instead, however far apart they happened',
    },
    fast: { type: 'boolean', help: 'as fast as it goes' },
    kind: { type: 'string', value: KINDS.join('|'), help: 'what the files hold, where their columns do not tell' },
    strict: { type: 'boolean', help: 'end at the first line that cannot be used' },
    symbols: { type: 'number', value: 'N', min: 1, max: 10_000, default: 20, help: 'generated symbols' },
    count: { type: 'number', value: 'N', min: 1, max: 1e9, default: 60_000, help: 'generated messages' },
    seed: {
      type: 'number',
      value: 'N',
      min: 0,
      max: 4_294_967_295,
      default: 1,
      help: 'equal seeds make equal markets',
    },
    timeout: { type: 'number', value: 'SECONDS', min: 1, max: 3600, default: 120, help: 'how long Kafka may be away' },
  },
  example: 'npm run replay -- --generate --rate 1000',
  exitCodes: {
    0: 'every usable line was acknowledged; lines that are not are counted and named',
    1: 'ended early: Ctrl-C, or with --strict a line that cannot be used',
    2: 'wrong use or settings, or a file that cannot be read',
    3: 'could not tell: Kafka stayed away, the last batch may be there or not',
  },
  run: async ({ options, args, log, paint }) => {
    const wrong: Omit<Finding, 'severity'>[] = []
    const report = (subject: string, found: string, expected: string) =>
      wrong.push({ code: 'USAGE', subject, found, expected, hint: 'npm run replay -- --help' })
    if (options.generate === args.length > 0)
      report('FILE…', options.generate ? 'files and --generate' : 'none', 'files, or --generate')
    if (options.fast && options.rate !== undefined) report('--fast --rate', 'both', 'one of them')
    if (options.kind !== undefined && !KINDS.includes(options.kind))
      report('--kind', `"${options.kind}"`, KINDS.join(', '))
    if (wrong.length > 0) throw configError(wrong)
    const { played, ...outcome } = await replay(readSettings(), {
      files: args,
      kind: options.kind as Kind | undefined,
      market: options.generate ? { symbols: options.symbols, count: options.count, seed: options.seed } : undefined,
      pace: options.fast
        ? { kind: 'fast' }
        : options.rate !== undefined
          ? { kind: 'rate', perSecond: options.rate }
          : { kind: 'recorded', speed: options.speed },
      strict: options.strict,
      timeoutMs: options.timeout * 1000,
      log,
    })
    return { ...outcome, text: renderPlayed(played, paint) }
  },
})
