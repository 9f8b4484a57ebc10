#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Plays recorded or synthetic market data into the raw topics. It sends messages and changes nothing else; Parquet files pass through a
 * temporary table in ClickHouse.
 */
import { refuseTogether, runCommand } from './lib/command/command.mts'
import { configError, error, type Finding } from './lib/common/findings.mts'
import { KINDS, type Kind } from './lib/replay/fields.mts'
import type { Pace } from './lib/replay/play.mts'
import { renderPlayed, replay } from './lib/replay/replay.mts'
import { isZone } from './lib/replay/time.mts'
import { readSettings } from './lib/settings/settings.mts'

await runCommand({
  name: 'npm run replay --',
  summary: `Plays JSON, CSV or Parquet recordings into the raw topics: keyed by symbol, every message acknowledged, several files merged
by time. With --generate it sends synthetic market data instead: consistent books, quotes and trades, source "generated".`,
  arguments: {
    value: 'FILE…',
    help: 'recordings: .jsonl .ndjson .json .csv, also .gz or .zst; .parquet; - for standard input',
  },
  options: {
    generate: { type: 'boolean', help: 'generate synthetic market data instead of reading files' },
    speed: {
      type: 'number',
      value: 'TIMES',
      min: 0.001,
      max: 1e6,
      help: 'speed relative to the recorded times (default 1)',
    },
    rate: {
      type: 'number',
      value: 'N',
      min: 0.001,
      max: 1e6,
      help: 'send N messages a second, whatever the recorded times',
    },
    fast: { type: 'boolean', help: 'send as fast as possible' },
    'max-gap': {
      type: 'number',
      value: 'SECONDS',
      min: 0,
      max: 1e9,
      help: 'shorten longer gaps between messages to this',
    },
    kind: {
      type: 'string',
      value: KINDS.join('|'),
      help: 'what the files hold; needed only if their columns do not show it',
    },
    symbol: {
      type: 'string',
      value: 'SYMBOL',
      help: 'symbol of rows that have none (default: from names like AAPL_ticks_20250728.csv)',
    },
    timezone: {
      type: 'string',
      value: 'ZONE',
      help: 'zone of times without an offset, such as America/New_York (default UTC)',
    },
    strict: { type: 'boolean', help: 'stop at the first line that cannot be used' },
    // Their defaults stand only here: a value that is given is refused where it has no effect.
    symbols: { type: 'number', value: 'N', min: 1, max: 10_000, help: 'symbols to generate (default 20)' },
    count: { type: 'number', value: 'N', min: 1, max: 1e9, help: 'messages to generate (default 60000)' },
    seed: {
      type: 'number',
      value: 'N',
      min: 0,
      max: 4_294_967_295,
      help: 'seed of the generator; the same seed gives the same data (default 1)',
    },
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 1,
      max: 3600,
      default: 120,
      help: 'how long to wait while Kafka does not answer',
    },
  },
  example: 'npm run replay -- --generate --rate 1000',
  exitCodes: {
    0: 'every usable line was acknowledged; unusable lines are counted and named',
    1: 'stopped early (Ctrl-C, or an unusable line with --strict), or nothing could be sent',
    2: 'wrong use or settings, or a file that cannot be read or has no usable line',
    3: 'could not tell: Kafka did not answer; the last batch may have arrived or not',
  },
  run: async ({ options, args: files, log, paint }) => {
    const { generate, fast, speed = 1, rate, kind, symbol, timezone, symbols = 20, count = 60_000, seed = 1 } = options
    const maxGapSeconds = options['max-gap']
    const hint = 'npm run replay -- --help'
    const given = (name: keyof typeof options) => options[name] !== undefined
    refuseTogether({ '--fast': fast, '--rate': given('rate'), '--speed': given('speed') }, hint)
    for (const name of ['fast', 'rate'] as const)
      refuseTogether(
        { [`--${name}`]: options[name] !== undefined && options[name] !== false, '--max-gap': given('max-gap') },
        hint,
      )
    for (const name of ['kind', 'symbol', 'timezone', 'max-gap'] as const)
      refuseTogether({ '--generate': generate, [`--${name}`]: given(name) }, hint)
    const ofMarkets = { generate, symbols: given('symbols'), count: given('count'), seed: given('seed') }
    for (const [name, is] of Object.entries(ofMarkets))
      refuseTogether({ 'FILE…': files.length > 0, [`--${name}`]: is }, hint)
    const wrong: Finding[] = []
    const report = (subject: string, found: string, expected: string) =>
      wrong.push(error('USAGE', subject, { found, expected, hint }))
    if (!generate && files.length === 0) report('FILE…', 'none', 'files, or --generate')
    if (kind !== undefined && !KINDS.includes(kind as Kind)) report('--kind', `"${kind}"`, KINDS.join(', '))
    if (timezone !== undefined && !isZone(timezone))
      report('--timezone', `"${timezone}"`, 'an IANA name such as America/New_York')
    if (symbol !== undefined && symbol.trim() !== symbol) report('--symbol', `"${symbol}"`, 'no spaces around it')
    if (files.filter((file) => file === '-').length > 1) report('-', 'standard input twice', 'once')
    if (wrong.length > 0) throw configError(wrong)
    const spread: Pace =
      rate === undefined ? { kind: 'recorded', speed, maxGapSeconds } : { kind: 'rate', perSecond: rate }
    const { played, ...outcome } = await replay(readSettings(), {
      files,
      kind: kind as Kind | undefined,
      symbol,
      timezone,
      market: generate ? { symbols, count, seed } : undefined,
      pace: fast ? { kind: 'fast' } : spread,
      strict: options.strict,
      timeoutMs: options.timeout * 1000,
      log,
    })
    return { ...outcome, text: renderPlayed(played, paint) }
  },
})
