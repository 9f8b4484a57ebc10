/** Named tests that record what they proved, for the runner's report. */
import { appendFileSync } from 'node:fs'
import { suite } from 'uvu'

export interface Proved {
  suite: string
  name: string
  passed: boolean
  seconds: number
  notes: string[]
}

/** Adds a measured fact to the running test's line of the report. */
export type Note = (text: string) => void

/**
 * A suite whose tests say on stderr how they go and append themselves to the report. Tests run in order and build on each
 * other: after the first failure of a suite the rest of it still runs, so that one run shows everything.
 */
export function proof(name: string): {
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
        const proved: Proved = { suite: name, name: title, passed, seconds, notes }
        if (process.env.L2_COMPOSE_REPORT) appendFileSync(process.env.L2_COMPOSE_REPORT, `${JSON.stringify(proved)}\n`)
        process.stderr.write(
          `${passed ? '✓' : '✗'} ${name}: ${title} (${seconds.toFixed(1)} s)${notes.map((text) => `\n    ${text}`).join('')}\n`,
        )
      }
    })
  return { test, run: () => uvu.run() }
}
