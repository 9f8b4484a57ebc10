/** The command consumer-groups, on groups and topics of this file. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runScript, startScript } from '../support/command.mts'
import { KafkaHelper } from '../support/kafka.mts'
import { sharedStack } from '../support/stack.mts'
import { runOnTerminal } from '../support/terminal.mts'

const stack = await sharedStack()
const kafka = new KafkaHelper(stack.settings)
const made: { topics: string[]; groups: string[] } = { topics: [], groups: [] }

const run = (...args: string[]) => runScript('consumer-groups.mts', args, { env: stack.env })

/** Creates a topic of two partitions with ten records each, and a group that has read this many of each, or nothing if undefined. */
async function readBy(name: string, offset: number | undefined): Promise<{ topic: string; group: string }> {
  const [topic, group] = [`groups-${process.pid}-${name}`, `group-${process.pid}-${name}`]
  made.topics.push(topic)
  await kafka.admin((admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1 }], waitForLeaders: true }),
  )
  await kafka.produce(topic, 10)
  if (offset !== undefined) {
    made.groups.push(group)
    await kafka.commit(group, topic, offset)
  }
  return { topic, group }
}

const reset = (group: string, to: string, ...more: string[]) => run('reset', '--group', group, '--to', to, ...more)

const show = suite('consumer-groups')

show('shows state, members, and the lag of each topic and partition', async () => {
  const { topic, group } = await readBy('behind', 4)
  const { exitCode, stdout, stderr } = await run('--json', '--interval', '0.1')
  assert.equal([exitCode, stderr], [0, ''])
  const report = JSON.parse(stdout)
  assert.equal(
    report.groups.find((each: { group: string }) => each.group === group),
    {
      group,
      state: 'Empty',
      protocol: '',
      members: [],
      topics: [
        {
          topic,
          lag: 12,
          consumedPerSecond: 0,
          producedPerSecond: 0,
          catchUpSeconds: null,
          partitions: [0, 1].map((partition) => ({ partition, committed: 4, end: 10, lag: 6 })),
        },
      ],
    },
  )
  const people = await run('--group', group, '--interval', '0.1')
  assert.equal(
    people.stdout.split('\n').map((line) => line.trim().split(/ {2,}/)),
    [
      ['group', 'state', 'members', 'topic', 'lag', 'read/s', 'written/s', 'caught up'],
      [group, 'Empty', '0', topic, '12', '0', '0', 'never: nothing read'],
      ['partition 0: at 4 of 10', '6'],
      ['partition 1: at 4 of 10', '6'],
      [''],
    ],
  )
})

show('measures read and write rates', async () => {
  const { group, topic } = await readBy('rates', 0)
  await kafka.produce(topic, 1_000)
  let isLooking = true
  const looking = run('--group', group, '--json', '--interval', '3').finally(() => {
    isLooking = false
  })
  // Commits continuously, so that one falls between the two reads, whenever they are.
  for (let offset = 1; isLooking && offset < 1_000; offset++) await kafka.commit(group, topic, offset)
  const { groups } = JSON.parse((await looking).stdout)
  const [status] = groups[0].topics
  assert.ok(status.consumedPerSecond > 0, JSON.stringify(status))
  assert.is(status.producedPerSecond, 0)
  assert.ok(status.catchUpSeconds > 0, JSON.stringify(status))
})

show('warns of a lagging group, and shows how to fix one beyond the end', async () => {
  const { group, topic } = await readBy('far', 0)
  await kafka.produce(topic, 1_000)
  const findings = async () => {
    const { exitCode, stdout } = await run('--group', group, '--interval', '0.1', '--json')
    const report = JSON.parse(stdout)
    return [
      exitCode,
      ...report.findings.map(({ severity, code, hint }: Record<string, string>) => [severity, code, hint]),
    ]
  }
  const watch = `start or add consumers of the group, and watch it: ./scripts/consumer-groups.mts --group ${group} --watch`
  assert.equal(await findings(), [0, ['warning', 'KAFKA_LAG', watch]])
  await kafka.commit(group, topic, 5_000)
  const wayOut = `stop its consumers, then: ./scripts/consumer-groups.mts reset --group ${group} --topic ${topic} --to latest`
  assert.equal(await findings(), [1, ['error', 'KAFKA_GROUP_AHEAD', wayOut]])
  assert.is((await run(...wayOut.split(' ').slice(5), '--yes')).exitCode, 0)
  assert.equal(await findings(), [0])
})

show('--watch runs until Ctrl-C, or until its reader is gone', async () => {
  const { group } = await readBy('watch', 10)
  const script = path.join(ROOT, 'scripts/consumer-groups.mts')
  const args = ['--group', group, '--watch', '--interval', '0.1']
  const { child, output, ended } = startScript('consumer-groups.mts', args, stack.env)
  const looks = () => output.stdout.match(/^\d{4}-\d\d-\d\dT\S+Z$/gm)?.length ?? 0
  assert.ok(await waitUntil(async () => looks() >= 3, { timeoutMs: 30_000, pollMs: 20 }))
  child.kill('SIGINT')
  assert.is(await ended, 0)
  const piped = spawn('bash', ['-c', `set -o pipefail; "${script}" --watch --interval 0.1 | head -1`], {
    env: stack.env,
  })
  assert.is(await new Promise((resolve) => piped.on('close', resolve)), 0)
})

show('suggests the group that was probably meant', async () => {
  const { group } = await readBy('meant', 1)
  for (const args of [
    ['--group', `${group}x`],
    ['reset', '--yes', '--to', '0', '--group', `${group}x`],
  ]) {
    const { exitCode, stdout, stderr } = await run(...args)
    assert.equal([exitCode, stdout], [2, ''])
    assert.match(stderr, `✗ --group ${group}x: found no such group; did you mean "${group}"?, expected one of `)
  }
})

show.run()

const resets = suite('consumer-groups reset')

resets('shows the plan with --dry-run and changes nothing', async () => {
  const { topic, group } = await readBy('plan', 4)
  const { exitCode, stdout, stderr } = await reset(group, '7', '--dry-run')
  assert.equal([exitCode, stderr], [0, ''])
  assert.equal(
    stdout.split('\n').map((line) => line.trim().split(/ {2,}/)),
    [
      [`Consumer group ${group}`],
      ['partition', 'offset', 'next consumer'],
      [`${topic}/0`, '4 → 7', 'skips 3'],
      [`${topic}/1`, '4 → 7', 'skips 3'],
      [''],
    ],
  )
  assert.equal(await kafka.committed(group, topic), [4, 4])
})

resets('moves offsets to an end, an offset or a time, and verifies them', async () => {
  const { topic, group } = await readBy('moves', 4)
  const PLACES: [string, number][] = [
    ['earliest', 0],
    ['latest', 10],
    ['7', 7],
    ['999', 10],
    ['-1h', 0],
    ['2100-01-01T00:00Z', 10],
    ['2020-01-01', 0],
  ]
  for (const [to, expected] of PLACES) {
    const { exitCode, stdout, stderr } = await reset(group, to, '--yes')
    assert.equal([exitCode, stdout], [0, `Reset and verified: 2 offsets of ${group}\n`], `${to} ${stderr}`)
    assert.equal(await kafka.committed(group, topic), [expected, expected], to)
  }
  const again = await reset(group, 'earliest', '--yes', '--json')
  const report = JSON.parse(again.stdout)
  assert.equal(
    [again.exitCode, report.findings, report.moves.map(({ from, to }: { from: number; to: number }) => [from, to])],
    [
      0,
      [],
      [
        [0, 0],
        [0, 0],
      ],
    ],
  )
})

resets('touches only the named topics, including topics that the group has not read yet', async () => {
  const { topic, group } = await readBy('one', 4)
  const other = await readBy('other', undefined)
  assert.is((await reset(group, '6', '--topic', other.topic, '--yes')).exitCode, 0)
  assert.equal(
    [await kafka.committed(group, topic), await kafka.committed(group, other.topic)],
    [
      [4, 4],
      [6, 6],
    ],
  )
  assert.is((await reset(group, 'latest', '--yes')).exitCode, 0)
  assert.equal(
    [await kafka.committed(group, topic), await kafka.committed(group, other.topic)],
    [
      [10, 10],
      [10, 10],
    ],
  )
  const unknown = await reset(group, '0', '--topic', `${topic}x`, '--yes')
  assert.is(unknown.exitCode, 2)
  assert.match(unknown.stderr, `✗ --topic ${topic}x: no such topic; did you mean "${topic}"? [TOPIC_UNKNOWN]`)
})

resets('refuses while the group has members', async () => {
  const { topic, group } = await readBy('active', undefined)
  made.groups.push(group)
  await kafka.whileReading(group, topic, async () => {
    for (const flag of ['--dry-run', '--yes']) {
      const { exitCode, stdout } = await reset(group, 'latest', '--topic', topic, flag, '--json')
      const report = JSON.parse(stdout)
      assert.equal(
        [exitCode, report.findings[0].code, report.findings[0].subject],
        [1, 'GROUP_ACTIVE', `group ${group}`],
      )
      assert.is(
        report.findings[0].hint,
        `stop its consumers, then: ./scripts/consumer-groups.mts reset --group ${group} --topic ${topic} --to latest`,
      )
    }
  })
  assert.equal(await kafka.committed(group, topic), [])
})

resets('changes nothing without a clear yes', async () => {
  const { topic, group } = await readBy('ask', 4)
  const off = await reset(group, 'latest')
  assert.equal([off.exitCode, off.stdout], [2, ''])
  assert.match(off.stderr, 'add --yes, or --dry-run')
  const args = ['reset', '--group', group, '--to', 'latest']
  const question = /again and skip 12\. Type "reset" to continue \[No\]: /
  for (const keys of ['\r', 'yes\r', '\u0003']) {
    const { exitCode, screen } = await runOnTerminal('consumer-groups.mts', args, stack.env, { question, keys })
    assert.is(exitCode, 1, screen)
    assert.match(screen, 'Declined: nothing was changed')
    assert.equal(await kafka.committed(group, topic), [4, 4])
  }
  const { exitCode, screen } = await runOnTerminal('consumer-groups.mts', args, stack.env, {
    question,
    keys: 'reset\r',
  })
  assert.is(exitCode, 0, screen)
  assert.equal(await kafka.committed(group, topic), [10, 10])
})

resets.after(async () => {
  await kafka.admin(async (admin) => {
    await admin.deleteGroups(made.groups)
    await admin.deleteTopics({ topics: made.topics })
  })
  await stack.stop()
})
resets.run()
