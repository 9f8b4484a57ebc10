/** Reads JSON and CSV recordings. */
import { configError, error, reason } from '../common/findings.mts'
import { kindOfColumns } from './columns.mts'
import { parseCsvLine } from './csv.mts'
import type { Kind } from './fields.mts'
import { headOf, linesOf, MAX_CHARS, objectsOf, type RawEntry } from './lines.mts'
import { columnsOfLine, type Message, messageOf, messageOfLine } from './message.mts'
import { type Entry, entryOf, noteSymbol, type ReadOptions, usable } from './recording.mts'

export type Format = 'csv' | 'json'

/**
 * Reads the entries of a text.
 * @param format by default, the first character determines it
 * @throws {OpsError} exit code 2, for unusable columns or first lines
 */
export async function* readText(
  file: string,
  text: AsyncGenerator<string>,
  format: Format | undefined,
  options: ReadOptions,
): AsyncGenerator<Entry[]> {
  const { head, all } = await headOf(text, /\S{4}|\S\s/)
  if (head.startsWith('PAR1')) {
    const hint = 'save it to a file that ends in .parquet'
    throw configError([error('REPLAY_FILE', file, { found: 'Parquet from a pipe', expected: 'a file', hint })])
  }
  const isJson = format ? format === 'json' : /^\s*[[{]/.test(head)
  yield* (isJson ? readJson : readCsv)(file, all, options)
}

function readJson(file: string, text: AsyncGenerator<string>, options: ReadOptions): AsyncGenerator<Entry[]> {
  let columns: string[] | undefined
  async function* entries(): AsyncGenerator<Entry[]> {
    for await (const objects of objectsOf(text)) {
      const [first] = objects
      if (!columns && first?.text !== undefined) {
        columns = columnsOfLine(first.text)
        if (columns.length > 0) noteSymbol(file, columns, options)
      }
      yield objects.map((raw) => readEntry(file, raw, (line) => messageOfLine(line, options.kind, options)))
    }
  }
  return usable(file, entries(), () => {
    if (columns && columns.length > 0) kindOfColumns(file, columns, options)
  })
}

function readCsv(file: string, text: AsyncGenerator<string>, options: ReadOptions): AsyncGenerator<Entry[]> {
  let [columns, kind]: [string[]?, Kind?] = []
  async function* entries(): AsyncGenerator<Entry[]> {
    for await (const lines of linesOf(text)) {
      if (!columns || !kind) {
        const header = lines.shift()
        if (!header) continue
        columns = headerOf(file, header)
        kind = kindOfColumns(file, columns, options)
        noteSymbol(file, columns, options)
      }
      const [names, rows] = [columns, kind]
      yield lines.map((raw) =>
        readEntry(file, raw, (line) => messageOf(rows, rowOf(names, parseCsvLine(line.replace(/\r$/, ''))), options)),
      )
    }
  }
  return usable(file, entries())
}

function readEntry(file: string, { line, text }: RawEntry, read: (text: string) => Message): Entry {
  if (text === undefined) return { file, line, mistake: `longer than ${MAX_CHARS / 1024 / 1024} MB` }
  return entryOf(file, line, () => read(text))
}

/** Returns the column names of a CSV file. @throws {OpsError} exit code 2 */
function headerOf(file: string, { line, text }: RawEntry): string[] {
  try {
    if (text === undefined) throw new RangeError(`a line longer than ${MAX_CHARS / 1024 / 1024} MB`)
    return parseCsvLine(text).map((name) => name.trim())
  } catch (failure) {
    const [found, hint] = [reason(failure), `head -n ${line} ${file}`]
    throw configError([error('REPLAY_COLUMNS', `${file}:${line}`, { found, expected: 'column names', hint })])
  }
}

function rowOf(columns: readonly string[], values: readonly string[]): Record<string, string> {
  if (values.length !== columns.length) throw new RangeError(`${values.length} values, expected ${columns.length}`)
  return Object.fromEntries(columns.map((name, index) => [name, values[index] ?? '']))
}
