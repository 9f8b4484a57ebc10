/**
 * Compares health-check of all services with the sum of start-up, client imports and the slowest probe. Time beyond
 * that sum is not spent in parallel. Each is timed in separate runs, because the probes of a full run delay one
 * another.
 */
import path from 'node:path'
import { ROOT } from '../scripts/lib/settings/settings.mts'
import { syncTopics } from '../scripts/lib/topics/topics.mts'
import { applyInitFiles, startStack } from '../test/support/stack.mts'
import { type Measured, measure, median, type PartResult, runGood } from './measure.mts'

const ROUNDS = 7
const SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'ingest']
/** Modules that the probes import; of kafkajs only the network layers. */
const CLIENTS = [
  '@clickhouse/client',
  'ioredis',
  'kafkajs/src/network/connectionPool.js',
  'kafkajs/src/broker/index.js',
]
const IMPORTS = `for (const name of ${JSON.stringify(CLIENTS)}) await import(name)`

/**
 * Times health-check of all services, of each service alone, its `--help` (start-up only), and the import of its
 * clients.
 */
export async function benchHealth(log: (line: string) => void): Promise<PartResult> {
  const stack = await startStack()
  try {
    await applyInitFiles(stack.settings)
    await syncTopics(stack.settings, { mode: 'apply', timeoutMs: 60_000, log })
    const script = path.join(ROOT, 'scripts', 'health-check.mts')
    const node = (code: string) => () =>
      runGood(process.execPath, ['--input-type=module', '--eval', code], { cwd: ROOT })
    const probesMs = new Map(SERVICES.map((service): [string, number[]] => [service, []]))
    const [all, startUp, imports, nothing, ...alone] = (await measure(
      [
        { name: 'health-check of all services', run: () => runGood(script, [], stack) },
        { name: 'start-up only (--help)', run: () => runGood(script, ['--help'], stack) },
        { name: 'node, importing the clients of the probes', run: node(IMPORTS) },
        { name: 'node, doing nothing', run: node('') },
        ...SERVICES.map((service) => ({
          name: `health-check of ${service} alone`,
          run: async () => {
            const { stdout } = await runGood(script, ['--only', service, '--json'], stack)
            probesMs.get(service)?.push(JSON.parse(stdout).services[0].latencyMs)
          },
        })),
      ],
      ROUNDS,
      log,
    )) as [Measured, Measured, Measured, Measured, ...Measured[]]
    // Without the warm-up round.
    const slowest = Math.max(...[...probesMs.values()].map((runs) => median(runs.slice(1))))
    const value = all.medianMs / (startUp.medianMs + imports.medianMs - nothing.medianMs + slowest)
    const name = `health-check of all services ÷ start-up, imports and slowest probe (${slowest} ms)`
    return { measured: [all, startUp, imports, nothing, ...alone], ratios: [{ name, value, atMost: 1.3 }] }
  } finally {
    await stack.stop()
  }
}
