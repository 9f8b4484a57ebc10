import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isMoved, type Move, planMoves, recordsMoved } from '../../scripts/lib/groups/plan.mts'
import { renderMoves } from '../../scripts/lib/groups/report.mts'
import type { Offsets } from '../../scripts/lib/kafka/offsets.mts'

const partition = (index: number) => ({ index, leader: 1, replicas: [1], inSync: [1] })
const topic = (name: string, count: number) => ({
  name,
  id: '',
  internal: false,
  partitions: Array.from({ length: count }, (_, index) => partition(count - 1 - index)),
})
const offsets = (all: Record<string, number>): Offsets =>
  new Map(
    Object.entries(all).map(([key, offset]) => [
      key,
      { topic: '', partition: 0, error: 'NONE', offset, timestampMs: -1 },
    ]),
  )
const move = (from: number | null, to: number): Move => ({ topic: 't', partition: 0, from, to, low: 10, high: 100 })

const plan = suite('planMoves')

plan('has a move for each partition with a target, in order', () => {
  const low = offsets({ 'b/0': 0, 'a/0': 5, 'a/1': 0 })
  const high = offsets({ 'b/0': 9, 'a/0': 10, 'a/1': 7 })
  const committed = [{ topic: 'a', partition: 0, offset: 8 }]
  const targets = new Map([
    ['b/0', 9],
    ['a/0', 5],
    ['a/1', 0],
    ['c/0', 1],
  ])
  assert.equal(planMoves([topic('b', 1), topic('a', 3)], committed, targets, { low, high }), [
    { topic: 'a', partition: 0, from: 8, to: 5, low: 5, high: 10 },
    { topic: 'a', partition: 1, from: null, to: 0, low: 0, high: 7 },
    { topic: 'b', partition: 0, from: null, to: 9, low: 0, high: 9 },
  ])
})

const MOVES: [Move, { again: number; skipped: number }, boolean][] = [
  [move(50, 20), { again: 30, skipped: 0 }, true],
  [move(50, 90), { again: 0, skipped: 40 }, true],
  [move(50, 50), { again: 0, skipped: 0 }, false],
  [move(null, 20), { again: 0, skipped: 0 }, true],
  // Deleted records and offsets after the end do not count.
  [move(0, 10), { again: 0, skipped: 0 }, true],
  [move(5, 30), { again: 0, skipped: 20 }, true],
  [move(999, 100), { again: 0, skipped: 0 }, true],
  [move(999, 90), { again: 10, skipped: 0 }, true],
]
for (const [each, records, moved] of MOVES) {
  plan(`counts the records from ${each.from} to ${each.to}`, () => {
    assert.equal([recordsMoved(each), isMoved(each)], [records, moved])
  })
}

plan('shows what moves, and counts the rest', () => {
  const moves = [
    move(50, 20),
    { ...move(50, 90), partition: 1 },
    { ...move(null, 100), partition: 2 },
    { ...move(0, 10), partition: 3 },
  ]
  assert.is(
    renderMoves('g', [...moves, { ...move(7, 7), partition: 4 }]),
    [
      'Consumer group g',
      '  partition  offset                   its next reader',
      '  t/0        50 → 20                  reads 30 again',
      '  t/1        50 → 90                  skips 40',
      '  t/2        nothing committed → 100  begins there: 0 to read',
      '  t/3        0 → 10                   reads on as before',
      '  1 partition is there already',
    ].join('\n'),
  )
})

plan.run()
