/**
 * Concurrent commands, and killed commands: one waits or is refused, and the next run completes what was started. Kills each command 2
 * times, or 40 times with `FAULTS=long`, which also tests every pair. FAULTS_SEED repeats the moments.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/command.mts'
import { endStacks, newStack } from '../support/embedded.mts'
import { envOf, expectExit, isLong, randomNumbers } from '../support/faults.mts'

const KILLS = isLong ? 40 : 2
const settings = await newStack()
const env = envOf(settings)
const random = randomNumbers()

type Command = [script: string, ...args: string[]]
const COMMANDS = {
  start: ['start.mts', '--embedded'],
  stop: ['stop.mts'],
  topics: ['create-topics.mts', '--timeout', '60'],
  reset: ['reset-kafka.mts', '--yes'],
  schema: ['apply-schema.mts'],
  on: ['ingest.mts', 'on'],
  off: ['ingest.mts', 'off'],
  replay: ['replay.mts', '--generate', '--fast', '--count', '2000', '--timeout', '20'],
  health: ['health-check.mts', '--deep'],
} as const satisfies Record<string, Command>
type Name = keyof typeof COMMANDS

const run = (name: Name, timeoutMs = 300_000) => {
  const [script, ...args]: Command = [...COMMANDS[name]]
  return runScript(script, args, { env, timeoutMs })
}

/** Checks that each command succeeds without help, whatever ran before: the stack runs, and topics, tables and ingest are as declared. */
async function finishes(what: string): Promise<void> {
  for (const name of ['start', 'topics', 'schema', 'on', 'off'] as const)
    expectExit(`${name} after ${what}`, await run(name), [0])
  const health = await runScript('health-check.mts', ['--lag-warning', '100000', '--lag-critical', '100000'], { env })
  expectExit(`health after ${what}`, health, [0])
}

const races = suite('concurrent commands')
races.before(async () => expectExit('start', await run('start'), [0]))

const PAIRS: [Name, Name][] = [
  ['topics', 'reset'],
  ['start', 'stop'],
  ['schema', 'schema'],
  ['on', 'off'],
  ['reset', 'replay'],
]
const names = Object.keys(COMMANDS) as Name[]
const all = names.flatMap((first, index) => names.slice(index).map((second): [Name, Name] => [first, second]))

for (const pair of isLong ? all : PAIRS) {
  races(`${pair.join(' and ')} at the same time: one waits or refuses, and the final state is right`, async () => {
    expectExit('start', await run('start'), [0])
    const lagMs = Math.floor(random() * 400)
    const outcomes = await Promise.all(pair.map((name, index) => delay(index * lagMs).then(() => run(name))))
    // During a stop or reset, other commands may find services stopped or state changing; replay may find no topic (exit code 2).
    for (const [index, outcome] of outcomes.entries())
      expectExit(
        `${pair[index]} beside ${pair[1 - index]}`,
        outcome,
        pair[index] === 'replay' ? [0, 1, 2, 3] : [0, 1, 3],
      )
    if (pair[0] === pair[1] && pair[0] !== 'reset')
      assert.ok(
        outcomes.some(({ exitCode }) => exitCode === 0),
        `no ${pair[0]} succeeded`,
      )
    await finishes(pair.join(' and '))
  })
}

const kills = suite('killed commands')

for (const name of names) {
  kills(`${name} killed at random moments completes when run again`, async () => {
    // The undisturbed duration, so that kills can hit the last moments too.
    const startMs = performance.now()
    if (name === 'start') expectExit('stop', await run('stop'), [0])
    else expectExit('start', await run('start'), [0])
    const beginMs = performance.now() - startMs
    expectExit(name, await run(name), [0])
    const wholeMs = performance.now() - startMs - beginMs
    for (let kill = 0; kill < KILLS; kill++) {
      if (name === 'start') expectExit('stop', await run('stop'), [0])
      if (name === 'stop') expectExit('start', await run('start'), [0])
      const afterMs = Math.ceil(random() * wholeMs)
      await run(name, afterMs)
      if (name !== 'start' && name !== 'stop') expectExit('start', await run('start'), [0])
      expectExit(`${name} after a kill at ${afterMs} ms`, await run(name), [0])
    }
    await finishes(`kills of ${name}`)
  })
}
kills.after(endStacks)

races.run()
kills.run()
