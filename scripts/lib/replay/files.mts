/** Opens recorded market data: JSON, CSV and Parquet from files and pipes. */
import { type Stats, statSync } from 'node:fs'
import path from 'node:path'
import { configError, error, type Finding, OpsError, reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { readParquet } from './parquet.mts'
import type { Entry, ReadOptions, Recording } from './recording.mts'
import { openSource, STDIN } from './source.mts'
import { readText } from './text.mts'

const EXTENSIONS = ['jsonl', 'ndjson', 'json', 'csv', 'parquet']
/** The extension in a file name, optionally followed by a rotation time and a compression suffix: x.jsonl_20250728_1306.gz */
const NAME = new RegExp(`\\.(${EXTENSIONS.join('|')})(?:[._-][\\dTZ:._+-]*)?(\\.gz|\\.zst)?$`, 'i')
/** The symbol in the name of a file with a single symbol: AAPL_ticks_20250728.csv */
const SYMBOL_IN_NAME = /^([^\s_]+)_(?:ticks|trades|quotes|l1|l2)_\d{8}(?=\D|$)/
const HINT = 'npm run replay -- --help'

/**
 * Opens recordings and reads the first batch of each.
 * @throws {OpsError} exit code 2, naming every file that cannot be read or used
 */
export async function openRecordings(
  files: readonly string[],
  options: Omit<ReadOptions, 'isNamed'>,
  settings: Settings,
): Promise<Recording[]> {
  const wrong = files.flatMap((file): Finding[] => {
    const problem = problemOf(file)
    return problem ? [error('REPLAY_FILE', file, { ...problem, hint: HINT })] : []
  })
  if (wrong.length > 0) throw configError(wrong)
  const recordings = files.map((file) => recordingOf(file, options, settings))
  const begun = await Promise.allSettled(recordings.map(begin))
  const failed = begun.filter((each) => each.status === 'rejected')
  if (failed.length === 0) return begun.map((each) => (each as PromiseFulfilledResult<Recording>).value)
  // Until a Parquet recording is closed, the server stores its rows.
  await Promise.all(recordings.map(({ entries }) => entries.return(undefined)))
  const reasons = failed.map((each) => each.reason)
  const all = reasons.every((each) => each instanceof OpsError && each.exitCode === 2)
  throw all ? configError(reasons.flatMap(({ findings }) => findings)) : reasons[0]
}

/** Returns why an argument cannot be read, judged without reading it, or undefined. */
function problemOf(file: string): { found: string; expected: string } | undefined {
  const names = `a name that ends in .${EXTENSIONS.join(', .')}, optionally with .gz or .zst`
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
  if (stats.isFIFO()) return isParquet ? { found: 'a pipe', expected: 'a regular file for Parquet' } : undefined
  if (!stats.isFile()) return { found: 'not a regular file', expected: 'a regular file or a pipe' }
  if (extension === undefined) return { found: `"${path.extname(file)}"`, expected: names }
  return compression && isParquet
    ? { found: `Parquet in ${compression}`, expected: 'plain Parquet, which is compressed internally' }
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

/** Reads the first batch of a recording ahead, so that a file that cannot be used is refused at once. */
async function begin({ file, entries, fraction }: Recording): Promise<Recording> {
  const first = await entries.next()
  async function* all(): AsyncGenerator<Entry[]> {
    if (!first.done) yield first.value
    yield* entries
  }
  return { file, entries: all(), fraction }
}
