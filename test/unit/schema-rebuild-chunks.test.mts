/** How a rebuild divides a table into chunks. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { haveRowsChanged, markOf, planChunks } from '../../scripts/lib/schema/rebuild-chunks.mts'

const partition = (id: string, rows: number, from: string[] = []) => ({ id, value: '', rows, from })

const plan = suite('planChunks')

plan('groups partitions up to a number of rows, and splits none', () => {
  const partitions = [2, 3, 5, 1, 20, 4, 4].map((rows, id) => partition(`${id}`, rows))
  const sizes = planChunks(partitions, 8).map((chunk) => chunk.map(({ rows }) => rows))
  assert.equal(sizes, [[2, 3], [5, 1], [20], [4, 4]])
  assert.equal(planChunks([], 8), [])
})

plan('takes at most 32 partitions at a time, so that a kill costs little', () => {
  const partitions = Array.from({ length: 70 }, (_, id) => partition(`${id}`, 1))
  assert.equal(
    planChunks(partitions).map((chunk) => chunk.length),
    [32, 32, 6],
  )
})

const marks = suite('marks')
const before = new Map([
  ['', 0],
  ['a', 3],
  ['b', 5],
])

marks('differ where rows were added or removed, and everywhere after a mutation', () => {
  const after = (changes: [string, number][]) => new Map([...before, ...changes])
  assert.is(haveRowsChanged(after([]), before), false)
  assert.is(haveRowsChanged(after([['b', 6]]), before), true)
  assert.is(haveRowsChanged(after([['b', 6]]), before, ['a']), false)
  assert.is(haveRowsChanged(after([['c', 1]]), before), true)
  assert.is(haveRowsChanged(before, after([['c', 1]])), true)
  assert.is(haveRowsChanged(after([['', 7]]), before, ['a']), true)
  const mark = (changes: [string, number][]) => markOf(partition('1', 1, ['a']), after(changes))
  assert.is(mark([['b', 6]]), mark([]))
  assert.is.not(mark([['a', 4]]), mark([]))
  assert.is.not(mark([['', 7]]), mark([]))
})

for (const each of [plan, marks]) each.run()
