/** Recorded market data from files: JSON lines, CSV and Parquet, as messages in the order of the file. */
import { createReadStream, statSync } from 'node:fs'
import path from 'node:path'
import { configError, type Finding, reason } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { parseCsvLine } from './csv.mts'
import { type Kind, kindOf } from './fields.mts'
import { messageOf, messageOfLine } from './message.mts'
import { readParquet } from './parquet.mts'
import { type Entry, entryOf, type Recording, unknownKind, unreadable } from './recording.mts'

const READERS = { '.jsonl': readJsonLines, '.ndjson': readJsonLines, '.json': readJsonLines, '.csv': readCsv }

/**
 * Opens recordings; nothing is read yet.
 * @param kind what all their rows are; without it, their columns decide
 * @throws {OpsError} exit code 2, naming every file that cannot be read
 */
export function openRecordings(files: readonly string[], kind: Kind | undefined, settings: Settings): Recording[] {
  const wrong: Omit<Finding, 'severity'>[] = []
  const recordings = files.flatMap((file): Recording[] => {
    const hint = 'npm run replay -- --help'
    const extension = path.extname(file).toLowerCase()
    const reader = READERS[extension as keyof typeof READERS]
    try {
      if (!statSync(file).isFile()) throw new RangeError('no file')
    } catch (error) {
      wrong.push({ code: 'REPLAY_FILE', subject: file, found: reason(error), expected: 'a file', hint })
      return []
    }
    if (reader) return [reader(file, kind)]
    if (extension === '.parquet') return [readParquet(file, kind, settings)]
    const expected = `a name that ends in ${[...Object.keys(READERS), '.parquet'].join(', ')}`
    wrong.push({ code: 'REPLAY_FILE', subject: file, found: `"${extension}"`, expected, hint })
    return []
  })
  if (wrong.length > 0) throw configError(wrong)
  return recordings
}

interface Progress {
  readBytes: number
}

/** The lines of a file in batches, without their ends; lines of blanks are left out. */
async function* readLines(file: string, progress: Progress): AsyncGenerator<{ line: number; text: string }[]> {
  let rest = ''
  let line = 0
  const stream = createReadStream(file, { encoding: 'utf8', highWaterMark: 1024 * 1024 })
  try {
    for await (const chunk of stream) {
      progress.readBytes += Buffer.byteLength(chunk)
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      yield numbered(parts)
    }
  } catch (error) {
    throw unreadable(file, error)
  }
  yield numbered([rest])

  function numbered(parts: string[]) {
    const lines = parts.map((text) => ({ line: ++line, text: line === 1 ? text.replace(/^\uFEFF/, '') : text }))
    return lines
      .filter(({ text }) => text.trim() !== '')
      .map((each) => ({ ...each, text: each.text.replace(/\r$/, '') }))
  }
}

function recordingOf(file: string, entries: (progress: Progress) => AsyncIterable<Entry[]>): Recording {
  const progress = { readBytes: 0 }
  const bytes = statSync(file).size
  return { file, entries: entries(progress), fraction: () => (bytes === 0 ? 1 : progress.readBytes / bytes) }
}

function readJsonLines(file: string, kind: Kind | undefined): Recording {
  return recordingOf(file, async function* (progress) {
    for await (const lines of readLines(file, progress))
      yield lines.map(({ line, text }) => entryOf(file, line, () => messageOfLine(text, kind)))
  })
}

function readCsv(file: string, forced: Kind | undefined): Recording {
  return recordingOf(file, async function* (progress) {
    let columns: string[] | undefined
    let kind: Kind | undefined
    for await (const lines of readLines(file, progress)) {
      const batch: Entry[] = []
      for (const { line, text } of lines) {
        if (columns && kind) {
          const [names, rows] = [columns, kind]
          batch.push(entryOf(file, line, () => messageOf(rows, rowOf(names, parseCsvLine(text)))))
        } else {
          columns = headerOf(file, line, text)
          kind = forced ?? kindOf(columns)
          if (!kind) throw unknownKind(file, columns)
        }
      }
      yield batch
    }
  })
}

/** The names of a CSV file's columns. @throws {OpsError} exit code 2 */
function headerOf(file: string, line: number, text: string): string[] {
  try {
    return parseCsvLine(text).map((name) => name.trim())
  } catch (error) {
    const found = reason(error)
    const hint = `head -n ${line} ${file}`
    throw configError([
      { code: 'REPLAY_COLUMNS', subject: `${file}:${line}`, found, expected: 'names of columns', hint },
    ])
  }
}

function rowOf(columns: readonly string[], values: readonly string[]): Record<string, string> {
  if (values.length !== columns.length) throw new RangeError(`${values.length} values, expected ${columns.length}`)
  return Object.fromEntries(columns.map((name, index) => [name, values[index] ?? '']))
}
