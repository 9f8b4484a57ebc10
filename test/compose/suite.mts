/** Suites whose tests record their results for the runner's report. */
import { appendFileSync } from 'node:fs'
import { suite } from 'uvu'

export interface Result {
  suite: string
  name: string
  passed: boolean
  seconds: number
  notes: string[]
}

/** Adds a measurement to the running test's entry in the report. */
export type Note = (text: string) => void

/**
 * Returns a suite whose tests print their results on stderr and append them to the report. Tests run in order and build on each other.
 * After a failure, the rest of the suite still runs, so that one run shows everything.
 */
export function reportedSuite(name: string): {
  test: (name: string, check: (note: Note) => Promise<void>) => void
  run: () => void
} {
  const uvu = suite(name)
  const test = (title: string, check: (note: Note) => Promise<void>) =>
    uvu(title, async () => {
      const startMs = performance.now()
      const notes: string[] = []
      let passed = false
      try {
        await check((text) => notes.push(text))
        passed = true
      } finally {
        const seconds = (performance.now() - startMs) / 1000
        const result: Result = { suite: name, name: title, passed, seconds, notes }
        if (process.env.L2_COMPOSE_REPORT) appendFileSync(process.env.L2_COMPOSE_REPORT, `${JSON.stringify(result)}\n`)
        process.stderr.write(
          `${passed ? '✓' : '✗'} ${name}: ${title} (${seconds.toFixed(1)} s)${notes.map((text) => `\n    ${text}`).join('')}\n`,
        )
      }
    })
  return { test, run: () => uvu.run() }
}
