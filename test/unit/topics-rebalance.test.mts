import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Metadata } from '../../scripts/lib/kafka/cluster-requests.mts'
import type { DeclaredTopic } from '../../scripts/lib/topics/file.mts'
import { unevenFindings } from '../../scripts/lib/topics/imbalance.mts'
import { electionsOf, placedTopics, type RebalancePlan } from '../../scripts/lib/topics/rebalance-plan.mts'
import {
  bytesToCopy,
  leftFindings,
  obstacles,
  rebalanceCount,
  rebalanceText,
  renderRebalance,
  summaries,
  summaryOf,
} from '../../scripts/lib/topics/rebalance-report.mts'
import { throttledReplicas } from '../../scripts/lib/topics/throttle.mts'

const plain = (_: unknown, text: string) => text
const declare = (name: string, replication: number): DeclaredTopic => ({
  name,
  partitions: 2,
  replication,
  config: {},
  at: {},
})
const NOTHING: RebalancePlan = {
  moves: [],
  moving: [],
  others: [],
  elections: [],
  throttled: [],
  down: [],
  unsafe: [],
}
const MIB = 1024 ** 2
const move = (partition: number, from: number[], to: number[], bytes: number | undefined) => ({
  ...{ topic: 'a', partition },
  ...{ from, to, bytes },
})
/** A replica that moves from broker 1 to 3, and one that is added on broker 2. */
const MOVING = [
  { topic: 'a', partition: 0, replicas: [3, 1], adding: [3], removing: [1] },
  { topic: 'b', partition: 1, replicas: [2, 3], adding: [3], removing: [] },
]
const PLAN: RebalancePlan = {
  ...NOTHING,
  moves: [move(1, [1], [2, 1], 3 * MIB), move(2, [1, 2], [2, 1], 0)],
  moving: MOVING,
  elections: [{ topic: 'c', partition: 4, from: 2, to: 1 }],
  throttled: ['b'],
}
/** Returns metadata of topics by name, each a list of the brokers of its partitions, the leader first. */
const seen = (ids: number[], topics: Record<string, number[][]>): Metadata => ({
  clusterId: 'c',
  controllerId: 1,
  brokers: ids.map((id) => ({ id, host: 'h', port: 1, rack: null })),
  topics: Object.entries(topics).map(([name, lists]) => ({
    ...{ name, id: '', internal: false },
    partitions: lists.map((replicas, index) => ({
      ...{ index, leader: replicas[0] ?? -1, replicas },
      ...{ inSync: replicas },
    })),
  })),
})
const codes = (list: readonly { severity: string; code: string; subject: string; found: string }[]) =>
  list.map(({ severity, code, subject, found }) => `${severity} ${code} ${subject}: ${found}`)

const plans = suite('plan of a rebalance')

plans('treats moves in progress as done, and leaves other topics where they are', () => {
  const { topics } = seen([1, 2, 3], { a: [[3, 1]], b: [[1], [2, 3]], other: [[1]] })
  assert.equal(placedTopics(topics, [declare('a', 1), declare('b', 2), declare('missing', 1)], ['a'], MOVING), [
    { name: 'a', replication: 1, partitions: [{ index: 0, replicas: [3] }] },
    {
      name: 'b',
      replication: undefined,
      partitions: [
        { index: 0, replicas: [1] },
        { index: 1, replicas: [2, 3] },
      ],
    },
  ])
})

plans('elects the first replica only if it is in sync', () => {
  const { topics } = seen([1, 2], {
    a: [
      [1, 2],
      [1, 2],
      [1, 2],
    ],
  })
  const partitions = topics[0]?.partitions.map((partition, index) => ({
    ...partition,
    leader: index === 0 ? 1 : 2,
    inSync: index === 1 ? [2] : [1, 2],
  }))
  assert.equal(electionsOf(topics.map((topic) => ({ ...topic, partitions: partitions ?? [] }))), [
    { topic: 'a', partition: 2, from: 2, to: 1 },
  ])
})

plans('throttles replicas that are read and those that are written', () => {
  const names = ['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas'] as const
  assert.equal(
    [...throttledReplicas(PLAN.moves, MOVING)],
    [
      ['a', { [names[0]]: '1:1,0:1', [names[1]]: '1:2,0:3' }],
      ['b', { [names[0]]: '1:2', [names[1]]: '1:3' }],
    ],
  )
  // Another order copies no data.
  assert.is(throttledReplicas([move(2, [1, 2], [2, 1], 0)], []).size, 0)
})
plans.run()

const report = suite('report of a rebalance')

report('has a line for each partition and throttle', () => {
  assert.is(
    renderRebalance(PLAN, plain),
    `  ~ moving      a-0  brokers 1 → 3
  ~ moving      b-1  brokers 2 → 2,3
  ~ move        a-1  brokers 1 → 2,1, 3.0 MiB to copy
  ~ move        a-2  brokers 1,2 → 2,1
  ~ elect       c-4  leader: 2 → 1
  ~ unthrottle  b    replication is throttled`,
  )
  assert.equal([rebalanceCount(PLAN), rebalanceCount(NOTHING)], [6, 0])
  assert.equal(rebalanceText(PLAN, 'plan', []), ['Topics that --rebalance would change: 3, 3.0 MiB to copy'])
  assert.is(bytesToCopy({ moves: [...PLAN.moves, move(3, [1], [1, 2], undefined)] }), undefined)
  assert.is(
    summaryOf(PLAN, 0.5 * MIB),
    'Moving 2 partitions, 3.0 MiB to copy, waiting for 2 partitions already moving, at most 0.5 MiB/s per broker',
  )
})

report('says what was done and what was not', () => {
  const done = { plan: PLAN, after: NOTHING, refused: new Map(), stopped: false }
  assert.equal(summaries(done), [
    'a: 3 partitions moved',
    'b: 1 partition moved, no longer throttled',
    'c: 1 partition led by the preferred broker again',
  ])
  assert.equal(leftFindings(done, 60_000, 'again'), [])
  const refused = new Map([['a-1', { error: 'INVALID_REPLICA_ASSIGNMENT', message: 'no broker 2' }]])
  const left = { ...done, refused, after: { ...NOTHING, moves: [move(1, [1], [2, 1], 1)] } }
  assert.equal(codes(leftFindings(left, 60_000, 'again')), [
    'error TOPIC_NOT_MOVED a-1: Kafka could not move the partition: no broker 2',
  ])
  const stopped = { ...done, stopped: true, after: { ...NOTHING, moves: [move(1, [1], [2, 1], 1)] } }
  assert.equal(codes(leftFindings(stopped, 60_000, 'again')), [
    'error REBALANCE_STOPPED kafka partitions: stopped: 1 of 4 partitions were not moved',
  ])
  const late = { ...done, after: { ...NOTHING, moving: MOVING, throttled: ['a'] } }
  assert.equal(codes(leftFindings(late, 60_000, 'again')), [
    'error REBALANCE_UNDER_WAY kafka partitions: 2 of 4 are still moving, without progress for 60 s; the brokers continue, throttled',
  ])
  assert.equal(summaries(late), [
    'a: 2 partitions moved',
    'b: no longer throttled',
    'c: 1 partition led by the preferred broker again',
  ])
})

report('names what keeps replicas where they are', () => {
  const plan = { ...NOTHING, down: [2, 3], unsafe: [{ topic: 'a', inSync: 2, replication: 1 }] }
  assert.equal(codes(obstacles(plan, 'again')), [
    'error KAFKA_BROKERS_DOWN kafka brokers: down: 2, 3; replicas are not moved while brokers are down',
    'error TOPIC_MIN_IN_SYNC a: min.insync.replicas 2; with fewer replicas, brokers may reject records sent with acks=all',
  ])
  assert.equal(obstacles(NOTHING, 'again'), [])
})
report.run()

const uneven = suite('unevenFindings')
const warned = (metadata: Metadata, declared: DeclaredTopic[]) =>
  unevenFindings(metadata, declared, []).map(({ code, subject, found, expected, hint }) => [
    ...[code, subject, found, expected],
    hint,
  ])

uneven('warns of a topic on some brokers only', () => {
  assert.equal(
    warned(seen([1, 2, 3], { a: [[1], [2], [1], [2]], b: [[1], [2], [3]] }), [declare('a', 1), declare('b', 1)]),
    [
      [
        'TOPIC_UNEVEN',
        'a',
        '0 to 2 replicas and 0 to 2 leaders per broker',
        '1 to 2 replicas and 1 to 2 leaders per broker',
        './scripts/create-topics.mts --rebalance --only a',
      ],
    ],
  )
})

uneven('warns of topics that are each balanced, and together on one broker', () => {
  const topics = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, [[1]]]))
  const declared = Object.keys(topics).map((name) => declare(name, 1))
  assert.equal(
    warned(seen([1, 2], topics), declared).map(([code, subject]) => [code, subject]),
    [['KAFKA_UNEVEN', 'kafka brokers']],
  )
})

uneven('has nothing to report for one broker, a broker that is down, and another replication factor', () => {
  assert.equal(warned(seen([1], { a: [[1], [1]] }), [declare('a', 1)]), [])
  assert.equal(warned(seen([1, 2], { a: [[3], [1], [1], [1]] }), [declare('a', 1)]), [])
  assert.equal(warned(seen([1, 2], { a: [[1], [1], [1], [1]] }), [declare('a', 2)]), [])
  assert.equal(warned(seen([1, 2], { a: [[1], [2], [1]] }), [declare('a', 1)]), [])
})
uneven.run()
