/** What a benchmark part is, and how its times are taken. */
import type { CommandOptions, Outcome } from '../test/support/command.mts'
import { runFile } from '../test/support/command.mts'

export interface Case {
  name: string
  /** Done before each run, and not measured. */
  prepare?: () => Promise<unknown>
  run: () => Promise<unknown>
}

export interface Measured {
  name: string
  medianMs: number
  /** In the order in which they were taken. */
  runsMs: number[]
}

/** How two medians of one run compare, and what is aimed at. */
export interface Ratio {
  name: string
  value: number
  atLeast?: number
  atMost?: number
}

export interface PartResult {
  measured: Measured[]
  ratios: Ratio[]
}

/** The middle one of an odd number of values, else the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2
}

/**
 * Times each case `rounds` times, in turn, so that a machine that gets slower or faster meanwhile does so for all of them. One more
 * round before goes unmeasured: it fills the caches of the file system and of the runner.
 */
export async function measure(cases: Case[], rounds: number, log: (line: string) => void): Promise<Measured[]> {
  const times = cases.map((): number[] => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { name, prepare, run }] of cases.entries()) {
      await prepare?.()
      const startMs = performance.now()
      await run()
      const tookMs = performance.now() - startMs
      if (round > 0) times[index]?.push(tookMs)
      log(`${round === 0 ? 'warm-up' : `${round} of ${rounds}`}: ${name} ${tookMs.toFixed(0)} ms`)
    }
  }
  return cases.map(({ name }, index) => ({ name, medianMs: median(times[index] ?? []), runsMs: times[index] ?? [] }))
}

/**
 * Runs a file to its end.
 * @throws {Error} unless its exit code is 0: the time of a failure says nothing
 */
export async function runGood(file: string, args: string[], options: CommandOptions = {}): Promise<Outcome> {
  const outcome = await runFile(file, args, options)
  if (outcome.exitCode === 0) return outcome
  throw new Error(
    `Cannot time "${file} ${args[0] ?? ''}": exit code ${outcome.exitCode}\n${outcome.stderr}${outcome.stdout}`,
  )
}
