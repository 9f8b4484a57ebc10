/**
 * Commands side by side, and killed: one waits or refuses, and the next run finishes what was begun. Kills are 2 a command; `FAULTS=long` takes
 * 40, and every pair. FAULTS_SEED repeats the moments.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runScript } from '../support/command.mts'
import { endStacks, newStack } from '../support/embedded.mts'
import { envOf, isLong, judge, randomNumbers } from '../support/faults.mts'

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

/** Each ends well, without help, after whatever went before: the stack runs, topics, tables and ingest are as declared. */
async function finishes(what: string): Promise<void> {
  for (const name of ['start', 'topics', 'schema', 'on', 'off'] as const)
    judge(`${name} after ${what}`, await run(name), [0])
  const health = await runScript('health-check.mts', ['--lag-warning', '100000', '--lag-critical', '100000'], { env })
  judge(`health after ${what}`, health, [0])
}

const races = suite('commands side by side')
races.before(async () => judge('start', await run('start'), [0]))

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
    judge('start', await run('start'), [0])
    const lagMs = Math.floor(random() * 400)
    const outcomes = await Promise.all(pair.map((name, index) => delay(index * lagMs).then(() => run(name))))
    // Beside a stop or a reset, others may find nothing that answers, or something that changes; a replay, no topic (2).
    for (const [index, outcome] of outcomes.entries())
      judge(`${pair[index]} beside ${pair[1 - index]}`, outcome, pair[index] === 'replay' ? [0, 1, 2, 3] : [0, 1, 3])
    if (pair[0] === pair[1] && pair[0] !== 'reset')
      assert.ok(
        outcomes.some(({ exitCode }) => exitCode === 0),
        `no ${pair[0]} succeeded`,
      )
    await finishes(pair.join(' and '))
  })
}

const kills = suite('commands killed')

for (const name of names) {
  kills(`${name} killed at random moments completes when run again`, async () => {
    // As long as it takes by itself: what is begun in the last moments is killed too.
    const startMs = performance.now()
    if (name === 'start') judge('stop', await run('stop'), [0])
    else judge('start', await run('start'), [0])
    const beginMs = performance.now() - startMs
    judge(name, await run(name), [0])
    const wholeMs = performance.now() - startMs - beginMs
    for (let kill = 0; kill < KILLS; kill++) {
      if (name === 'start') judge('stop', await run('stop'), [0])
      if (name === 'stop') judge('start', await run('start'), [0])
      const afterMs = Math.ceil(random() * wholeMs)
      await run(name, afterMs)
      if (name !== 'start' && name !== 'stop') judge('start', await run('start'), [0])
      judge(`${name} after a kill at ${afterMs} ms`, await run(name), [0])
    }
    await finishes(`kills of ${name}`)
  })
}
kills.after(endStacks)

races.run()
kills.run()
