/**
 * health-check of all services against start-up, the import of its clients, and the slowest probe: what it takes beyond these is not done
 * in parallel. Each is timed in runs of its own; what the full run says of its probes is no measure, since they wait for one another.
 */
import path from 'node:path'
import { ROOT } from '../scripts/lib/settings/settings.mts'
import { syncTopics } from '../scripts/lib/topics/topics.mts'
import { applyInitFiles, startStack } from '../test/support/stack.mts'
import { type Measured, measure, median, type PartResult, runGood } from './measure.mts'

const ROUNDS = 7
const SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'ingest']
/** What the probes connect with: of kafkajs its inner layers. */
const CLIENTS = [
  '@clickhouse/client',
  'ioredis',
  'kafkajs/src/network/connectionPool.js',
  'kafkajs/src/broker/index.js',
]
const IMPORTS = `for (const name of ${JSON.stringify(CLIENTS)}) await import(name)`

/** Times health-check of all services, of each alone, its `--help`, which does nothing but start up, and the import of its clients. */
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
        { name: 'its start-up alone (--help)', run: () => runGood(script, ['--help'], stack) },
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
    // The first round was the warm-up.
    const slowest = Math.max(...[...probesMs.values()].map((runs) => median(runs.slice(1))))
    const value = all.medianMs / (startUp.medianMs + imports.medianMs - nothing.medianMs + slowest)
    const name = `health-check of all services ÷ start-up, imports and slowest probe (${slowest} ms)`
    return { measured: [all, startUp, imports, nothing, ...alone], ratios: [{ name, value, atMost: 1.3 }] }
  } finally {
    await stack.stop()
  }
}
