/**
 * health-check of all services against the one that takes longest alone: that run is start-up plus slowest probe, and what all take
 * beyond it is not done in parallel. What the full run says of its own probes is no measure: their times grow with what is not.
 */
import path from 'node:path'
import { ROOT } from '../../scripts/lib/settings.mts'
import { syncTopics } from '../../scripts/lib/topics.mts'
import { applyInitFiles, startStack } from '../support/stack.mts'
import { type Measured, measure, type PartResult, runGood } from './measure.mts'

const ROUNDS = 7

/** Times health-check of all services, of each alone, and its `--help`, which does nothing but start up. */
export async function benchHealth(log: (line: string) => void): Promise<PartResult> {
  const stack = await startStack()
  try {
    await applyInitFiles(stack.settings)
    await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log })
    const script = path.join(ROOT, 'scripts', 'health-check.mts')
    const run =
      (...args: string[]) =>
      () =>
        runGood(script, args, stack)
    const [all, ...others] = await measure(
      [
        { name: 'health-check of all services', run: run() },
        { name: 'its start-up alone (--help)', run: run('--help') },
        ...['zookeeper', 'kafka', 'clickhouse', 'redis', 'ingest'].map((service) => ({
          name: `of ${service} alone`,
          run: run('--only', service),
        })),
      ],
      ROUNDS,
      log,
    )
    const slowest = others.reduce((one, other) => (other.medianMs > one.medianMs ? other : one))
    const name = `health-check of all services ÷ the slowest, ${slowest.name}`
    const value = (all as Measured).medianMs / slowest.medianMs
    return { measured: [all as Measured, ...others], ratios: [{ name, value, atMost: 1.3 }] }
  } finally {
    await stack.stop()
  }
}
