import { networkInterfaces } from 'node:os'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ingestStatements } from '../../scripts/lib/clickhouse/statements.mts'
import type { OpsError } from '../../scripts/lib/common/findings.mts'
import { isThisMachine } from '../../scripts/lib/common/tcp.mts'
import { queuesOf } from '../../scripts/lib/ingest/queues.mts'
import type { Metadata } from '../../scripts/lib/kafka/cluster-requests.mts'
import type { ConsumerGroup } from '../../scripts/lib/kafka/groups.mts'
import { activeFindings, guardCluster, selectTopics } from '../../scripts/lib/reset/guard.mts'
import { resetCommand, withoutReaders } from '../../scripts/lib/reset/hint.mts'
import { formatBytes, renderSurvey } from '../../scripts/lib/reset/survey.mts'
import { readSettings } from '../../scripts/lib/settings/settings.mts'

const machine = suite('isThisMachine')

machine('knows loopback and the addresses of its own interfaces', async () => {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
  const hosts = ['127.0.0.1', '127.9.9.9', 'localhost', '::1', '0.0.0.0', ...addresses]
  assert.equal(await Promise.all(hosts.map(isThisMachine)), Array(hosts.length).fill(true))
})

machine('treats every other address, and an unresolvable name, as another machine', async () => {
  const hosts = ['203.0.113.1', '2001:db8::1', 'no-such-host.invalid', '128.0.0.1']
  assert.equal(await Promise.all(hosts.map(isThisMachine)), [false, false, false, false])
})

machine.run()

const selects = suite('selectTopics')
const known = { declared: ['a', 'b'], present: ['b', 'c'], only: [] as string[], all: false }

selects('selects the declared topics, whether they exist or not', () => {
  assert.equal(selectTopics(known), ['a', 'b'])
})

selects('selects with `all` those of the cluster too', () => {
  assert.equal(selectTopics({ ...known, all: true }), ['a', 'b', 'c'])
})

selects('selects only the named topics', () => {
  assert.equal(selectTopics({ ...known, only: ['b'] }), ['b'])
  assert.equal(selectTopics({ ...known, only: ['c'], all: true }), ['c'])
})

selects('refuses an undeclared name, and a missing topic', () => {
  assert.throws(() => selectTopics({ ...known, only: ['c'] }), /--only c: found an undeclared topic/)
  assert.throws(() => selectTopics({ ...known, only: ['d'], all: true }), /--only d: found no such topic/)
  const hints = ['c', 'd'].map((name) => {
    try {
      return selectTopics({ ...known, only: [name], file: '/tmp/t.yml' }).join()
    } catch (error) {
      return (error as OpsError).findings[0]?.hint
    }
  })
  assert.equal(hints, [
    'add --all to delete it permanently, or name the file that declares it with --file',
    './scripts/reset-kafka.mts --dry-run --file /tmp/t.yml',
  ])
})

selects.run()

const guards = suite('guardCluster')
const cluster = (...hosts: string[]): Metadata => ({
  clusterId: 'this-one',
  controllerId: 1,
  brokers: hosts.map((host, index) => ({ id: index + 1, host, port: 9092, rack: null })),
  topics: [],
})
const guarded = (seen: Metadata, servers: string[], clusterId?: string) =>
  guardCluster(seen, servers, clusterId).then(
    () => 'accepted',
    (error: Error) => error.message,
  )

guards('accepts this machine, and any named cluster', async () => {
  assert.is(await guarded(cluster('127.0.0.1'), ['localhost:9092']), 'accepted')
  assert.is(await guarded(cluster('203.0.113.1'), ['203.0.113.1:9092'], 'this-one'), 'accepted')
})

guards('refuses if any address, given or advertised, is on another machine', async () => {
  assert.match(
    await guarded(cluster('127.0.0.1', '203.0.113.1'), ['127.0.0.1:9092']),
    /a broker at 203\.0\.113\.1, which/,
  )
  assert.match(await guarded(cluster('127.0.0.1'), ['203.0.113.2:9092']), /a broker at 203\.0\.113\.2, which/)
})

guards('refuses a cluster other than the named one, even on this machine', async () => {
  assert.match(
    await guarded(cluster('127.0.0.1'), ['127.0.0.1:9092'], 'other'),
    /found cluster this-one, expected other/,
  )
})

guards.run()

const group = (changes: Partial<ConsumerGroup>): ConsumerGroup => ({
  id: 'readers',
  state: 'Stable',
  members: ['app at 10.0.0.7'],
  subscribed: ['a'],
  committed: [],
  ...changes,
})

const EVERYTHING = { only: [], all: false }
const commands = suite('resetCommand')

commands('covers no more than the run did, with the same declaration and cluster', () => {
  assert.is(resetCommand(EVERYTHING), './scripts/reset-kafka.mts')
  const scope = { only: ['a', 'b'], all: true, file: '/tmp/my topics.yml', clusterId: 'this-one' }
  const rest = "--all --file '/tmp/my topics.yml' --cluster-id this-one"
  assert.is(resetCommand(scope), `./scripts/reset-kafka.mts --only a b ${rest}`)
  assert.is(resetCommand(scope, ['b']), `./scripts/reset-kafka.mts --only b ${rest}`)
})

commands('follows what stops the readers, with the command for the built-in ingest', () => {
  const command = resetCommand(EVERYTHING)
  assert.is(withoutReaders('readers', command), `stop its consumers, then: ${command}`)
  const groups = queuesOf(ingestStatements(readSettings())).map(({ group: id }) => id)
  assert.is(groups.length, 4)
  for (const id of groups)
    assert.is(
      withoutReaders(id, command),
      './scripts/ingest.mts off, then: ./scripts/reset-kafka.mts, then: ./scripts/ingest.mts on',
    )
})

commands.run()

const active = suite('activeFindings')

active('finds active groups, including those in a rebalance', () => {
  const states = ['Stable', 'PreparingRebalance', 'CompletingRebalance', 'Unknown', 'Empty', 'Dead']
  const found = states.filter((state) => activeFindings([group({ state })], false, EVERYTHING).length > 0)
  assert.equal(found, ['Stable', 'PreparingRebalance', 'CompletingRebalance', 'Unknown'])
})

active('only warns when forced', () => {
  const findingsOf = (id: string, only: string[] = []) =>
    [false, true].map((force) => {
      const [found] = activeFindings([group({ id })], force, { ...EVERYTHING, only })
      return [found?.severity, found?.hint]
    })
  assert.equal(findingsOf('readers', ['a']), [
    ['error', 'stop its consumers, then: ./scripts/reset-kafka.mts --only a; or add --force'],
    ['warning', 'restart its consumers after the reset'],
  ])
  assert.equal(findingsOf('l2_ingest.quotes'), [
    [
      'error',
      './scripts/ingest.mts off, then: ./scripts/reset-kafka.mts, then: ./scripts/ingest.mts on; or add --force',
    ],
    ['warning', './scripts/ingest.mts status (the ingest switches to the new topics by itself)'],
  ])
})

active.run()

const shows = suite('renderSurvey')

shows('shows a table of what would be lost', () => {
  const topic = { id: '1', declared: true, uncounted: 0 }
  const text = renderSurvey({
    clusterId: 'this-one',
    topics: [
      {
        ...topic,
        name: 'iqfeed.l2.raw',
        records: 1_234_567,
        bytes: 39_506_144,
        newestMs: Date.UTC(2026, 10, 23, 14, 30),
      },
      { ...topic, name: 'notes', records: 0, bytes: 0, declared: false, uncounted: 2 },
    ],
    missing: ['late'],
    groups: [group({ committed: [{ topic: 'a', partition: 0, offset: 1 }] })],
  })
  assert.is(
    text,
    `Kafka cluster this-one
  topic            records  on disk  newest record
  iqfeed.l2.raw  1,234,567  37.7 MB  2026-11-23T14:30:00.000Z
  notes                  0      0 B  -                         not declared: permanently deleted; 2 partitions do not report their offsets and are not counted
  late                   -        -  -                         does not exist yet
  consumer group readers: Stable, members: 1, committed offsets: 1`,
  )
})

shows('formats bytes with three digits', () => {
  const sizes = [0, 1, 1023, 1024, 1536, 1_047_552, 1024 ** 3, 5 * 1024 ** 5].map(formatBytes)
  assert.equal(sizes, ['0 B', '1 B', '1023 B', '1.00 KB', '1.50 KB', '1023 KB', '1.00 GB', '5120 TB'])
})

shows.run()
