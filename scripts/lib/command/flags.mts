/** Declares and parses the flags of commands, and renders their help. */

import { parseArgs } from '../common/builtins.mts'
import { configError, type ExitCode, error, type Finding } from '../common/findings.mts'
import { nearest } from '../common/nearest.mts'
import { table } from '../common/table.mts'

/**
 * `list` takes every value up to the next flag: `--only redis kafka`. `number` must be within its bounds, and an integer if `whole`.
 * A `hidden` flag works but is not in the help. `short` is one letter, as in `-n`.
 */
export type OptionSpec = { help: string; hidden?: true; short?: string } & (
  | { type: 'boolean' }
  | { type: 'string'; value: string; default?: string }
  | { type: 'list'; value: string }
  | { type: 'number'; value: string; min: number; max: number; whole?: true; default?: number }
)

/** Declares --timeout with its default and maximum in seconds; the maximum is a day unless given. */
export const timeoutFlag = (seconds: number, help: string, max = 86_400) =>
  ({ type: 'number', value: 'SECONDS', min: 1, max, default: seconds, help }) as const

type ValueOf<O extends OptionSpec> = O extends { type: 'boolean' }
  ? boolean
  : O extends { type: 'list' }
    ? string[]
    : O extends { type: 'number' }
      ? O extends { default: number }
        ? number
        : number | undefined
      : O extends { default: string }
        ? string
        : string | undefined

export type ValuesOf<O extends Record<string, OptionSpec>> = { [K in keyof O]: ValueOf<O[K]> }

/** What `--help` shows. */
export interface HelpSpec {
  name: string
  /** What the command does, in one to three lines. */
  summary: string
  options: Record<string, OptionSpec>
  /** Placeholder and help of positional arguments, if the command takes any. */
  arguments?: { value: string; help: string }
  example: string
  /**
   * The command itself writes its output to stdout, line by line; with `--json` each line is an object. Findings then go to stderr; with
   * `--json` the report is the last line of stdout.
   */
  isStream?: true
  exitCodes: Record<ExitCode, string>
}

const STANDARD = {
  'env-file': { type: 'string', value: 'PATH', help: 'read this file instead of .env' },
  json: { type: 'boolean', help: 'print one JSON object on stdout, and nothing else there' },
  help: { type: 'boolean', help: 'show this help' },
} as const satisfies Record<string, OptionSpec>

const STREAM_JSON: OptionSpec = {
  type: 'boolean',
  help: 'print only JSON objects on stdout, one per line; the last has the exit code and findings',
}

/** Returns the text of `--help`. */
export function helpText(spec: HelpSpec): string {
  const json = spec.isStream ? STREAM_JSON : STANDARD.json
  const options = Object.entries<OptionSpec>({ ...spec.options, ...STANDARD, json })
    .filter(([, { hidden }]) => !hidden)
    .map(([name, option]): [string, string] => {
      const value = option.type === 'boolean' ? '' : ` ${option.value}${option.type === 'list' ? '…' : ''}`
      const fallback = 'default' in option && option.default !== undefined ? ` (default ${option.default})` : ''
      const short = option.short ? `, -${option.short}${value}` : ''
      return [`--${name}${value}${short}`, `${option.help}${fallback}`]
    })
  if (spec.arguments) options.unshift([spec.arguments.value, spec.arguments.help])
  return [
    `Usage: ${spec.name} [options]${spec.arguments ? ` ${spec.arguments.value}` : ''}`,
    '',
    spec.summary,
    '',
    'Options:',
    table(options),
    '',
    'Exit codes:',
    table(Object.entries(spec.exitCodes)),
    '',
    `Example: ${spec.example}`,
  ].join('\n')
}

/**
 * Parses and checks the flags in `argv`.
 * @throws {OpsError} exit code 2, with a finding for every invalid flag or value
 */
export function parseFlags<O extends Record<string, OptionSpec>>(
  spec: Pick<HelpSpec, 'name' | 'arguments'> & { options: O },
  argv: string[],
): { options: ValuesOf<O & typeof STANDARD>; args: string[] } {
  const declared: Record<string, OptionSpec> = { ...spec.options, ...STANDARD }
  const wrong: Finding[] = []
  const report = (subject: string, found: string, expected?: string) =>
    wrong.push(usage(spec.name, subject, found, expected))
  const { tokens } = parseArgs({
    args: argv,
    options: Object.fromEntries(
      Object.entries(declared).map(([name, { type, short }]) => [
        name,
        { type: type === 'boolean' ? type : 'string', ...(short === undefined ? {} : { short }) },
      ]),
    ),
    strict: false,
    tokens: true,
  })
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(declared).map(([name, option]) => [
      name,
      option.type === 'boolean' ? false : option.type === 'list' ? [] : option.default,
    ]),
  )
  const args: string[] = []
  let openList: string[] | undefined
  for (const token of tokens) {
    if (token.kind === 'option-terminator') openList = undefined
    if (token.kind === 'positional') {
      if (openList) openList.push(...splitNames(token.value))
      else if (spec.arguments) args.push(token.value)
      else report(`argument "${token.value}"`, 'this command takes no arguments')
    }
    if (token.kind !== 'option') continue
    openList = undefined
    const option = Object.hasOwn(declared, token.name) ? declared[token.name] : undefined
    if (!option) {
      const meant = nearest(token.name, Object.keys(declared))
      report(token.rawName, `unknown flag${meant === undefined ? '' : `; did you mean --${meant}?`}`)
    } else if (option.type === 'boolean') {
      if (token.value === undefined) values[token.name] = true
      else report(token.rawName, `the value "${token.value}"`, 'no value')
    } else if (!token.value || !/[^,]/.test(token.value) || (!token.inlineValue && token.value.startsWith('--'))) {
      // Only commas count as empty too: `--only "$TOPIC"` with an empty TOPIC must not mean all topics.
      report(token.rawName, 'no value', option.value)
    } else if (option.type === 'list') {
      openList = values[token.name] as string[]
      openList.push(...splitNames(token.value))
    } else if (option.type === 'number') {
      const number = (option.whole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(token.value) ? Number(token.value) : Number.NaN
      const kind = option.whole ? 'an integer' : 'a number'
      if (number >= option.min && number <= option.max) values[token.name] = number
      else report(token.rawName, `"${token.value}"`, `${kind} from ${option.min} to ${option.max}`)
    } else values[token.name] = token.value
  }
  if (wrong.length > 0) throw configError(wrong)
  return { options: values as ValuesOf<O & typeof STANDARD>, args }
}

/** Returns a finding about wrong usage, which refers to the command's help. */
export function usage(command: string, subject: string, found: string, expected?: string): Finding {
  return error('USAGE', subject, { found, expected, hint: `${command} --help` })
}

/** @throws {OpsError} exit code 2 when more than one of these flags is given */
export function refuseTogether(given: Record<string, boolean>, hint: string): void {
  const flags = Object.keys(given).filter((flag) => given[flag])
  if (flags.length < 2) return
  throw configError([error('USAGE', flags.join(' '), { found: 'together', expected: 'one of them', hint })])
}

function splitNames(value: string): string[] {
  return value.split(',').filter((name) => name !== '')
}
