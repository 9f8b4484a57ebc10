import { stripVTControlCharacters } from './util.mts'

/**
 * Rows as lines of aligned columns, two blanks apart, each line indented by `indent` blanks. `align` has a letter a column, `l` or `r`;
 * columns beyond it are aligned left. Colours in a cell do not count for its width, and no line ends in blanks.
 */
export function table(rows: readonly (readonly string[])[], { align = '', indent = 2 } = {}): string {
  const width = (cell: string) => stripVTControlCharacters(cell).length
  const widths: number[] = []
  for (const row of rows) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, width(cell))
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) => {
        const space = ' '.repeat((widths[at] ?? 0) - width(cell))
        return align[at] === 'r' ? space + cell : cell + space
      })
      .join('  ')
  return rows.map((row) => `${' '.repeat(indent)}${line(row)}`.trimEnd()).join('\n')
}
