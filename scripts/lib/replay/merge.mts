import type { Entry, Recording } from './recording.mts'

/** The entries of all recordings: each in its own order, and of their next ones always the earliest first. Mistakes come when they are met. */
export async function* mergeRecordings(recordings: readonly Recording[]): AsyncGenerator<Entry[]> {
  const [only] = recordings
  if (recordings.length === 1 && only) {
    yield* only.entries
    return
  }
  const heads = recordings.map(({ entries }) => ({
    batches: entries[Symbol.asyncIterator](),
    batch: [] as Entry[],
    at: 0,
    ended: false,
  }))
  for (;;) {
    const merged: Entry[] = []
    for (const head of heads) {
      while (!head.ended && head.at >= head.batch.length) {
        const next = await head.batches.next()
        head.ended = next.done === true
        head.batch = next.done ? [] : next.value
        head.at = 0
      }
    }
    const open = heads.filter(({ ended }) => !ended)
    if (open.length === 0) return
    // Until one of them has to read on.
    while (open.every(({ at, batch }) => at < batch.length)) {
      let first = open[0] as (typeof open)[number]
      for (const head of open) if (timeOf(head) < timeOf(first)) first = head
      merged.push(first.batch[first.at++] as Entry)
    }
    yield merged
  }
}

function timeOf({ batch, at }: { batch: Entry[]; at: number }): number {
  const entry = batch[at] as Entry
  return 'message' in entry ? entry.message.timeUs : Number.NEGATIVE_INFINITY
}
