/** Pace, batches, errors and merging of several recordings, with a fake clock and sender instead of services. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { showProgress } from '../../scripts/lib/command/progress.mts'
import type { Message } from '../../scripts/lib/replay/message.mts'
import { play } from '../../scripts/lib/replay/play.mts'
import { type Entry, mergeRecordings, type Recording } from '../../scripts/lib/replay/recording.mts'

const playing = suite('play')

const message = (timeUs: number): Message => ({ topic: 'iqfeed.l2.raw', key: 'A', value: String(timeUs), timeUs })
const entryOf = (timeUs: number): Entry => ({ file: 'f', line: timeUs, message: message(timeUs) })

async function* batchesOf<T>(...batches: T[][]): AsyncGenerator<T[]> {
  yield* batches
}

/** Plays with a fake clock. Returns when each message was sent, in ms, and the result. */
async function played(
  entries: Entry[],
  pace: Parameters<typeof play>[2]['pace'],
  more: { strict?: boolean; refuse?: number[]; batchBytes?: number } = {},
) {
  let clockMs = 1_000
  const sent: [string, number][] = []
  const batches: number[] = []
  const gaps: unknown[] = []
  const sender = {
    batchBytes: more.batchBytes ?? 1_000_000,
    send: async (messages: readonly Message[]) => {
      batches.push(messages.length)
      sent.push(...messages.map(({ value }): [string, number] => [value, clockMs - 1_000]))
      return more.refuse ?? []
    },
    close: async () => {},
  }
  const outcome = await play(batchesOf(entries), sender, {
    pace,
    strict: more.strict ?? false,
    onProgress: () => {},
    onGap: (gap) => gaps.push(gap),
    stopped: () => false,
    now: () => clockMs,
    sleep: async (ms) => {
      clockMs += ms
    },
  })
  return { sent, batches, gaps, outcome }
}

const SECONDS = [0, 1_000_000, 3_000_000].map(entryOf)

playing('keeps recorded pauses, times the speed', async () => {
  const times = async (speed: number) => (await played(SECONDS, { kind: 'recorded', speed })).sent.map(([, ms]) => ms)
  assert.equal(await times(1), [0, 1_000, 3_000])
  assert.equal(await times(10), [0, 100, 300])
})

playing('limits gaps to --max-gap, and announces one of more than an hour', async () => {
  const hour = 3_600
  const entries = [0, 1, 1 + hour, 2 + 3 * hour, 1 + 3 * hour, 3 + 3 * hour].map((second) => entryOf(second * 1e6))
  const of = async (pace: Parameters<typeof played>[1]) => {
    const { sent, gaps } = await played(entries, pace)
    return [sent.map(([, ms]) => ms / 1000), gaps]
  }
  const gap = { seconds: 2 * hour + 1, untilUs: (2 + 3 * hour) * 1e6 }
  const times = [0, 1, 1 + hour, 2 + 3 * hour, 2 + 3 * hour, 3 + 3 * hour]
  assert.equal(await of({ kind: 'recorded', speed: 1 }), [times, [{ ...gap, waitSeconds: 2 * hour + 1 }]])
  assert.equal(await of({ kind: 'recorded', speed: 1, maxGapSeconds: 5 }), [[0, 1, 6, 11, 11, 12], []])
  assert.equal(await of({ kind: 'recorded', speed: 1, maxGapSeconds: 0 }), [[0, 0, 0, 0, 0, 0], []])
  const [, gaps] = await of({ kind: 'recorded', speed: 10, maxGapSeconds: 4_000 })
  assert.equal(gaps, [{ ...gap, waitSeconds: 400 }])
  assert.equal((await of({ kind: 'fast' }))[1], [])
})

playing('sends at a fixed rate, whatever the recorded pauses; or at once', async () => {
  const times = async (pace: Parameters<typeof played>[1]) => (await played(SECONDS, pace)).sent.map(([, ms]) => ms)
  assert.equal(await times({ kind: 'rate', perSecond: 4 }), [0, 250, 500])
  assert.equal(await times({ kind: 'fast' }), [0, 0, 0])
})

playing('counts sent and unusable messages, with file and line', async () => {
  const entries: Entry[] = [...SECONDS, { file: 'a.csv', line: 7, mistake: 'price: "x"' }]
  const { outcome } = await played(entries, { kind: 'fast' }, { refuse: [1] })
  assert.equal(Object.fromEntries(outcome.topics), { 'iqfeed.l2.raw': { sent: 3, acknowledged: 2, bytes: 15 } })
  assert.is(outcome.mistakes, 2)
  assert.equal(outcome.samples.sort(), ['a.csv:7: price: "x"', 'f:1000000: 7 bytes exceed the limit of iqfeed.l2.raw'])
})

playing('strict ends at the first mistake, after everything before it', async () => {
  const entries: Entry[] = [entryOf(1), { file: 'a', line: 2, mistake: 'no' }, entryOf(3)]
  const { sent, outcome } = await played(entries, { kind: 'fast' }, { strict: true })
  assert.equal([sent.length, outcome.mistakes], [1, 1])
})

playing('strict ends at a message that its topic refuses, without waiting for the next', async () => {
  const sentOf = async (pace: Parameters<typeof played>[1], batchBytes: number) => {
    const { sent, outcome } = await played(SECONDS, pace, { strict: true, refuse: [0], batchBytes })
    assert.equal(outcome.samples, ['f:0: 1 bytes exceed the limit of iqfeed.l2.raw'])
    return sent
  }
  assert.equal(await sentOf({ kind: 'fast' }, 2), [['0', 0]])
  assert.equal(await sentOf({ kind: 'recorded', speed: 1 }, 1_000), [['0', 0]])
  const thenMistake: Entry[] = [entryOf(0), { file: 'f', line: 1, mistake: 'no' }]
  const { outcome } = await played(thenMistake, { kind: 'fast' }, { strict: true, refuse: [0] })
  assert.is(outcome.mistakes, 1)
})

playing('limits a batch to the bytes that its topics accept, counted in UTF-8', async () => {
  const texts = ['12', '34', '56', 'é'.repeat(4), '7', 'x'.repeat(30), '8']
  const entries = texts.map((value, line): Entry => ({ file: 'f', line, message: { ...message(line), value } }))
  const { batches, outcome } = await played(entries, { kind: 'fast' }, { batchBytes: 9 })
  // Sizes including a key of one byte: 3 + 3 + 3, 9, 2, 31 alone, 2.
  assert.equal(batches, [3, 1, 1, 1, 1])
  assert.is(outcome.topics.get('iqfeed.l2.raw')?.bytes, 46)
})

playing('merges several recordings by time, each in its own order', async () => {
  const recording = (...batches: number[][]): Recording => ({
    file: 'f',
    entries: batchesOf(...batches.map((times) => times.map(entryOf))),
    fraction: () => 0,
  })
  const merged: number[] = []
  const recordings = [recording([1, 5], [], [6, 2]), recording([3], [4, 9]), recording()]
  for await (const batch of mergeRecordings(recordings)) merged.push(...batch.map(({ line }) => line))
  assert.equal(merged, [1, 3, 4, 5, 6, 2, 9])
})

playing('draws a bar only on terminals, and no faster than the eye', () => {
  const written: string[] = []
  const write = (text: string) => written.push(text)
  let clockMs = 0
  const show = (isTTY: boolean) =>
    showProgress(
      () => {},
      { isTTY, columns: 60, write },
      () => clockMs,
    )
  show(false).show(0.5, 'half')
  assert.equal(written, [])
  const bar = show(true)
  bar.show(0.5, 'half')
  clockMs = 99
  bar.show(0.6, 'more')
  clockMs = 100
  bar.show(undefined, 'no end in sight')
  bar.clear()
  assert.equal(written, [
    `\r\u001b[K[${'#'.repeat(15)}${'.'.repeat(15)}]  50 %  half`,
    '\r\u001b[Kno end in sight',
    '\r\u001b[K',
  ])
})
playing('prints a line every few seconds off a terminal', () => {
  const logged: string[] = []
  let clockMs = 0
  const lines = (isTTY: boolean) =>
    showProgress(
      (line) => logged.push(line),
      { isTTY, write: () => {} },
      () => clockMs,
    )
  const { show } = lines(false)
  const onTerminal = lines(true)
  for (clockMs = 0; clockMs <= 12_000; clockMs += 1_000) {
    show(clockMs / 24_000, `${clockMs} ms`)
    onTerminal.show(0.5, 'no')
  }
  show(0, 'of no known length')
  assert.equal(logged, ['20 %  5000 ms', '41 %  10000 ms'])
  clockMs = 20_000
  show(0, 'of no known length')
  assert.is(logged.at(-1), 'of no known length')
})
playing.run()
