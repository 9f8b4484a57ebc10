import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readUntil, waitUntil } from '../../scripts/lib/common/wait.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { projectFolder } from '../support/project.mts'

/** Returns a fake clock that advances only by sleeping and by `busyMs` per check, and what it recorded. */
function clock(busyMs = 0) {
  const sleeps: number[] = []
  const checks: number[] = []
  let nowMs = 1_000
  return {
    sleeps,
    checks,
    now: () => nowMs,
    sleep: async (ms: number) => {
      sleeps.push(ms)
      nowMs += ms
    },
    check: <T,>(answer: (index: number) => T) => {
      return async () => {
        checks.push(nowMs - 1_000)
        nowMs += busyMs
        return answer(checks.length - 1)
      }
    },
  }
}

const wait = suite('waitUntil')

wait('checks immediately and does not sleep if the answer is there', async () => {
  const { sleeps, check, ...time } = clock()
  assert.is(
    await waitUntil(
      check(() => 'up'),
      { timeoutMs: 1_000, pollMs: 100, ...time },
    ),
    'up',
  )
  assert.equal(sleeps, [])
})

wait('accepts any value except undefined and false as the answer', async () => {
  for (const value of [0, '', null, true]) {
    const { check, ...time } = clock()
    assert.is(
      await waitUntil(
        check(() => value),
        { timeoutMs: 0, pollMs: 100, ...time },
      ),
      value,
    )
  }
  for (const value of [undefined, false]) {
    const { check, ...time } = clock()
    assert.is(
      await waitUntil(
        check(() => value),
        { timeoutMs: 0, pollMs: 100, ...time },
      ),
      undefined,
    )
  }
})

wait('polls until there is an answer', async () => {
  const { sleeps, checks, check, ...time } = clock()
  const third = check((index) => index === 2 && 'up')
  assert.is(await waitUntil(third, { timeoutMs: 1_000, pollMs: 100, ...time }), 'up')
  assert.equal(
    [sleeps, checks],
    [
      [100, 100],
      [0, 100, 200],
    ],
  )
})

wait('checks once more at the deadline, and not after it', async () => {
  const { sleeps, checks, check, ...time } = clock()
  assert.is(
    await waitUntil(
      check(() => false),
      { timeoutMs: 250, pollMs: 100, ...time },
    ),
    undefined,
  )
  assert.equal(
    [sleeps, checks],
    [
      [100, 100, 50],
      [0, 100, 200, 250],
    ],
  )
})

wait('counts the time that checks take', async () => {
  const { sleeps, checks, check, ...time } = clock(200)
  assert.is(
    await waitUntil(
      check(() => false),
      { timeoutMs: 250, pollMs: 100, ...time },
    ),
    undefined,
  )
  assert.equal([sleeps, checks], [[50], [0, 250]])
})

wait('checks once with no time at all', async () => {
  const { checks, check, ...time } = clock()
  assert.is(
    await waitUntil(
      check(() => false),
      { timeoutMs: 0, pollMs: 100, ...time },
    ),
    undefined,
  )
  assert.equal(checks, [0])
})

wait('returns the last value, good or not', async () => {
  const { checks, check, ...time } = clock()
  const read = check((index) => index)
  assert.is(await readUntil(read, (value) => value === 9, { timeoutMs: 250, pollMs: 100, ...time }), 3)
  assert.equal(checks, [0, 100, 200, 250])
})

wait('passes on errors of a check', async () => {
  const failing = waitUntil(() => Promise.reject(new RangeError('no')), { timeoutMs: 1_000, pollMs: 100 })
  assert.is(await failing.catch((error: Error) => error.message), 'no')
})

wait('sleeps on the real clock by default', async () => {
  let checks = 0
  const second = async () => ++checks === 2 && checks
  assert.is(await waitUntil(second, { timeoutMs: 10_000, pollMs: 1 }), 2)
})

wait('keeps the process alive until a deadline passes', async () => {
  const folder = projectFolder({
    'late.mts': `import { inTime } from '${ROOT}/scripts/lib/common/wait.mts'
const text = await inTime(new Promise(() => {}), 50, 'late').catch(({ message }) => message)
console.log(text, await inTime(Promise.resolve('early'), 3_600_000, 'late'))
`,
  })
  const { exitCode, stdout } = await runFile(path.join(ROOT, 'scripts/lib/run'), [path.join(folder, 'late.mts')])
  assert.equal([exitCode, stdout], [0, 'late early\n'])
})

wait.run()
