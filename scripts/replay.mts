#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Plays recorded market data, or a generated market, into the raw topics. It sends messages and changes nothing else; Parquet files pass
 * through a temporary table of ClickHouse's.
 */
import { refuseTogether, runCommand } from './lib/command/command.mts'
import { configError, type Finding } from './lib/common/findings.mts'
import type { Kind } from './lib/replay/fields.mts'
import type { Pace } from './lib/replay/play.mts'
import { renderPlayed, replay } from './lib/replay/replay.mts'
import { readSettings } from './lib/settings/settings.mts'

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
      help: 'so many times as fast as it happened (default 1)',
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
    // Their defaults are said here alone: one that is given is refused where it would mean nothing.
    symbols: { type: 'number', value: 'N', min: 1, max: 10_000, help: 'generated symbols (default 20)' },
    count: { type: 'number', value: 'N', min: 1, max: 1e9, help: 'generated messages (default 60000)' },
    seed: {
      type: 'number',
      value: 'N',
      min: 0,
      max: 4_294_967_295,
      help: 'equal seeds make equal markets (default 1)',
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
  run: async ({ options, args: files, log, paint }) => {
    const { generate, fast, speed = 1, rate, kind, symbols = 20, count = 60_000, seed = 1 } = options
    const hint = 'npm run replay -- --help'
    const given = (name: keyof typeof options) => options[name] !== undefined
    refuseTogether({ '--fast': fast, '--rate': given('rate'), '--speed': given('speed') }, hint)
    refuseTogether({ '--generate': generate, '--kind': given('kind') }, hint)
    const ofMarkets = { generate, symbols: given('symbols'), count: given('count'), seed: given('seed') }
    for (const [name, is] of Object.entries(ofMarkets))
      refuseTogether({ 'FILE…': files.length > 0, [`--${name}`]: is }, hint)
    const wrong: Omit<Finding, 'severity'>[] = []
    const report = (subject: string, found: string, expected: string) =>
      wrong.push({ code: 'USAGE', subject, found, expected, hint })
    if (!generate && files.length === 0) report('FILE…', 'none', 'files, or --generate')
    if (kind !== undefined && !KINDS.includes(kind)) report('--kind', `"${kind}"`, KINDS.join(', '))
    if (wrong.length > 0) throw configError(wrong)
    const spread: Pace = rate === undefined ? { kind: 'recorded', speed } : { kind: 'rate', perSecond: rate }
    const { played, ...outcome } = await replay(readSettings(), {
      files,
      kind: kind as Kind | undefined,
      market: generate ? { symbols, count, seed } : undefined,
      pace: fast ? { kind: 'fast' } : spread,
      strict: options.strict,
      timeoutMs: options.timeout * 1000,
      log,
    })
    return { ...outcome, text: renderPlayed(played, paint) }
  },
})
