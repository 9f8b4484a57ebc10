/** The command reset-kafka, on a dedicated Kafka. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { runningEmbedded } from '../../scripts/lib/engines/embedded/processes.mts'
import { startEmbedded } from '../../scripts/lib/engines/embedded/stack.mts'
import { type CommandOptions, runScript } from '../support/command.mts'
import { KafkaHelper, runAround, signalAt } from '../support/kafka.mts'
import { startStack, type TestStack } from '../support/stack.mts'
import { runOnTerminal } from '../support/terminal.mts'

let stack: TestStack
let kafka: KafkaHelper
const folder = mkdtempSync(path.join(tmpdir(), 'l2-reset-'))

/** Fewer topics and partitions than shipped, for speed. */
const DECLARED = ['iqfeed.l2.raw', 'trading.signals', 'market.features']
const file = path.join(folder, 'topics.yml')
const config = { 'compression.type': 'lz4' }
writeFileSync(
  file,
  JSON.stringify({ topics: DECLARED.map((name) => ({ name, partitions: 2, replication: 1, config })) }),
)

const run = (args: string[], options: CommandOptions = {}) =>
  runScript('reset-kafka.mts', ['--file', file, ...args], { env: stack.env, ...options })

/** What must survive a reset in any case: an undeclared topic, and the committed offsets of its reader. */
async function untouched() {
  const [ends, config, committed] = await Promise.all([
    kafka.highWatermarks('notes'),
    kafka.config('notes'),
    kafka.committed('notes_reader', 'notes'),
  ])
  return { ends, config, committed }
}
const UNTOUCHED = { ends: [3, 3], config: { 'max.message.bytes': '4096' }, committed: [2, 2] }

/** Creates the declared topics, with 5 records in each partition of two of them, 4 of which a group has read. */
async function fill(): Promise<void> {
  const { exitCode, stderr } = await runScript('create-topics.mts', ['--file', file], { env: stack.env })
  assert.is(exitCode, 0, stderr)
  for (const name of ['trading.signals', 'market.features']) {
    if ((await kafka.highWatermarks(name))[0] === 0) await kafka.produce(name, 5)
  }
  await kafka.commit('market_data_consumer', 'trading.signals', 4)
}

const FILLED = { ends: [5, 5], committed: [4, 4] }
const EMPTIED = { ends: [0, 0], committed: [] }

async function signals() {
  const [ends, committed] = await Promise.all([
    kafka.highWatermarks('trading.signals'),
    kafka.committed('market_data_consumer', 'trading.signals'),
  ])
  return { ends, committed }
}

/** Checks the declared topics after a reset, with create-topics and with another client. */
async function assertReset(): Promise<void> {
  const check = await runScript('create-topics.mts', ['--file', file, '--check'], { env: stack.env })
  assert.is(check.exitCode, 0, check.stdout)
  for (const name of DECLARED) assert.equal([...new Set(await kafka.highWatermarks(name))], [0], name)
  assert.equal(await signals(), EMPTIED)
  assert.equal(await untouched(), UNTOUCHED)
}

const asks = suite('reset-kafka, until confirmed')

asks.before(async () => {
  stack = await startStack(['zookeeper', 'kafka'])
  kafka = new KafkaHelper(stack.settings)
  const configEntries = [{ name: 'max.message.bytes', value: '4096' }]
  const topics = [{ topic: 'notes', numPartitions: 2, configEntries }]
  await kafka.admin((admin) => admin.createTopics({ topics }))
  await kafka.produce('notes', 3)
  await kafka.commit('notes_reader', 'notes', 2)
  await fill()
})

asks('shows with --dry-run what would be lost, and changes nothing', async () => {
  const startMs = Date.now()
  const { exitCode, stdout, stderr } = await run(['--dry-run', '--json'])
  assert.equal([exitCode, stderr], [0, ''])
  const { survey, findings } = JSON.parse(stdout)
  assert.equal(findings, [])
  assert.match(survey.clusterId, /^[\w-]{22}$/)
  const topics = survey.topics.map(({ name, records, uncounted }: Record<string, unknown>) => [
    name,
    records,
    uncounted,
  ])
  assert.equal(
    topics,
    DECLARED.map((name) => [name, name.includes('.raw') ? 0 : 10, 0]),
  )
  const { bytes, newestMs } = survey.topics[1]
  assert.ok(bytes > 100 && bytes < 100_000, `${bytes} bytes`)
  assert.ok(newestMs > startMs - 600_000 && newestMs <= startMs, `${newestMs}`)
  assert.is(survey.topics[0].newestMs, undefined)
  const groups = survey.groups.map(({ id, state, members }: Record<string, unknown>) => [id, state, members])
  assert.equal(groups, [['market_data_consumer', 'Empty', []]])
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

asks('shows the loss as a table', async () => {
  const { stdout } = await run(['--dry-run', '--only', 'trading.signals'])
  assert.match(
    stdout,
    /^Kafka cluster \S+\n {2}topic +records +on disk +newest record\n {2}trading\.signals +10 +\d\S* K?B +20\S+Z\n/,
  )
  assert.match(stdout, /\n {2}consumer group market_data_consumer: Empty, members: 0, committed offsets: 2\n$/)
})

asks('refuses without a terminal and --yes', async () => {
  const { exitCode, stdout, stderr } = await run([], { stdin: 'reset\n' })
  assert.equal([exitCode, stdout], [2, ''])
  assert.match(stderr, /no terminal to ask for confirmation \[CONFIRM\]\n {4}→ add --yes, or --dry-run/)
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

const QUESTION = /permanently deletes 20 records in 3 topics\. Type "reset" to continue \[No\]: /
const answers: Record<string, string> = {
  'the word in another case': 'RESET\r',
  yes: 'yes\r',
  No: 'No\r',
  'the Enter key': '\r',
  'Ctrl-C': '\x03',
  'Ctrl-D': '\x04',
}

for (const [answer, keys] of Object.entries(answers)) {
  asks(`treats ${answer} as No, changes nothing, and exits 1`, async () => {
    const { exitCode, screen } = await runOnTerminal('reset-kafka.mts', ['--file', file], stack.env, {
      question: QUESTION,
      keys,
    })
    assert.is(exitCode, 1, screen)
    assert.match(screen, /Declined: nothing was changed/)
    assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
  })
}

asks('treats Ctrl-C between the table and the question as No', async () => {
  const shown = { question: /committed offsets: 2/, keys: '\x03' }
  const { exitCode, screen } = await runOnTerminal('reset-kafka.mts', ['--file', file], stack.env, shown)
  assert.is(exitCode, 1, screen)
  assert.match(screen, /Declined: nothing was changed/)
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

asks('ignores answers typed before the loss is shown, whole or in part', async () => {
  const { exitCode, screen } = await runOnTerminal('reset-kafka.mts', ['--file', file], stack.env, {
    early: 'reset\rreset\rrese',
    question: QUESTION,
    keys: 't\r',
  })
  assert.is(exitCode, 1, screen)
  assert.match(screen, /Declined: nothing was changed/)
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

asks('treats an interrupt before the question as No', async () => {
  // The first ListOffsets request (API key 2) is sent during the survey.
  const { exitCode, stderr } = await run(['--yes'], { env: signalAt(stack.env, '2:1:before:SIGINT') })
  assert.equal([exitCode, stderr.split('\n').at(-2)], [1, 'Declined: nothing was changed'])
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

asks('refuses while a group is reading, and names its members', async () => {
  await kafka.whileReading('live_readers', 'iqfeed.l2.raw', async () => {
    for (const args of [['--yes'], ['--dry-run']]) {
      const { exitCode, stdout } = await run(args)
      assert.is(exitCode, 1)
      assert.match(stdout, /✗ group live_readers: Stable, l2-stack at 127\.0\.0\.1; .*\[GROUP_ACTIVE\]/)
    }
    assert.is((await run(['--dry-run', '--only', 'trading.signals'])).exitCode, 0)
  })
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

asks('refuses another cluster than the named one, and an undeclared topic', async () => {
  const other = await run(['--yes', '--cluster-id', 'another'])
  assert.is(other.exitCode, 2)
  assert.match(other.stderr, /found cluster \S+, expected another from --cluster-id \[OTHER_CLUSTER\]/)
  const undeclared = await run(['--yes', '--only', 'notes'])
  assert.is(undeclared.exitCode, 2)
  assert.match(undeclared.stderr, /--only notes: found an undeclared topic, .*\n {4}→ add --all/)
  const internal = await run(['--yes', '--all', '--only', '__consumer_offsets'])
  assert.is(internal.exitCode, 2)
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

asks('refuses, before it deletes anything, what could not be recreated', async () => {
  const topic = { name: 'trading.signals', partitions: 5, replication: 1, config: { 'retention.ms': 'soon' } }
  const wrong = path.join(folder, 'wrong.yml')
  writeFileSync(wrong, JSON.stringify({ topics: [topic] }))
  const { exitCode, stderr } = await run(['--yes', '--file', wrong])
  assert.is(exitCode, 2)
  assert.match(
    stderr,
    /wrong\.yml:1:\d+ trading\.signals retention\.ms: Kafka refuses "soon": Invalid value .*\[TOPIC_CONFIG\]/,
  )
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
})

asks.run()

const resets = suite('reset-kafka, once confirmed')

resets('deletes, recreates, clears the offsets, and verifies the result', async () => {
  const before = JSON.parse((await run(['--dry-run', '--json'])).stdout).survey.topics
  const { exitCode, stdout, stderr } = await run(['--yes', '--json'])
  assert.is(exitCode, 0, stderr)
  assert.equal(JSON.parse(stdout).findings, [])
  await assertReset()
  const after = JSON.parse((await run(['--dry-run', '--json'])).stdout).survey.topics
  const ids = (topics: { id: string }[]) => topics.map(({ id }) => id)
  assert.equal(new Set([...ids(before), ...ids(after)]).size, 6)
})

resets('does so after the word was typed', async () => {
  await fill()
  const keys = 'reset\r'
  const { exitCode, screen } = await runOnTerminal('reset-kafka.mts', ['--file', file], stack.env, {
    question: QUESTION,
    keys,
  })
  assert.is(exitCode, 0, screen)
  assert.match(screen, /Reset and verified: iqfeed\.l2\.raw, trading\.signals, market\.features/)
  await assertReset()
})

resets('touches only the topics named by --only', async () => {
  await fill()
  const { exitCode, stdout } = await run(['--yes', '--only', 'market.features'])
  assert.equal([exitCode, stdout], [0, 'Reset and verified: market.features\n'])
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
  assert.equal(await kafka.highWatermarks('market.features'), [0, 0])
})

resets('with --all, deletes an undeclared topic permanently, and no other', async () => {
  await fill()
  await kafka.admin((admin) => admin.createTopics({ topics: [{ topic: 'scratch' }] }))
  const { exitCode, stdout } = await run(['--yes', '--all', '--only', 'scratch'])
  assert.equal([exitCode, stdout], [0, 'Permanently deleted: scratch\n'])
  assert.equal([await signals(), await untouched()], [FILLED, UNTOUCHED])
  assert.not((await kafka.admin((admin) => admin.listTopics())).includes('scratch'))
})

resets('continues with --force while a group is reading, and warns', async () => {
  await fill()
  await kafka.whileReading('live_readers', 'iqfeed.l2.raw', async () => {
    const { exitCode, stdout } = await run(['--yes', '--force'])
    assert.is(exitCode, 0, stdout)
    assert.match(stdout, /Reset and verified: .*\n! group live_readers: Stable, .*\[GROUP_ACTIVE\]/)
  })
  await assertReset()
})

/** Groups are listed (API key 16) for the survey, and again between recreating the topics and clearing the groups' offsets. */
const RECREATED = '16:2:before'

resets('clears offsets that a group commits during the reset', async () => {
  await fill()
  const { exitCode, stderr } = await runAround(
    'reset-kafka.mts',
    ['--file', file, '--yes'],
    stack.env,
    RECREATED,
    async () => {
      await kafka.commit('market_data_consumer', 'trading.signals', 4)
      assert.equal(await signals(), { ends: [0, 0], committed: [4, 4] })
    },
  )
  assert.is(exitCode, 0, stderr)
  assert.match(stderr, /Deleting the offsets of group market_data_consumer\n/)
  await assertReset()
})

resets('keeps the offsets of a group that starts reading in the meantime, and suggests no wider reset', async () => {
  await fill()
  let release = () => {}
  const read = new Promise<void>((resolve) => {
    release = resolve
  })
  let reading: Promise<void> | undefined
  const { exitCode, stdout } = await runAround(
    'reset-kafka.mts',
    ['--file', file, '--yes', '--only', 'trading.signals', '--json'],
    stack.env,
    RECREATED,
    async () => {
      // At the end of the partition, the reader has nothing to fetch and does not commit.
      await kafka.produce('trading.signals', 5)
      await kafka.commit('market_data_consumer', 'trading.signals', 5)
      await new Promise<void>((joined, reject) => {
        reading = kafka.whileReading('market_data_consumer', 'trading.signals', async () => {
          joined()
          await read
        })
        reading.catch(reject)
      })
    },
  ).finally(release)
  await reading
  const { findings } = JSON.parse(stdout)
  const hint = `stop its consumers, then: ./scripts/reset-kafka.mts --only trading.signals --file ${file}`
  assert.is(exitCode, 1)
  const reported = findings.map(
    ({ code, subject, hint: next }: Record<string, unknown>) => `${code} ${subject} ${next}`,
  )
  const again = `./scripts/reset-kafka.mts --only trading.signals --file ${file}`
  assert.equal(reported.sort(), [
    `RESET_OFFSETS group market_data_consumer ${hint}`,
    `RESET_WRITTEN trading.signals ${again}`,
  ])
  assert.is((await run(['--yes'])).exitCode, 0)
  await assertReset()
})

resets('warns of records written to the new topics before it ended', async () => {
  const { exitCode, stdout } = await runAround('reset-kafka.mts', ['--file', file, '--yes'], stack.env, RECREATED, () =>
    kafka.produce('market.features', 1),
  )
  assert.is(exitCode, 0)
  assert.match(stdout, /! market\.features: 2 records, written since the topic was recreated \[RESET_WRITTEN\]/)
})

/**
 * API keys: 20 deletes topics, 19 creates them (the first request only validates), 47 deletes offsets, 2 reads offsets (the fourth is the
 * verification).
 */
const MOMENTS = ['20:1:before', '20:1:after', '19:2:before', '19:2:after', '2:4:before', '2:4:after']

for (const moment of MOMENTS) {
  resets(`completes after a kill -9 at ${moment}`, async () => {
    await fill()
    const killed = await run(['--yes'], { env: signalAt(stack.env, `${moment}:SIGKILL`) })
    assert.match(killed.stderr, new RegExp(`\\[at ${moment}:SIGKILL\\]\n$`))
    assert.is(killed.exitCode, null)
    assert.equal(await untouched(), UNTOUCHED)
    const again = await run(['--yes'])
    assert.is(again.exitCode, 0, again.stdout + again.stderr)
    await assertReset()
  })
}

for (const when of ['before', 'after']) {
  resets(`completes after a kill -9 ${when} the group's offsets are cleared`, async () => {
    await fill()
    const commit = () => kafka.commit('market_data_consumer', 'trading.signals', 4)
    const kill = [`47:1:${when}:SIGKILL`]
    const killed = await runAround('reset-kafka.mts', ['--file', file, '--yes'], stack.env, RECREATED, commit, kill)
    assert.is(killed.exitCode, null)
    assert.equal((await signals()).committed, when === 'before' ? [4, 4] : [])
    const again = await run(['--yes'])
    assert.is(again.exitCode, 0, again.stdout + again.stderr)
    await assertReset()
  })
}

resets('shows on Ctrl-C in the middle how to complete it', async () => {
  await fill()
  const { exitCode, stderr } = await run(['--yes'], { env: signalAt(stack.env, '20:1:after:SIGINT') })
  assert.equal(exitCode, 1)
  assert.match(stderr, /\nInterrupted: run it again to complete the reset\n$/)
  assert.is((await run(['--yes'])).exitCode, 0)
  await assertReset()
})

resets('completes when only some topics were deleted and recreated', async () => {
  await fill()
  await kafka.admin((admin) => admin.deleteTopics({ topics: ['iqfeed.l2.raw', 'market.features'] }))
  const dryRun = await run(['--dry-run'])
  assert.match(dryRun.stdout, /\n {2}iqfeed\.l2\.raw +- +- +- +does not exist yet\n/)
  assert.is((await run(['--yes'])).exitCode, 0)
  await assertReset()
})

resets('exits 3 when the broker dies in the middle, and completes once it is back', async () => {
  await fill()
  const pid = runningEmbedded(stack.settings.EMBEDDED_DATA_DIR).find(({ name }) => name === 'kafka')?.pid
  assert.ok(pid)
  const { exitCode, stderr } = await runAround(
    'reset-kafka.mts',
    ['--file', file, '--yes'],
    stack.env,
    '20:1:after',
    async () => {
      process.kill(pid, 'SIGKILL')
    },
  )
  assert.is(exitCode, 3)
  assert.match(stderr, /→ restore the broker, then run the reset again to complete it\n$/)
  await startEmbedded(stack.settings, await install(stack.settings.KAFKA_MODE, () => {}), () => {}, [
    'zookeeper',
    'kafka',
  ])
  const again = await run(['--yes'])
  assert.is(again.exitCode, 0, again.stdout + again.stderr)
  await assertReset()
})

resets('resets the shipped topics without another file', async () => {
  const { exitCode, stdout } = await runScript('reset-kafka.mts', ['--yes'], { env: stack.env })
  const names = 'iqfeed.l2.raw, iqfeed.trades.raw, iqfeed.quotes.raw, trading.signals, market.features'
  assert.equal([exitCode, stdout], [0, `Reset and verified: ${names}\n`])
  assert.equal([(await kafka.highWatermarks('iqfeed.l2.raw')).length, await untouched()], [10, UNTOUCHED])
})

resets.after(async () => {
  await stack.stop()
  rmSync(folder, { recursive: true })
})

resets.run()

const remote = suite('reset-kafka, on a broker that is not on this machine')
let elsewhere: TestStack

remote.before(async () => {
  // An address reserved for documentation (RFC 5737), on which nothing answers.
  elsewhere = await startStack(['zookeeper', 'kafka'], { KAFKA_ADVERTISED_HOST: '203.0.113.1' })
})

remote('refuses unless its cluster id is given', async () => {
  const reset = (...args: string[]) =>
    runScript('reset-kafka.mts', ['--yes', '--timeout', '2', ...args], { env: elsewhere.env })
  const { exitCode, stderr } = await reset()
  assert.is(exitCode, 2)
  const [, clusterId = ''] =
    /a broker at 203\.0\.113\.1, which is not this machine \[REMOTE_CLUSTER\]\n {4}→ add --cluster-id (\S+),/.exec(
      stderr,
    ) ?? []
  assert.match(clusterId, /^[\w-]{22}$/)
  // With it, the reset continues as far as possible with that address.
  const named = await reset('--cluster-id', clusterId)
  assert.is(named.exitCode, 3)
  assert.match(
    named.stderr,
    /kafka: no answer from 203\.0\.113\.1:\d+ \(the broker's advertised address\) within 2 s .*\n {4}→ set KAFKA_ADVERTISED_HOST/,
  )
})

remote.after(() => elsewhere.stop())

remote.run()
