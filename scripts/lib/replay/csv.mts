/**
 * The values of one line of CSV: commas, double quotes around what holds either, doubled quotes within. A value with a line break, which
 * no column of ours has, is a mistake.
 * @throws {RangeError} for a quote that does not open or close a value
 * @see RFC 4180
 */
export function parseCsvLine(line: string): string[] {
  if (!line.includes('"')) return line.split(',')
  const values: string[] = []
  // A quoted value, or one without quotes; then a comma or the end.
  const value = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/gy
  for (;;) {
    const match = value.exec(line)
    if (!match) throw new RangeError('a quote that does not open or close a value')
    values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === '') return values
  }
}
