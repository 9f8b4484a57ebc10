/** Findings: what commands report, as text and as JSON, and the exit codes that they imply. */

import { redact } from './redact.mts'

/** `error`: a known problem. `unknown`: could not be determined. `warning`: worth checking, does not fail the command. */
export type Severity = 'error' | 'unknown' | 'warning'

export interface Finding {
  severity: Severity
  /** Stable identifier for programs, such as `REDIS_NO_PONG`. */
  code: string
  /** The service, topic, table, port, or file and line that it concerns. */
  subject: string
  found: string
  /** The value required instead, where two values are compared. */
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
    // Often contains text from servers and other programs, which may include a secret.
    found: redact(found),
    ...(expected === undefined ? {} : { expected }),
    hint,
  })

export const error = making('error')
export const warning = making('warning')
export const unknown = making('unknown')

/** 0: success. 1: a problem was found, or the user declined. 2: invalid usage or configuration. 3: could not be determined. */
export type ExitCode = 0 | 1 | 2 | 3

/** A failure that ends a command, with its findings and exit code. */
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

/** Returns an {@link OpsError} for wrong usage or configuration: exit code 2. */
export const configError = (findings: Finding[]): OpsError => new OpsError(2, findings)

/** Returns an {@link OpsError} for something that could not be determined: exit code 3. */
export const cannotTell = (finding: Finding, cause?: unknown): OpsError => new OpsError(3, [finding], cause)

/** Returns 1 if any finding is an error, else 3 if any is unknown, else 0. */
export function exitCodeOf(findings: readonly Finding[]): ExitCode {
  if (findings.some(({ severity }) => severity === 'error')) return 1
  return findings.some(({ severity }) => severity === 'unknown') ? 3 : 0
}

/** Returns the finding as one line, without its hint. */
export function sentence({ subject, found, expected }: Finding): string {
  return expected === undefined ? `${subject}: ${found}` : `${subject}: found ${found}, expected ${expected}`
}

/** Returns the message of an error and of its causes, for a `found` field; never a stack trace. */
export function reason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reason(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  const text = error.message || error.name
  return error.cause instanceof Error && !text.includes(error.cause.message) ? `${text} (${reason(error.cause)})` : text
}

export type Paint = (style: 'red' | 'green' | 'yellow' | 'dim' | 'bold', text: string) => string

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const

/**
 * Returns a function that colours text for `stream`, if it is a terminal, NO_COLOR is unset or empty, and TERM is not `dumb`.
 * @see https://no-color.org
 */
export function paintFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  const on = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (style, text) => (on ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text)
}

const MARKS = { error: ['red', '✗'], unknown: ['yellow', '?'], warning: ['yellow', '!'] } as const

/** Renders findings as text: one line each, followed by its hint. Consecutive findings with the same hint show it once. */
export function renderFindings(findings: readonly Finding[], paint: Paint): string {
  return findings
    .flatMap((finding, index) => {
      const [style, mark] = MARKS[finding.severity]
      const line = `${paint(style, mark)} ${sentence(finding)} ${paint('dim', `[${finding.code}]`)}`
      return findings[index + 1]?.hint === finding.hint ? [line] : [line, `    → ${finding.hint}`]
    })
    .join('\n')
}
