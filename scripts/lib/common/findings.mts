/** What the commands find, how it reads, and the exit code that it means. Text and JSON come from the same findings. */

import { redact } from './secrets.mts'

/** `error`: known to be bad. `unknown`: could not be determined. `warning`: worth a look, does not fail a command. */
export type Severity = 'error' | 'unknown' | 'warning'

export interface Finding {
  severity: Severity
  /** Stable name for programs, such as `REDIS_NO_PONG`. */
  code: string
  /** What it is about: a service, topic, table, port, or file and line. */
  subject: string
  found: string
  /** What should be there instead, where two values are compared. */
  expected?: string | undefined
  /** The command that fixes it, or the next step to take. */
  hint: string
}

type Details = Pick<Finding, 'found' | 'expected' | 'hint'>

const making =
  (severity: Severity) =>
  (code: string, subject: string, { found, expected, hint }: Details): Finding => ({
    severity,
    code,
    subject,
    // What was found often comes from outside.
    found: redact(found),
    ...(expected === undefined ? {} : { expected }),
    hint,
  })

/** A finding that is known to be bad. */
export const error = making('error')
/** A finding that is worth a look and fails nothing. */
export const warning = making('warning')
/** A finding about what could not be determined. */
export const unknown = making('unknown')

/** 0 good · 1 bad or declined · 2 wrong use or configuration · 3 could not tell. */
export type ExitCode = 0 | 1 | 2 | 3

/** A failure that ends a command: what was found, as findings, and the exit code it means. */
export class OpsError extends Error {
  readonly findings: Finding[]
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, findings: Finding[], cause?: unknown) {
    super(findings.map(sentence).join('\n'), { cause })
    this.name = 'OpsError'
    this.exitCode = exitCode
    this.findings = findings
  }
}

/** An {@link OpsError} for wrong use or configuration: exit code 2. */
export const configError = (findings: Finding[]): OpsError => new OpsError(2, findings)

/** An {@link OpsError} for something that could not be determined: exit code 3. */
export const cannotTell = (finding: Finding, cause?: unknown): OpsError => new OpsError(3, [finding], cause)

/** The exit code that findings mean: 1 if anything is bad, else 3 if anything could not be determined, else 0. */
export function exitCodeOf(findings: readonly Finding[]): ExitCode {
  if (findings.some(({ severity }) => severity === 'error')) return 1
  return findings.some(({ severity }) => severity === 'unknown') ? 3 : 0
}

/** The finding in one line, without its hint. */
export function sentence({ subject, found, expected }: Finding): string {
  return expected === undefined ? `${subject}: ${found}` : `${subject}: found ${found}, expected ${expected}`
}

/** The text of an error and of its causes, for a `found` field. Never a stack trace. */
export function reason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reason(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  const own = error.message || error.name
  return error.cause instanceof Error && !own.includes(error.cause.message) ? `${own} (${reason(error.cause)})` : own
}

export type Paint = (style: 'red' | 'green' | 'yellow' | 'dim' | 'bold', text: string) => string

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const

/**
 * A function that colours text for `stream`: only on a terminal, with NO_COLOR unset or empty and TERM not `dumb`.
 * @see https://no-color.org
 */
export function paintFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  const on = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (style, text) => (on ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text)
}

const MARKS = { error: ['red', '✗'], unknown: ['yellow', '?'], warning: ['yellow', '!'] } as const

/** Findings as text for people: a sentence each, then its hint. A hint that several have in turn comes once, after the last of them. */
export function renderFindings(findings: readonly Finding[], paint: Paint): string {
  return findings
    .flatMap((finding, index) => {
      const [style, mark] = MARKS[finding.severity]
      const line = `${paint(style, mark)} ${sentence(finding)} ${paint('dim', `[${finding.code}]`)}`
      return findings[index + 1]?.hint === finding.hint ? [line] : [line, `    → ${finding.hint}`]
    })
    .join('\n')
}
