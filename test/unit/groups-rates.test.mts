import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { statusOf } from '../../scripts/lib/groups/rates.mts'
import { formatSpan } from '../../scripts/lib/groups/report.mts'
import { type GroupPosition, type GroupPositions, partitionLag } from '../../scripts/lib/kafka/lag.mts'

const at = (
  partition: number,
  committed: number | undefined,
  high: number | undefined,
  topic = 't',
): GroupPosition => ({
  topic,
  partition,
  committed,
  low: 0,
  high,
  behind: partitionLag(committed, 0, high),
})
const group = (...partitions: GroupPosition[]): GroupPositions => ({
  id: 'g',
  state: 'Stable',
  protocol: 'consumer',
  members: ['c at h'],
  subscribed: ['t'],
  error: 'NONE',
  partitions,
})

const rates = suite('statusOf')

rates('counts what is read and written between two reads, over the partitions', () => {
  const before = group(at(0, 100, 1_000), at(1, 50, 500))
  const after = group(at(1, 150, 520), at(0, 300, 1_040))
  assert.equal(statusOf(before, after, 2), {
    group: 'g',
    state: 'Stable',
    protocol: 'consumer',
    members: ['c at h'],
    topics: [
      {
        topic: 't',
        lag: 1_110,
        consumedPerSecond: 150,
        producedPerSecond: 30,
        // 1,110 records at 120 per second.
        catchUpSeconds: 10,
        partitions: [
          { partition: 0, committed: 300, end: 1_040, lag: 740 },
          { partition: 1, committed: 150, end: 520, lag: 370 },
        ],
      },
    ],
  })
})

const topicOf = (before: GroupPositions | undefined, after: GroupPositions) => {
  const [topic] = statusOf(before, after, 1).topics
  return [topic?.lag, topic?.consumedPerSecond, topic?.producedPerSecond, topic?.catchUpSeconds]
}

rates('never catches up with writers that are as fast, or when nothing is read', () => {
  assert.equal(topicOf(group(at(0, 0, 100)), group(at(0, 10, 110))), [100, 10, 10, null])
  assert.equal(topicOf(group(at(0, 0, 100)), group(at(0, 0, 100))), [100, 0, 0, null])
})

rates('has caught up without lag', () => {
  assert.equal(topicOf(group(at(0, 100, 100)), group(at(0, 110, 110))), [0, 10, 10, 0])
  assert.equal(topicOf(group(at(0, 100, 100)), group(at(0, 100, 100))), [0, 0, 0, 0])
})

rates('derives no rate from a new group, partition or commit, or from a reset', () => {
  assert.equal(topicOf(undefined, group(at(0, 10, 100))), [90, 0, 0, null])
  assert.equal(topicOf(group(), group(at(0, 10, 100))), [90, 0, 0, null])
  assert.equal(topicOf(group(at(0, undefined, 100)), group(at(0, 10, 100))), [90, 0, 0, null])
  assert.equal(topicOf(group(at(0, 50, 100)), group(at(0, 0, 100))), [100, 0, 0, null])
})

rates('does not know the lag if an end is not reported', () => {
  const [topic] = statusOf(undefined, group(at(0, 1, 1), at(1, 1, undefined)), 1).topics
  assert.equal(
    [topic?.lag, topic?.catchUpSeconds, topic?.partitions[1]],
    [null, null, { partition: 1, committed: 1, end: null, lag: null }],
  )
})

rates('keeps topics apart, by name', () => {
  const { topics } = statusOf(undefined, group(at(0, 1, 2, 'b'), at(0, 1, 1, 'a')), 1)
  assert.equal(
    topics.map(({ topic, lag }) => [topic, lag]),
    [
      ['a', 0],
      ['b', 1],
    ],
  )
})

rates.run()

const span = suite('formatSpan')

for (const [seconds, expected] of [
  [0, '0 s'],
  [1, '1 s'],
  [59, '59 s'],
  [60, '1 min'],
  [750, '12 min 30 s'],
  [3_600, '1 h'],
  [11_100, '3 h 5 min'],
  [86_399, '23 h 59 min'],
  [187_200, '2 d 4 h'],
] as const)
  span(`${seconds} s`, () => assert.is(formatSpan(seconds), expected))

span.run()
