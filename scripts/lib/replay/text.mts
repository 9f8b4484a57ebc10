/** Recordings of text: JSON and CSV as messages. */
import { configError, error, reason } from '../common/findings.mts'
import { kindOfColumns } from './columns.mts'
import { parseCsvLine } from './csv.mts'
import type { Kind } from './fields.mts'
import { headOf, linesOf, MAX_CHARS, objectsOf, type Piece } from './lines.mts'
import { columnsOfLine, messageOf, messageOfLine } from './message.mts'
import { type Entry, entryOf, noteSymbol, type ReadOptions, usable } from './recording.mts'

export type Format = 'csv' | 'json'

/**
 * The entries of a text.
 * @param format what it is; without it, its first character decides
 * @throws {OpsError} exit code 2, for columns and first lines that cannot be used
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
    throw configError([error('REPLAY_FILE', file, { found: 'Parquet through a pipe', expected: 'a file', hint })])
  }
  const isJson = format ? format === 'json' : /^\s*[[{]/.test(head)
  yield* (isJson ? readJson : readCsv)(file, all, options)
}

function readJson(file: string, text: AsyncGenerator<string>, options: ReadOptions): AsyncGenerator<Entry[]> {
  let columns: string[] | undefined
  async function* entries(): AsyncGenerator<Entry[]> {
    for await (const pieces of objectsOf(text)) {
      const [first] = pieces
      if (!columns && first?.text !== undefined) {
        columns = columnsOfLine(first.text)
        if (columns.length > 0) noteSymbol(file, columns, options)
      }
      yield pieces.map((piece) => entryOfPiece(file, piece, (line) => messageOfLine(line, options.kind, options)))
    }
  }
  return usable(file, entries(), () => {
    if (columns && columns.length > 0) kindOfColumns(file, columns, options)
  })
}

function readCsv(file: string, text: AsyncGenerator<string>, options: ReadOptions): AsyncGenerator<Entry[]> {
  let [columns, kind]: [string[]?, Kind?] = []
  async function* entries(): AsyncGenerator<Entry[]> {
    for await (const pieces of linesOf(text)) {
      if (!columns || !kind) {
        const header = pieces.shift()
        if (!header) continue
        columns = headerOf(file, header)
        kind = kindOfColumns(file, columns, options)
        noteSymbol(file, columns, options)
      }
      const [names, rows] = [columns, kind]
      yield pieces.map((piece) =>
        entryOfPiece(file, piece, (line) =>
          messageOf(rows, rowOf(names, parseCsvLine(line.replace(/\r$/, ''))), options),
        ),
      )
    }
  }
  return usable(file, entries())
}

function entryOfPiece(
  file: string,
  { line, text }: Piece,
  read: (text: string) => ReturnType<typeof messageOf>,
): Entry {
  if (text === undefined) return { file, line, mistake: `longer than ${MAX_CHARS / 1024 / 1024} MB` }
  return entryOf(file, line, () => read(text))
}

/** The names of a CSV file's columns. @throws {OpsError} exit code 2 */
function headerOf(file: string, { line, text }: Piece): string[] {
  try {
    if (text === undefined) throw new RangeError(`a line longer than ${MAX_CHARS / 1024 / 1024} MB`)
    return parseCsvLine(text).map((name) => name.trim())
  } catch (failure) {
    const [found, hint] = [reason(failure), `head -n ${line} ${file}`]
    throw configError([error('REPLAY_COLUMNS', `${file}:${line}`, { found, expected: 'names of columns', hint })])
  }
}

function rowOf(columns: readonly string[], values: readonly string[]): Record<string, string> {
  if (values.length !== columns.length) throw new RangeError(`${values.length} values, expected ${columns.length}`)
  return Object.fromEntries(columns.map((name, index) => [name, values[index] ?? '']))
}
