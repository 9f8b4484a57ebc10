/** health-check of all services against its start-up plus its slowest probe: what it takes beyond that is not done in parallel. */
import path from 'node:path'
import { ROOT } from '../../scripts/lib/settings.mts'
import { syncTopics } from '../../scripts/lib/topics.mts'
import { applyInitFiles, startStack } from '../support/stack.mts'
import { measure, median, type PartResult, runGood } from './measure.mts'

const ROUNDS = 7

/** Times health-check of all services, and its `--help`, which does nothing but start up. */
export async function benchHealth(log: (line: string) => void): Promise<PartResult> {
  const stack = await startStack()
  try {
    await applyInitFiles(stack.settings)
    await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log })
    const script = path.join(ROOT, 'scripts', 'health-check.mts')
    const slowestMs: number[] = []
    const checkAll = async () => {
      const { stdout } = await runGood(script, ['--json'], stack)
      const { services } = JSON.parse(stdout) as { services: { latencyMs: number }[] }
      slowestMs.push(Math.max(...services.map(({ latencyMs }) => latencyMs)))
    }
    const measured = await measure(
      [
        { name: 'health-check of all services', run: checkAll },
        { name: 'its start-up alone (--help)', run: () => runGood(script, ['--help'], stack) },
      ],
      ROUNDS,
      log,
    )
    const [all = Number.NaN, startUp = Number.NaN] = measured.map(({ medianMs }) => medianMs)
    // The first round was the warm-up.
    const runsMs = slowestMs.slice(1)
    const slowest = { name: 'its slowest probe', medianMs: median(runsMs), runsMs }
    const name = 'health-check of all services ÷ its start-up plus its slowest probe'
    const value = all / (startUp + slowest.medianMs)
    return { measured: [...measured, slowest], ratios: [{ name, value, atMost: 1.3 }] }
  } finally {
    await stack.stop()
  }
}
