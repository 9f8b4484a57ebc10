import { mergeByTime } from '../common/merge.mts'
import type { Entry, Recording } from './recording.mts'

/** The entries of all recordings by time. Mistakes come when they are met. */
export const mergeRecordings = (recordings: readonly Recording[]): AsyncGenerator<Entry[]> =>
  mergeByTime(
    recordings.map(({ entries }) => entries),
    (entry) => ('message' in entry ? entry.message.timeUs : Number.NEGATIVE_INFINITY),
  )
