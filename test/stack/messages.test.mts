/** The command tail-topic, on topics of this file. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import type { Message } from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { type KafkajsClients, openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { openCluster } from '../../scripts/lib/kafka/cluster.mts'
import { readGroups } from '../../scripts/lib/kafka/groups.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runScript, startScript } from '../support/command.mts'
import { KafkaHelper } from '../support/kafka.mts'
import { sharedStack } from '../support/stack.mts'
import { typeOnTerminal, withColumns } from '../support/terminal.mts'

const stack = await sharedStack()
const kafka = new KafkaHelper(stack.settings)
const made: string[] = []

const tail = (...args: string[]) => runScript('tail-topic.mts', args, { env: stack.env })

async function using<T>(work: (clients: KafkajsClients) => Promise<T>): Promise<T> {
  const clients = await openKafkajs(stack.settings, { timeoutMs: 20_000 })
  try {
    return await work(clients)
  } finally {
    await clients.close()
  }
}

/** Creates a topic with these messages, each sent in a separate request. */
async function topicOf(
  name: string,
  messages: Message[],
  { partitions = 1, config = {} }: { partitions?: number; config?: Record<string, string> } = {},
): Promise<string> {
  const topic = `tail-${process.pid}-${name}`
  made.push(topic)
  // Messages of these tests may be older than the broker's retention.
  const configEntries = Object.entries({ 'retention.ms': '-1', ...config }).map(([key, value]) => ({
    name: key,
    value,
  }))
  await kafka.admin((admin) =>
    admin.createTopics({
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
      waitForLeaders: true,
    }),
  )
  await send(topic, messages)
  return topic
}

function send(topic: string, messages: Message[]): Promise<void> {
  return using(async (clients) => {
    const producer = await clients.producer()
    for (const message of messages) await producer.send({ topic, acks: -1, messages: [message] })
  })
}

/** Deletes the records of partition 0 before an offset. */
function deleteBefore(topic: string, offset: string): Promise<void> {
  return kafka.admin(async (admin) => {
    // kafkajs knows the leader only after this.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
  })
}

/** Returns values by "partition/offset" from JSON lines. */
function seen(stdout: string): [string, unknown][] {
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  return lines.slice(0, -1).map(({ partition, offset, value }) => [`${partition}/${offset}`, value])
}

const numbered = (count: number, more: (n: number) => Partial<Message> = () => ({})): Message[] =>
  Array.from({ length: count }, (_, n) => ({
    value: `${n}`,
    timestamp: String(1_795_000_000_000 + n * 1_000),
    ...more(n),
  }))

const last = suite('tail-topic, the last messages')

last('are shown by time, over all partitions, without joining a group', async () => {
  const topic = await topicOf(
    'last',
    numbered(30, (n) => ({ partition: n % 3, key: `k${n}` })),
    { partitions: 3 },
  )
  const { exitCode, stdout, stderr } = await tail(topic, '-n', '4')
  assert.equal([exitCode, stderr], [0, ''])
  assert.is(
    stdout,
    [
      '2026-11-18T11:07:06.000Z  2/8   k26     26',
      '2026-11-18T11:07:07.000Z  0/9   k27     27',
      '2026-11-18T11:07:08.000Z  1/9   k28     28',
      '2026-11-18T11:07:09.000Z  2/9   k29     29',
      '',
    ].join('\n'),
  )
  assert.equal(seen((await tail(topic, '--json', '--partition', '1', '--last', '2')).stdout), [
    ['1/8', '25'],
    ['1/9', '28'],
  ])
  const cluster = await openCluster(stack.settings, { timeoutMs: 20_000 })
  const { groups } = await readGroups(cluster).finally(cluster.close)
  const readers = groups.filter(({ committed, subscribed }) =>
    [...(subscribed ?? []), ...committed.map((each) => each.topic)].includes(topic),
  )
  assert.equal(readers, [])
})

last('end with the report as the last line for programs', async () => {
  const topic = await topicOf('report', numbered(2))
  const { exitCode, stdout } = await tail(topic, '--json')
  const report = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  assert.equal(
    [exitCode, report],
    [0, { version: 1, command: './scripts/tail-topic.mts', exitCode: 0, topic, messages: 2, findings: [] }],
  )
})

last('are filtered by key and by field value, however far back', async () => {
  const value = (n: number) =>
    JSON.stringify({ symbol: n % 1_000 === 7 ? 'RARE' : 'AAPL', n, inner: { even: n % 2 === 0 } })
  const topic = await topicOf('wanted', [])
  await using(async (clients) => {
    const messages = Array.from({ length: 5_000 }, (_, n) => ({ key: `k${n % 10}`, value: value(n) }))
    await (await clients.producer()).send({ topic, acks: -1, messages })
  })
  const numbers = async (...args: string[]) =>
    seen((await tail(topic, '--json', ...args)).stdout).map(([, found]) => JSON.parse(String(found)).n)
  assert.equal(await numbers('--where', 'symbol=RARE', '-n', '3'), [2007, 3007, 4007])
  assert.equal(await numbers('--where', 'symbol=RARE'), [7, 1007, 2007, 3007, 4007])
  assert.equal(await numbers('--key', 'k3', '--where', 'inner.even=false', '-n', '2'), [4983, 4993])
  assert.equal(await numbers('--where', 'symbol=NONE'), [])
})

last('are none for an empty topic', async () => {
  const topic = await topicOf('empty', [], { partitions: 2 })
  for (const args of [[], ['--from', 'earliest'], ['--from', '-1h'], ['-n', '0']]) {
    assert.equal(await tail(topic, ...args), { exitCode: 0, stdout: '', stderr: '' })
  }
})

last.run()

const content = suite('tail-topic, what messages hold')

for (const codec of ['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed']) {
  content(`reads ${codec}, as the broker writes it`, async () => {
    // Several blocks of lz4 (64 KB) and snappy (32 KB).
    const values = ['short', 'x'.repeat(200_000), JSON.stringify(Array.from({ length: 20_000 }, (_, n) => n))]
    const topic = await topicOf(
      codec,
      values.map((value) => ({ value })),
      { config: { 'compression.type': codec } },
    )
    const { exitCode, stdout, stderr } = await tail(topic, '--json')
    assert.equal([exitCode, stderr, seen(stdout)], [0, '', values.map((value, n) => [`0/${n}`, value])])
  })
}

content('shows binary data, invalid JSON and terminal controls safely', async () => {
  const messages = [
    { key: null, value: null },
    { key: Buffer.from([0xff, 0x00]), value: Buffer.from([0xfe, 0x1b]) },
    { key: 'a\u001b]0;title\u0007', value: '{"a":\n"\u001b[2J"}' },
    { key: '', value: '', headers: { one: '1', two: ['a', Buffer.from([0xff])] } },
  ]
  const topic = await topicOf('bytes', messages)
  const people = await tail(topic)
  assert.equal(
    people.stdout.split('\n').map((line) => line.slice(26)),
    [
      '0/0  -       null',
      '0/1  0xff00 (2 bytes)  0xfe1b (2 bytes)',
      '0/2  a\\u001b]0;title\\u0007  {"a":\\n"\\u001b[2J"}',
      '0/3',
      '',
    ],
  )
  const lines = (await tail(topic, '--json')).stdout
    .trim()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
  assert.equal(
    lines.map(({ key, value, headers }) => ({ key, value, headers })),
    [
      { key: null, value: null, headers: {} },
      { key: { base64: '/wA=' }, value: { base64: '/hs=' }, headers: {} },
      { key: 'a\u001b]0;title\u0007', value: '{"a":\n"\u001b[2J"}', headers: {} },
      { key: '', value: '', headers: { one: '1', two: ['a', { base64: '/w==' }] } },
    ],
  )
})

content('does not count control records of transactions as messages', async () => {
  const topic = await topicOf('transactions', [{ value: 'before' }])
  await using(async (clients) => {
    const producer = await clients.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 })
    for (const end of ['commit', 'abort', 'commit'] as const) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ value: end }] })
      await transaction[end]()
    }
  })
  // 2, 4 and 6 are the control records.
  const expected = [
    ['0/0', 'before'],
    ['0/1', 'commit'],
    ['0/3', 'abort'],
    ['0/5', 'commit'],
  ]
  assert.equal(seen((await tail(topic, '--json', '--from', 'earliest')).stdout), expected)
  assert.equal(seen((await tail(topic, '--json', '-n', '3')).stdout), expected.slice(1))
})

content('is cut to the width of the terminal, in colours', async () => {
  const topic = await topicOf('width', [{ key: 'AAPL', value: JSON.stringify({ text: 'x'.repeat(300) }) }])
  const env: NodeJS.ProcessEnv = { ...stack.env, TERM: 'xterm' }
  delete env.NO_COLOR
  const command = withColumns(70, `${path.join(ROOT, 'scripts/tail-topic.mts')} ${topic}`)
  const { screen } = await typeOnTerminal(command, env, [{ question: /AAPL/, keys: '' }])
  const [line = ''] = screen.split(/\r?\n/).filter((each) => each.includes('AAPL'))
  assert.is(stripVTControlCharacters(line).length, 70)
  assert.ok(line.includes('\u001b[2m"text"\u001b[0m:\u001b[32m"xxx'), line)
})

content.run()

const from = suite('tail-topic --from')

from('starts at an end, an offset or a time', async () => {
  const topic = await topicOf(
    'from',
    numbered(20, (n) => ({ partition: n % 2 })),
    { partitions: 2 },
  )
  const values = async (...args: string[]) =>
    seen((await tail(topic, '--json', ...args)).stdout).map(([, value]) => Number(value))
  const all = Array.from({ length: 20 }, (_, n) => n)
  assert.equal(await values('--from', 'earliest'), all)
  assert.equal(await values('--from', 'latest'), [])
  assert.equal(await values('--from', '7'), [14, 15, 16, 17, 18, 19])
  assert.equal(await values('--from', new Date(1_795_000_016_500).toISOString()), [17, 18, 19])
  assert.equal(await values('--from', '2100-01-01'), [])
  assert.equal(await values('--from', 'earliest', '--where', 'n=1'), [])
  await send(topic, [{ value: '20', partition: 0 }])
  assert.equal(await values('--from', '-1h'), [20])
})

from('starts at the first retained record, and lists the offsets for an offset out of range', async () => {
  const topic = await topicOf('deleted', numbered(5))
  await deleteBefore(topic, '3')
  const read = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await tail(topic, '--json', ...args)
    const report = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    return [
      exitCode,
      stderr,
      seen(stdout),
      report.findings.map(({ code, found }: { code: string; found: string }) => `${code}: ${found}`),
    ]
  }
  const kept = [
    ['0/3', '3'],
    ['0/4', '4'],
  ]
  assert.equal(await read(), [0, '', kept, []])
  assert.equal(await read('--from', 'earliest'), [0, '', kept, []])
  assert.equal(await read('--from', '1'), [0, '', kept, ['OFFSET_OUT_OF_RANGE: no offset 1 (partition 0: 3 to 5)']])
  assert.equal(await read('--from', '5'), [0, '', [], []])
  const people = await tail(topic, '--from', '6')
  assert.equal([people.exitCode, people.stdout], [0, ''])
  assert.match(people.stderr, '[OFFSET_OUT_OF_RANGE]\n    → ./scripts/tail-topic.mts')
  assert.equal(await read('--from', '6'), [0, '', [], ['OFFSET_OUT_OF_RANGE: no offset 6 (partition 0: 3 to 5)']])
})

from.run()

const follow = suite('tail-topic --follow')

/** Runs the command until its stdout satisfies `isEnough`, then sends SIGINT; without `isEnough`, until it exits. Returns its output. */
async function following(
  args: string[],
  meanwhile: (pid: number) => Promise<void>,
  isEnough?: (stdout: string) => boolean,
) {
  const { child, output, ended } = startScript('tail-topic.mts', args, stack.env)
  await waitUntil(async () => output.stdout.includes('\n'), { timeoutMs: 30_000, pollMs: 20 })
  await meanwhile(child.pid ?? 0)
  const isDue = async () => (isEnough ? isEnough(output.stdout) : child.exitCode !== null)
  // After its last line, SIGINT would kill the process.
  if (!(await waitUntil(isDue, { timeoutMs: 30_000, pollMs: 20 })) || isEnough) child.kill('SIGINT')
  return { exitCode: await ended, ...output }
}

follow('shows new messages, and ends well at Ctrl-C', async () => {
  const topic = await topicOf('follow', [{ value: 'old', partition: 0 }], { partitions: 2 })
  const more = [0, 1, 0].map((partition, n) => ({ partition, value: `new ${n}` }))
  const outcome = await following(
    [topic, '--follow', '--json'],
    () => send(topic, more),
    (stdout) => stdout.includes('new 2'),
  )
  assert.equal([outcome.exitCode, outcome.stderr], [0, ''])
  assert.equal(seen(outcome.stdout), [
    ['0/0', 'old'],
    ['0/1', 'new 0'],
    ['1/0', 'new 1'],
    ['0/2', 'new 2'],
  ])
})

follow('continues with retained records when its position is gone', async () => {
  const topic = await topicOf('jump', [{ value: 'old' }])
  const outcome = await following(
    [topic, '--follow', '--json'],
    async (pid) => {
      process.kill(pid, 'SIGSTOP')
      // The running fetch ends without a message.
      await delay(1_500)
      await send(topic, numbered(4))
      await deleteBefore(topic, '4')
      process.kill(pid, 'SIGCONT')
    },
    (stdout) => stdout.includes('0,"offset":4'),
  )
  assert.equal(
    [outcome.exitCode, outcome.stderr, seen(outcome.stdout)],
    [
      0,
      `${topic}: partition 0 no longer has offset 1, resuming at 4\n`,
      [
        ['0/0', 'old'],
        ['0/4', '3'],
      ],
    ],
  )
})

follow('ends when its topic is deleted', async () => {
  const topic = await topicOf('gone', [{ value: 'old' }])
  const outcome = await following([topic, '--follow', '--json'], () =>
    kafka.admin((admin) => admin.deleteTopics({ topics: [topic] })),
  )
  made.splice(made.indexOf(topic), 1)
  assert.equal([outcome.exitCode, outcome.stderr], [1, ''])
  assert.match(outcome.stdout, '"code":"TOPIC_GONE"')
})

follow('ends with exit code 0 when its reader is gone', async () => {
  const topic = await topicOf('head', numbered(3_000))
  const script = path.join(ROOT, 'scripts/tail-topic.mts')
  const command = `set -o pipefail; "${script}" ${topic} --from earliest --follow | head -2`
  const child = spawn('bash', ['-c', command], { env: stack.env, cwd: ROOT })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk
    })
  }
  const exitCode = await new Promise((resolve) => child.on('close', resolve))
  assert.equal([exitCode, output.split('\n').length], [0, 3])
})

follow.run()

const wrong = suite('tail-topic, wrong use')

wrong('suggests the topic that was probably meant', async () => {
  const topic = await topicOf('meant', [])
  for (const name of [topic.slice(0, -1), `${topic}t`, topic.replace('meant', 'maent')]) {
    const { exitCode, stdout, stderr } = await tail(name)
    assert.equal([exitCode, stdout], [2, ''])
    assert.match(stderr, `found no such topic; did you mean "${topic}"?, expected one of `)
    assert.match(stderr, `→ ./scripts/tail-topic.mts ${topic}\n`)
  }
  const { exitCode, stdout } = await tail('nothing-like-it', '--json')
  const report = JSON.parse(stdout)
  assert.equal(
    [exitCode, report.exitCode, report.findings[0].code, report.findings[0].hint],
    [2, 2, 'TOPIC_UNKNOWN', './scripts/create-topics.mts --dry-run'],
  )
  assert.is(stdout.trim().split('\n').length, 1)
})

wrong('lists the existing partitions', async () => {
  const topic = await topicOf('partitions', [], { partitions: 2 })
  const { exitCode, stderr } = await tail(topic, '--partition', '2')
  assert.is(exitCode, 2)
  assert.match(stderr, `✗ --partition: found 2, expected 0 to 1, the partitions of ${topic} [USAGE]`)
})

wrong('exits 3 without a broker', async () => {
  const env = { ...stack.env, KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' }
  const { exitCode, stdout, stderr } = await runScript('tail-topic.mts', ['any', '--timeout', '1'], { env })
  assert.equal([exitCode, stdout], [3, ''])
  assert.match(stderr, '[KAFKA_UNREACHABLE]')
})

wrong.after(async () => {
  await kafka.admin((admin) => admin.deleteTopics({ topics: made }))
  await stack.stop()
})
wrong.run()
