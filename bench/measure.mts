/** Types and timing functions of the benchmarks. */
import type { CommandOptions, Outcome } from '../test/support/command.mts'
import { runFile } from '../test/support/command.mts'

export interface Case {
  name: string
  /** Runs before each run, and is not timed. */
  prepare?: () => Promise<unknown>
  run: () => Promise<unknown>
}

export interface Measured {
  name: string
  medianMs: number
  /** In the order of the runs. */
  runsMs: number[]
}

/** The ratio of two medians of one run, with its target. */
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

/** Returns the median; NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2
}

/**
 * Times each case `rounds` times, in turn, so that changes in the speed of the machine affect all cases alike. An
 * untimed warm-up round fills the caches of the file system and of the runner.
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
 * Runs a file and waits for it to exit.
 * @throws {Error} unless its exit code is 0: the time of a failed run is meaningless
 */
export async function runGood(file: string, args: string[], options: CommandOptions = {}): Promise<Outcome> {
  const outcome = await runFile(file, args, options)
  if (outcome.exitCode === 0) return outcome
  throw new Error(
    `Cannot time "${file} ${args[0] ?? ''}": exit code ${outcome.exitCode}\n${outcome.stderr}${outcome.stdout}`,
  )
}
