import { stripVTControlCharacters } from './builtins.mts'

/**
 * Renders rows as aligned columns, two spaces apart, each line indented by `indent` spaces. `align` has one letter per column, `l` or `r`;
 * further columns are left-aligned. Colour codes do not count towards a cell's width, and trailing spaces are removed.
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
