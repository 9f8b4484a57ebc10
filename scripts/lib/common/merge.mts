/** Merges streams of batches in time order. */

interface Head<T> {
  batches: AsyncIterator<T[]>
  batch: T[]
  at: number
  ended: boolean
}

/**
 * Yields the items of all sources, always the earliest of their next items first; each source's own order is preserved. Holds one batch per
 * source in memory. An error of a source is thrown when it is reached.
 */
export async function* mergeByTime<T>(
  sources: readonly AsyncIterable<T[]>[],
  timeOf: (item: T) => number,
): AsyncGenerator<T[]> {
  const [only] = sources
  if (sources.length === 1 && only) {
    yield* only
    return
  }
  const heads = sources.map((source): Head<T> => {
    return { batches: source[Symbol.asyncIterator](), batch: [], at: 0, ended: false }
  })
  const nextTime = ({ batch, at }: Head<T>) => timeOf(batch[at] as T)
  for (;;) {
    const merged: T[] = []
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
    // Until a source needs its next batch.
    while (open.every(({ at, batch }) => at < batch.length)) {
      let first = open[0] as Head<T>
      for (const head of open) if (nextTime(head) < nextTime(first)) first = head
      merged.push(first.batch[first.at++] as T)
    }
    yield merged
  }
}
