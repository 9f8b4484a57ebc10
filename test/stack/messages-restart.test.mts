/** `tail-topic --follow` while its broker or topic disappears and returns. */
import type { ChildProcess } from 'node:child_process'
import { truncateSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { startScript } from '../support/command.mts'
import { pids, start } from '../support/embedded.mts'
import { KafkaHelper } from '../support/kafka.mts'
import { startStack } from '../support/stack.mts'

const SEEN_MS = 60_000
const { env, settings, stop } = await startStack(['zookeeper', 'kafka'])
const kafka = new KafkaHelper(settings)

const soon = (isDone: () => Promise<boolean>) => waitUntil(isDone, { timeoutMs: SEEN_MS, pollMs: 100 })

/** Creates a topic once an earlier one of that name is gone, and waits for its leaders. */
async function make(topic: string, numPartitions = 1): Promise<void> {
  const create = { topics: [{ topic, numPartitions }], waitForLeaders: false }
  assert.ok(await soon(() => kafka.admin((admin) => admin.createTopics(create)).catch(() => false)))
  assert.ok(await soon(async () => (await kafka.highWatermarks(topic).catch(() => [])).length === numPartitions))
}

async function removeTopic(topic: string): Promise<void> {
  // A broker that has just restarted may not know the topic yet.
  const remove = () => kafka.admin((admin) => admin.deleteTopics({ topics: [topic] })).then(() => true)
  assert.ok(await soon(() => remove().catch(() => false)))
  assert.ok(await soon(async () => !(await kafka.admin((admin) => admin.listTopics())).includes(topic)))
}

/** Sends values alternately to the partitions of a topic, or to the only one. */
async function send(topic: string, values: string[], partitions = 1): Promise<void> {
  const clients = await openKafkajs(settings, { timeoutMs: 20_000 })
  try {
    const producer = await clients.producer()
    for (const [n, value] of values.entries())
      await producer.send({ topic, acks: -1, messages: [{ value, partition: n % partitions }] })
  } finally {
    await clients.close()
  }
}

const kill = () => process.kill(pids(settings).kafka as number, 'SIGKILL')
const startKafka = () => start(settings, ['zookeeper', 'kafka'])

const children: ChildProcess[] = []

/** Starts following a topic, and waits until existing messages are shown. */
async function follower(topic: string) {
  const { child, output, ended } = startScript('tail-topic.mts', [topic, '--follow', '--json'], env)
  children.push(child)
  const lines = () => output.stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]))
  const until = async (isDue: () => boolean) =>
    assert.ok(
      await waitUntil(async () => isDue(), { timeoutMs: SEEN_MS, pollMs: 20 }),
      `${output.stdout}${output.stderr}`,
    )
  const follow = {
    ended,
    signal: (name: NodeJS.Signals) => child.kill(name),
    /** Returns values by "partition/offset". */
    seen: () => lines().flatMap((line) => ('offset' in line ? [`${line.partition}/${line.offset} ${line.value}`] : [])),
    codes: () => lines().flatMap(({ findings }) => findings?.map(({ code }: { code: string }) => code) ?? []),
    shows: (value: string) => until(() => output.stdout.includes(`"value":"${value}"`)),
    says: (text: string) => until(() => output.stderr.includes(text)),
    /** Returns the log lines without the cause of the silence, which depends on timing. */
    logged: () => output.stderr.replace(/^(Kafka is unavailable) \(.*?\)/gm, '$1 (…)').split('\n'),
  }
  await follow.shows('old')
  return follow
}

const AWAY = 'Kafka is unavailable (…), waiting until it is back'
const BACK = 'Kafka is back, resuming'

const restart = suite('tail-topic --follow across a restart')

restart('shows each message once when the broker is killed and comes back', async () => {
  await make('kept', 2)
  await send('kept', ['old'])
  const follow = await follower('kept')
  await send('kept', ['a', 'b', 'c'], 2)
  await follow.shows('c')
  kill()
  await follow.says('Kafka is unavailable')
  await startKafka()
  await send('kept', ['d', 'e', 'f'], 2)
  await follow.shows('f')
  follow.signal('SIGINT')
  assert.equal(
    [await follow.ended, follow.seen(), follow.logged(), follow.codes()],
    [0, ['0/0 old', '0/1 a', '1/0 b', '0/2 c', '0/3 d', '1/1 e', '0/4 f'], [AWAY, BACK, ''], []],
  )
})

restart('continues at the start of a topic that was recreated in the meantime', async () => {
  await make('recreated')
  await send('recreated', ['old'])
  const follow = await follower('recreated')
  follow.signal('SIGSTOP')
  kill()
  await startKafka()
  await removeTopic('recreated')
  await make('recreated')
  await send('recreated', ['new 0', 'new 1', 'new 2'])
  follow.signal('SIGCONT')
  await follow.shows('new 2')
  follow.signal('SIGINT')
  assert.equal(
    [await follow.ended, follow.seen(), follow.logged()],
    [
      0,
      ['0/0 old', '0/0 new 0', '0/1 new 1', '0/2 new 2'],
      [AWAY, BACK, 'recreated: deleted and recreated, resuming at its start', ''],
    ],
  )
})

restart('ends if the topic was deleted in the meantime', async () => {
  await make('gone')
  await send('gone', ['old'])
  const follow = await follower('gone')
  follow.signal('SIGSTOP')
  kill()
  await startKafka()
  await removeTopic('gone')
  follow.signal('SIGCONT')
  assert.equal([await follow.ended, follow.logged(), follow.codes()], [1, [AWAY, ''], ['TOPIC_GONE']])
})

restart('continues at the end of a partition that lost records, and ends well at Ctrl-C without a broker', async () => {
  await make('lost')
  await send('lost', ['old', 'a', 'b'])
  const follow = await follower('lost')
  await follow.shows('b')
  kill()
  await follow.says('Kafka is unavailable')
  truncateSync(path.join(settings.EMBEDDED_DATA_DIR, 'kafka/lost-0/00000000000000000000.log'), 0)
  await startKafka()
  await follow.says('lost records')
  await send('lost', ['c'])
  await follow.shows('c')
  kill()
  await follow.says(`${BACK}\nlost: partition 0 lost records and ends at 0, resuming there\nKafka is unavailable`)
  follow.signal('SIGINT')
  assert.equal([await follow.ended, follow.seen()], [0, ['0/0 old', '0/1 a', '0/2 b', '0/0 c']])
})

restart.after(async () => {
  // Processes of failed tests, which may be stopped.
  for (const child of children) child.kill('SIGKILL')
  await stop()
})
restart.run()
