import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { measure, median, runGood } from '../../bench/measure.mts'

const middles = suite('median')

middles('is the middle of an odd number of values, the mean of the middle two of an even one, in any order', () => {
  assert.equal([median([3, 1, 2]), median([4, 1, 3, 2]), median([7]), median([10, 9])], [2, 2.5, 7, 9.5])
  assert.ok(Number.isNaN(median([])))
})

middles.run()

const takes = suite('measure')

takes('runs the cases in turn, prepares each, and skips the first round', async () => {
  const calls: string[] = []
  const call = (name: string) => async () => void calls.push(name)
  const measured = await measure(
    [
      { name: 'a', prepare: call('prepare'), run: call('a') },
      { name: 'b', run: call('b') },
    ],
    2,
    () => {},
  )
  assert.equal(calls, ['prepare', 'a', 'b', 'prepare', 'a', 'b', 'prepare', 'a', 'b'])
  assert.equal(
    measured.map(({ name, runsMs }) => [name, runsMs.length]),
    [
      ['a', 2],
      ['b', 2],
    ],
  )
})

takes.run()

const good = suite('runGood')

good('refuses to time a failure', async () => {
  assert.is((await runGood(process.execPath, ['--eval', ''])).exitCode, 0)
  try {
    await runGood(process.execPath, ['--eval', 'process.exit(4)'])
    assert.unreachable()
  } catch (error) {
    assert.match(String(error), /exit code 4/)
  }
})

good.run()
