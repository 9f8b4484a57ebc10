/**
 * Parses a line of CSV as RFC 4180 defines it, except that values cannot contain line breaks.
 * @throws {RangeError} for a quote that does not open or close a value
 */
export function parseCsvLine(line: string): string[] {
  if (!line.includes('"')) return line.split(',')
  const values: string[] = []
  // Not a regular expression: one that matches doubled quotes overflows the stack on a line of several megabytes.
  for (let at = 0; ; at++) {
    const quoted = line[at] === '"'
    const comma = line.indexOf(',', at)
    const end = quoted ? closingQuote(line, at) + 1 : comma < 0 ? line.length : comma
    const text = line.slice(at, end)
    if (!quoted && text.includes('"')) throw new RangeError(MISPLACED)
    values.push(quoted ? text.slice(1, -1).replaceAll('""', '"') : text)
    at = end
    if (at === line.length) return values
    if (line[at] !== ',') throw new RangeError(MISPLACED)
  }
}

const MISPLACED = 'a quote that does not open or close a value'

/** Returns the index of the quote that closes the one at `at`. */
function closingQuote(line: string, at: number): number {
  let end = line.indexOf('"', at + 1)
  while (end >= 0 && line[end + 1] === '"') end = line.indexOf('"', end + 2)
  if (end < 0) throw new RangeError(MISPLACED)
  return end
}
