/** Recorded market data from files and pipes: JSON, CSV and Parquet, as messages in the order of the file. */
import { type Stats, statSync } from 'node:fs'
import path from 'node:path'
import { configError, error, type Finding, OpsError, reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { readParquet } from './parquet.mts'
import type { Entry, ReadOptions, Recording } from './recording.mts'
import { openSource, STDIN } from './source.mts'
import { readText } from './text.mts'

const EXTENSIONS = ['jsonl', 'ndjson', 'json', 'csv', 'parquet']
/** A name's extension, before the time of a rotation and the extension of a compression: x.jsonl_20250728_1306.gz */
const NAME = new RegExp(`\\.(${EXTENSIONS.join('|')})(?:[._-][\\dTZ:._+-]*)?(\\.gz|\\.zst)?$`, 'i')
/** Recorders that write a file per symbol: AAPL_ticks_20250728.csv */
const SYMBOL_IN_NAME = /^([^\s_]+)_(?:ticks|trades|quotes|l1|l2)_\d{8}(?=\D|$)/
const HINT = 'npm run replay -- --help'

/**
 * Opens recordings and reads their beginnings.
 * @throws {OpsError} exit code 2, naming every file that cannot be read or played
 */
export async function openRecordings(
  files: readonly string[],
  options: Omit<ReadOptions, 'isNamed'>,
  settings: Settings,
): Promise<Recording[]> {
  const wrong = files.flatMap((file): Finding[] => {
    const fault = faultOf(file)
    return fault ? [error('REPLAY_FILE', file, { ...fault, hint: HINT })] : []
  })
  if (wrong.length > 0) throw configError(wrong)
  const recordings = files.map((file) => recordingOf(file, options, settings))
  const begun = await Promise.allSettled(recordings.map(begin))
  const failed = begun.filter((each) => each.status === 'rejected')
  if (failed.length === 0) return begun.map((each) => (each as PromiseFulfilledResult<Recording>).value)
  // Parquet files keep their rows on the server until they are closed.
  await Promise.all(recordings.map(({ entries }) => entries.return(undefined)))
  const reasons = failed.map((each) => each.reason)
  const all = reasons.every((each) => each instanceof OpsError && each.exitCode === 2)
  throw all ? configError(reasons.flatMap(({ findings }) => findings)) : reasons[0]
}

/** What is wrong with an argument before anything is read, or undefined. */
function faultOf(file: string): { found: string; expected: string } | undefined {
  const names = `a name that ends in .${EXTENSIONS.join(', .')}, also with .gz or .zst`
  if (file === STDIN)
    return process.stdin.isTTY ? { found: 'a terminal', expected: 'a pipe or a redirected file' } : undefined
  let stats: Stats
  try {
    stats = statSync(file)
  } catch (failure) {
    return { found: reason(failure), expected: 'a file' }
  }
  const [, extension, compression] = NAME.exec(path.basename(file)) ?? []
  const isParquet = /parquet/i.test(extension ?? '')
  if (stats.isFIFO()) return isParquet ? { found: 'a pipe', expected: 'a file, since it is Parquet' } : undefined
  if (!stats.isFile()) return { found: 'no file', expected: 'a file or a pipe' }
  if (extension === undefined) return { found: `"${path.extname(file)}"`, expected: names }
  return compression && isParquet
    ? { found: `Parquet in ${compression}`, expected: 'Parquet as it is; it has a compression of its own' }
    : undefined
}

function recordingOf(file: string, given: Omit<ReadOptions, 'isNamed'>, settings: Settings): Recording {
  const [, extension = ''] = NAME.exec(path.basename(file)) ?? []
  const [, named] = SYMBOL_IN_NAME.exec(path.basename(file)) ?? []
  const isNamed = given.symbol === undefined && named !== undefined
  const options = { ...given, symbol: given.symbol ?? named, isNamed }
  if (/parquet/i.test(extension)) return readParquet(file, options, settings)
  const { text, fraction } = openSource(file)
  const format = extension === '' ? undefined : /csv/i.test(extension) ? 'csv' : 'json'
  return { file, entries: readText(file, text, format, options), fraction }
}

/** The same recording with its first batch read. */
async function begin({ file, entries, fraction }: Recording): Promise<Recording> {
  const first = await entries.next()
  async function* all(): AsyncGenerator<Entry[]> {
    if (!first.done) yield first.value
    yield* entries
  }
  return { file, entries: all(), fraction }
}
