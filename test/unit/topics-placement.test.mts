import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  afterMoves,
  balanceOf,
  type Move,
  type PlacedTopic,
  planPlacement,
  type RackedBroker,
} from '../../scripts/lib/topics/placement.mts'
import { holds } from '../support/property.mts'

const brokersOf = (...racks: (string | null)[]): RackedBroker[] => racks.map((rack, index) => ({ id: index + 1, rack }))
const topic = (name: string, replication: number | undefined, ...lists: number[][]): PlacedTopic => ({
  name,
  replication,
  partitions: lists.map((replicas, index) => ({ index, replicas })),
})
const show = (moves: readonly Move[]) =>
  moves.map(({ topic: name, partition, from, to }) => `${name}-${partition}: ${from} → ${to}`)
const THREE = brokersOf(null, null, null)

const placement = suite('planPlacement')

placement('leaves a balanced cluster alone', () => {
  assert.equal(planPlacement(THREE, [topic('a', 3, [1, 2, 3], [2, 3, 1], [3, 1, 2])]), [])
  assert.equal(planPlacement(brokersOf(null), [topic('a', 1, [1], [1]), topic('b', 1)]), [])
})

placement('adds replicas, and changes leaders that one broker alone had', () => {
  assert.equal(show(planPlacement(THREE, [topic('a', 3, [1], [1], [1])])), [
    'a-0: 1 → 2,1,3',
    'a-1: 1 → 3,1,2',
    'a-2: 1 → 1,2,3',
  ])
})

placement('removes replicas', () => {
  assert.equal(show(planPlacement(THREE, [topic('a', 1, [1, 2, 3], [2, 3, 1], [3, 1, 2])])), [
    'a-0: 1,2,3 → 1',
    'a-1: 2,3,1 → 2',
    'a-2: 3,1,2 → 3',
  ])
})

placement('moves no more than its share to a new broker', () => {
  const moves = planPlacement(THREE, [topic('a', 1, [1], [2], [1], [2], [1], [2])])
  assert.equal([moves.length, moves.map(({ to }) => to)], [2, [[3], [3]]])
})

placement('changes only the order if only leaders are unbalanced', () => {
  const moves = planPlacement(brokersOf(null, null), [topic('a', 2, [1, 2], [1, 2], [1, 2], [1, 2])])
  assert.equal(
    moves.map(({ to }) => to),
    [
      [2, 1],
      [2, 1],
    ],
  )
})

placement('spreads topics with one partition over all brokers', () => {
  const names = ['a', 'b', 'c']
  const topics = names.map((name) => topic(name, 1, [1]))
  const moves = planPlacement(THREE, topics)
  assert.is(moves.length, 2)
  assert.equal(
    balanceOf(
      THREE,
      topics.flatMap((each) => afterMoves(each, moves).partitions),
    ).replicas,
    [1, 1],
  )
})

placement('counts topics that stay, and does not move them', () => {
  const moves = planPlacement(brokersOf(null, null), [topic('stays', undefined, [1], [1]), topic('a', 1, [1])])
  assert.equal(show(moves), ['a-0: 1 → 2'])
})

placement('moves replicas out of a rack that has more than one', () => {
  const moves = planPlacement(brokersOf('x', 'x', 'y'), [topic('a', 2, [1, 2])])
  assert.equal(show(moves), ['a-0: 1,2 → 1,3'])
  // A broker without a rack turns rack awareness off.
  assert.equal(planPlacement(brokersOf('x', 'x', null), [topic('a', 2, [1, 2])]), [])
})

/** Generates brokers, with or without racks, and topics with any placement on them. */
const clusters = fc
  .record({ racks: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 6 }), racked: fc.boolean() })
  .chain(({ racks, racked }) => {
    const brokers = brokersOf(...racks.map((rack) => (racked ? `r${rack}` : null)))
    const replicas = fc.shuffledSubarray(
      brokers.map(({ id }) => id),
      { minLength: 1 },
    )
    const one = fc.record({
      replication: fc.integer({ min: 1, max: brokers.length }),
      lists: fc.array(replicas, { minLength: 1, maxLength: 7 }),
    })
    const topics = fc
      .array(one, { minLength: 1, maxLength: 4 })
      .map((list) => list.map(({ replication, lists }, index) => topic(`t${index}`, replication, ...lists)))
    return fc.record({ brokers: fc.constant(brokers), topics })
  })

placement('keeps its invariants for any cluster', () => {
  holds(
    fc.property(clusters, ({ brokers, topics }) => {
      const moves = planPlacement(brokers, topics)
      const after = topics.map((each) => afterMoves(each, moves))
      const racked = brokers.every(({ rack }) => rack)
      for (const { replication, partitions } of after) {
        for (const { replicas } of partitions) {
          assert.is(replicas.length, replication)
          assert.is(new Set(replicas).size, replication)
        }
        const { replicas, leaders, sharedRacks } = balanceOf(brokers, partitions)
        assert.is(sharedRacks, 0)
        if (racked) continue
        assert.ok(replicas[1] - replicas[0] <= 1, `replicas ${replicas}`)
        assert.ok(leaders[1] - leaders[0] <= 1, `leaders ${leaders}`)
      }
      if (!racked) {
        const { replicas, leaders } = balanceOf(
          brokers,
          after.flatMap(({ partitions }) => partitions),
        )
        assert.ok(replicas[1] - replicas[0] <= 1, `replicas of all ${replicas}`)
        // With different replication factors, an equal number of leaders per broker may be impossible.
        if (topics.every(({ replication }) => replication === topics[0]?.replication))
          assert.ok(leaders[1] - leaders[0] <= 1, `leaders of all ${leaders}`)
      }
      assert.equal(planPlacement(brokers, after), [])
    }),
    500,
  )
})

/** Yields every possible placement of the partitions of one topic. */
function* placements(ids: number[], replication: number, partitions: number): Generator<number[][]> {
  if (partitions === 0) {
    yield []
    return
  }
  for (const rest of placements(ids, replication, partitions - 1))
    for (const set of subsets(ids, replication)) yield [set, ...rest]
}
function subsets(ids: number[], size: number): number[][] {
  if (size === 0) return [[]]
  return ids.flatMap((id, at) => subsets(ids.slice(at + 1), size - 1).map((rest) => [id, ...rest]))
}

placement('moves the fewest replicas among all equally balanced and rack-aware plans', () => {
  const small = fc.record({
    racks: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 2, maxLength: 4 }),
    replication: fc.integer({ min: 1, max: 2 }),
    seeds: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
  })
  holds(
    fc.property(small, ({ racks, replication, seeds }) => {
      const brokers = brokersOf(...racks.map((rack) => `r${rack}`))
      const ids = brokers.map(({ id }) => id)
      const ways = subsets(ids, replication)
      const now = seeds.map((seed) => ways[seed % ways.length] ?? [])
      const cost = (lists: readonly (readonly number[])[]): number[] => {
        const { sharedRacks } = balanceOf(
          brokers,
          lists.map((replicas, index) => ({ index, replicas })),
        )
        const counts = ids.map((id) => lists.filter((list) => list.includes(id)).length)
        const moves = lists.reduce((sum, list, at) => sum + list.filter((id) => !now[at]?.includes(id)).length, 0)
        return [sharedRacks, counts.reduce((sum, n) => sum + n * n, 0), moves]
      }
      const best = [...placements(ids, replication, now.length)]
        .map(cost)
        .reduce((least, each) =>
          (each.map((n, i) => n - (least[i] ?? 0)).find((n) => n !== 0) ?? 0) < 0 ? each : least,
        )
      const start = topic('a', replication, ...now)
      assert.equal(
        cost(afterMoves(start, planPlacement(brokers, [start])).partitions.map(({ replicas }) => replicas)),
        best,
      )
    }),
    200,
  )
})

placement.run()
