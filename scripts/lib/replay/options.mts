/** The flags of `npm run replay`. */
import { type OptionSpec, refuseTogether, timeoutFlag, usage, type ValuesOf } from '../command/flags.mts'
import { configError, type Finding } from '../common/findings.mts'
import { isZone } from '../common/time.mts'
import { KINDS, type Kind } from './fields.mts'
import type { Pace } from './play.mts'
import type { ReplayOptions } from './replay.mts'

export const NAME = 'npm run replay --'

export const OPTIONS = {
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
    help: 'send N messages per second, regardless of the recorded times',
  },
  fast: { type: 'boolean', help: 'send as fast as possible' },
  'max-gap': {
    type: 'number',
    value: 'SECONDS',
    min: 0,
    max: 1e9,
    help: 'shorten gaps between messages to at most this',
  },
  kind: {
    type: 'string',
    value: KINDS.join('|'),
    help: 'kind of data in the files (default: determined by their columns)',
  },
  symbol: {
    type: 'string',
    value: 'SYMBOL',
    help: 'symbol of rows without one (default: from file names like AAPL_ticks_20250728.csv)',
  },
  timezone: {
    type: 'string',
    value: 'ZONE',
    help: 'time zone of times without an offset, such as America/New_York (default UTC)',
  },
  strict: { type: 'boolean', help: 'stop at the first unusable line' },
  yes: { type: 'boolean', help: 'do not ask for confirmation of a target that is not on this machine' },
  // Without `default`, so that an explicit value is known as such and is refused where it has no effect.
  symbols: { type: 'number', value: 'N', min: 1, max: 10_000, help: 'symbols to generate (default 20)' },
  count: { type: 'number', value: 'N', min: 1, max: 1e9, help: 'messages to generate (default 60000)' },
  seed: {
    type: 'number',
    value: 'N',
    min: 0,
    max: 4_294_967_295,
    help: 'seed of the generator; the same seed gives the same data (default 1)',
  },
  timeout: timeoutFlag(120, 'how long to wait while Kafka does not answer', 3600),
} as const satisfies Record<string, OptionSpec>

/**
 * Converts the flags and files of a command line to options.
 * @throws {OpsError} exit code 2, for mutually exclusive flags and invalid values
 */
export function replayOptions(options: ValuesOf<typeof OPTIONS>, files: string[]): Omit<ReplayOptions, 'log'> {
  const { generate, fast, speed = 1, rate, kind, symbol, timezone, symbols = 20, count = 60_000, seed = 1 } = options
  const exclude = (given: Record<string, unknown>) =>
    refuseTogether(
      Object.fromEntries(Object.entries(given).map(([flag, value]) => [flag, Boolean(value ?? false) || value === 0])),
      `${NAME} --help`,
    )
  const maxGapSeconds = options['max-gap']
  exclude({ '--fast': fast, '--rate': rate, '--speed': options.speed })
  exclude({ '--fast': fast, '--max-gap': maxGapSeconds })
  exclude({ '--rate': rate, '--max-gap': maxGapSeconds })
  for (const name of ['kind', 'symbol', 'timezone', 'max-gap'] as const)
    exclude({ '--generate': generate, [`--${name}`]: options[name] })
  for (const name of ['generate', 'symbols', 'count', 'seed'] as const)
    exclude({ 'FILE…': files.length > 0, [`--${name}`]: options[name] })
  const wrong: Finding[] = []
  const report = (subject: string, found: string, expected: string) => wrong.push(usage(NAME, subject, found, expected))
  if (!generate && files.length === 0) report('FILE…', 'none', 'files, or --generate')
  if (kind !== undefined && !KINDS.includes(kind as Kind)) report('--kind', `"${kind}"`, KINDS.join(', '))
  if (timezone !== undefined && !isZone(timezone))
    report('--timezone', `"${timezone}"`, 'an IANA name such as America/New_York')
  if (symbol !== undefined && symbol.trim() !== symbol) report('--symbol', `"${symbol}"`, 'no spaces around it')
  if (files.filter((file) => file === '-').length > 1) report('-', 'standard input twice', 'once')
  if (wrong.length > 0) throw configError(wrong)
  const timed: Pace =
    rate === undefined ? { kind: 'recorded', speed, maxGapSeconds } : { kind: 'rate', perSecond: rate }
  return {
    files,
    kind: kind as Kind | undefined,
    symbol,
    timezone,
    market: generate ? { symbols, count, seed } : undefined,
    pace: fast ? { kind: 'fast' } : timed,
    strict: options.strict,
    timeoutMs: options.timeout * 1000,
  }
}
