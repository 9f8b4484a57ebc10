/** Implements what all commands share: --help, --json, exit codes, and which stream gets which output. */
import path from 'node:path'
import {
  type ExitCode,
  exitCodeOf,
  type Finding,
  OpsError,
  type Paint,
  paintFor,
  reason,
  renderFindings,
  unknown,
} from '../common/findings.mts'
import { redact } from '../common/redact.mts'
import { type HelpSpec, helpText, type OptionSpec, parseFlags, type ValuesOf } from './flags.mts'

export interface Context<O extends Record<string, OptionSpec>> {
  options: ValuesOf<O>
  /** Positional arguments; only for commands that declare `arguments`. */
  args: string[]
  /** Writes a line of progress to stderr. */
  log: (line: string) => void
  /** Colours for stdout. */
  paint: Paint
  json: boolean
}

export interface Report {
  findings: Finding[]
  /** Human-readable text, printed before the findings. */
  text?: string
  /** Further fields of the `--json` object. */
  data?: Record<string, unknown>
  /** Overrides the exit code that the findings imply, as for "declined" or "drift". */
  exitCode?: ExitCode
}

export interface CommandSpec<O extends Record<string, OptionSpec>> extends HelpSpec {
  options: O
  run: (context: Context<O>) => Promise<Report>
}

/**
 * Runs a command with the process's argv and streams, and sets `process.exitCode`. User errors never show a stack trace; defects of the
 * command do, with exit code 3.
 */
export async function runCommand<O extends Record<string, OptionSpec>>(spec: CommandSpec<O>): Promise<void> {
  const argv = process.argv.slice(2)
  const json = argv.includes('--json')
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (failure: NodeJS.ErrnoException) => {
      // A reader that closes the pipe early, as `head` does, is not a failure.
      if (failure.code === 'EPIPE') return
      process.exitCode = 3
      if (stream === process.stdout) process.stderr.write(`Cannot write to standard output: ${failure.message}\n`)
    })
  }
  let report: Report
  let failed = false
  try {
    const { options, args } = parseFlags(spec, argv)
    if (options.help) {
      process.stdout.write(`${helpText(spec)}\n`)
      return
    }
    // As an environment variable, so that all code in this process reads the same settings.
    if (options['env-file']) process.env.L2_ENV_FILE = path.resolve(options['env-file'])
    const log = (line: string) => process.stderr.write(`${redact(line)}\n`)
    report = await spec.run({ options, args, log, json, paint: paintFor(process.stdout, process.env) })
  } catch (failure) {
    failed = true
    report = failureReport(spec.name, failure)
  }
  const exitCode = report.exitCode ?? exitCodeOf(report.findings)
  process.exitCode = exitCode
  if (json) {
    const object = { version: 1, command: spec.name, exitCode, ...report.data, findings: report.findings }
    process.stdout.write(`${JSON.stringify(object, null, spec.isStream ? 0 : 2)}\n`)
    return
  }
  const stream = failed || spec.isStream ? process.stderr : process.stdout
  const text = [report.text, renderFindings(report.findings, paintFor(stream, process.env))].filter(Boolean).join('\n')
  if (text) stream.write(`${text}\n`)
}

function failureReport(name: string, failure: unknown): Report {
  if (failure instanceof OpsError) return { findings: failure.findings, exitCode: failure.exitCode }
  const found = failure instanceof Error ? (failure.stack ?? reason(failure)) : reason(failure)
  const hint = 'this is a bug in the command: please report it with the lines above'
  return { findings: [unknown('INTERNAL', name, { found, hint })], exitCode: 3 }
}
