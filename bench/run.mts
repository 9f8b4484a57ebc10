#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/../scripts/lib/run" "$f" "$@"
/**
 * `npm run bench [-- PART…]`: compares the commands with their alternatives on a dedicated stack. Reports ratios of
 * medians from the same run: absolute times depend on the machine and its load.
 */
import { runCommand } from '../scripts/lib/command/command.mts'
import { usage } from '../scripts/lib/command/flags.mts'
import { configError, type Finding } from '../scripts/lib/common/findings.mts'
import { benchHealth } from './health.mts'
import { benchHelp } from './help.mts'
import type { PartResult, Ratio } from './measure.mts'
import { benchMessages } from './messages.mts'
import { benchStart } from './start.mts'
import { benchTopics } from './topics.mts'

const PARTS: Record<string, (log: (line: string) => void) => Promise<PartResult>> = {
  help: benchHelp,
  topics: benchTopics,
  messages: benchMessages,
  health: benchHealth,
  start: benchStart,
}

const target = ({ atLeast, atMost }: Ratio): string => (atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`)
const isMet = ({ value, atLeast = 0, atMost = Number.POSITIVE_INFINITY }: Ratio): boolean =>
  value >= atLeast && value <= atMost

await runCommand({
  name: 'npm run bench --',
  summary: 'Compares the run time of the commands with their alternatives, as ratios of medians from the same run.',
  options: {},
  arguments: { value: '[PART…]', help: `any of ${Object.keys(PARTS).join(', ')} (default: all)` },
  example: 'npm run bench -- topics',
  exitCodes: { 0: 'every target is met', 1: 'a target is missed', 2: 'invalid usage', 3: 'could not be measured' },
  run: async ({ args, log, paint }) => {
    const unknown = args.filter((name) => !Object.hasOwn(PARTS, name))
    if (unknown.length > 0) {
      const parts = Object.keys(PARTS).join(', ')
      throw configError(unknown.map((name) => usage('npm run bench', name, 'unknown part', parts)))
    }
    const results: Record<string, PartResult> = {}
    for (const [name, part] of Object.entries(PARTS)) {
      if (args.length === 0 || args.includes(name)) results[name] = await part((line) => log(`${name}  ${line}`))
    }
    const all = Object.values(results)
    const lines = [
      ...all.flatMap(({ measured }) =>
        measured.map(({ name, medianMs, runsMs }) => {
          return `${medianMs.toFixed(0).padStart(7)} ms  ${name} (median of ${runsMs.length})`
        }),
      ),
      ...all.flatMap(({ ratios }) =>
        ratios.map((ratio) => {
          const value = `${ratio.value.toFixed(2).padStart(7)} ×`
          return `${paint(isMet(ratio) ? 'green' : 'red', value)}   ${ratio.name} (target ${target(ratio)})`
        }),
      ),
    ]
    const findings = all
      .flatMap(({ ratios }) => ratios)
      .filter((ratio) => !isMet(ratio))
      .map((ratio): Finding => {
        const [found, hint] = [`${ratio.value.toFixed(2)} ×`, 'run again on an idle machine, then profile']
        return { severity: 'error', code: 'BENCH_TARGET', subject: ratio.name, found, expected: target(ratio), hint }
      })
    return { findings, text: lines.join('\n'), data: { node: process.version, parts: results } }
  },
})
