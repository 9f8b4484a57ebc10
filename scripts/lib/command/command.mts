/** The contract that every command keeps: --help, --json, exit codes, and where output goes. */
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
import { redact } from '../common/secrets.mts'
import { type HelpSpec, helpText, type OptionSpec, parseFlags, type ValuesOf } from './flags.mts'

export interface Context<O extends Record<string, OptionSpec>> {
  options: ValuesOf<O>
  /** Arguments that belong to no flag; only for commands that declare `arguments`. */
  args: string[]
  /** Progress and logs: one line on stderr. */
  log: (line: string) => void
  /** Colours for stdout. */
  paint: Paint
  json: boolean
}

export interface Report {
  findings: Finding[]
  /** Lines for people, on stdout before the findings. */
  text?: string
  /** What `--json` prints beside the findings. */
  data?: Record<string, unknown>
  /** Set when the findings do not say it: 1 for "declined" or "drift". */
  exitCode?: ExitCode
}

export interface CommandSpec<O extends Record<string, OptionSpec>> extends HelpSpec {
  options: O
  run: (context: Context<O>) => Promise<Report>
}

/**
 * Runs a command on the process's own argv and streams and sets `process.exitCode`. A mistake of the user's never shows a
 * stack trace; a mistake of ours does, with exit code 3.
 */
export async function runCommand<O extends Record<string, OptionSpec>>(spec: CommandSpec<O>): Promise<void> {
  const argv = process.argv.slice(2)
  const json = argv.includes('--json')
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (failure: NodeJS.ErrnoException) => {
      // A reader that closed the pipe early, as `head` does, is no failure.
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
    // As a variable, so that everything in this process reads the same settings.
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
  const hint = 'this is a defect of the command: please report it with the lines above'
  return { findings: [unknown('INTERNAL', name, { found, hint })], exitCode: 3 }
}
