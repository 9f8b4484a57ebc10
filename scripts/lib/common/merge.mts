/** Sequences of batches as one, in the order of time. */

interface Head<T> {
  batches: AsyncIterator<T[]>
  batch: T[]
  at: number
  ended: boolean
}

/**
 * The items of all sources: each source's in its own order, and of their next ones always the earliest first. Of each source one batch is
 * held. Errors of a source come when they are met.
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
    // Until one of them has to read on.
    while (open.every(({ at, batch }) => at < batch.length)) {
      let first = open[0] as Head<T>
      for (const head of open) if (nextTime(head) < nextTime(first)) first = head
      merged.push(first.batch[first.at++] as T)
    }
    yield merged
  }
}
