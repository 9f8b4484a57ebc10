/** Start-up time of the commands: `--help` compared with `node -e 0`. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from '../scripts/lib/settings/settings.mts'
import { measure, type PartResult, runGood } from './measure.mts'

const ROUNDS = 15
/** Node.js 24 runs TypeScript natively, with its compile cache; Node.js 20 loads a transpiler first. */
const MAX_RATIO = Number.parseInt(process.versions.node, 10) >= 24 ? 1.5 : 2.3

/** Times `--help` of every command, and `node -e 0`. */
export async function benchHelp(log: (line: string) => void): Promise<PartResult> {
  const scripts = readdirSync(path.join(ROOT, 'scripts')).filter((file) => file.endsWith('.mts'))
  const cases = scripts.map((file) => ({
    name: `${file} --help`,
    run: () => runGood(path.join(ROOT, 'scripts', file), ['--help']),
  }))
  const nothing = { name: 'node -e 0', run: () => runGood('node', ['-e', '0']) }
  const measured = await measure([...cases, nothing], ROUNDS, log)
  const nothingMs = measured.at(-1)?.medianMs ?? Number.NaN
  const ratios = measured.slice(0, -1).map(({ name, medianMs }) => ({
    name: `${name} ÷ node -e 0`,
    value: medianMs / nothingMs,
    atMost: MAX_RATIO,
  }))
  return { measured, ratios }
}
