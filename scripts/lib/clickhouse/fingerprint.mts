/** What rows are proven by, whichever table they are in. */

export interface Column {
  name: string
  type: string
}

/** How many rows, and the sum of a hash of all their columns (modulo 2^64), which depends on no order. */
export interface Fingerprint {
  rows: number
  checksum: string
}

export const isEqual = (a: Fingerprint, b: Fingerprint): boolean => a.rows === b.rows && a.checksum === b.checksum

export const names = (columns: readonly Column[]): string => columns.map(({ name }) => `\`${name}\``).join(', ')

/** Of a row. With a NULL among its values the hash itself would be NULL, and no part of a sum; a tuple with a NULL in it is none. */
export function hash(columns: readonly Column[]): string {
  const values = columns.map((each) =>
    /^(LowCardinality\()?Nullable\(/.test(each.type) ? `tuple(${names([each])})` : names([each]),
  )
  return `cityHash64(${values.join(', ')})`
}

/** Count and checksum, as a SELECT has them. */
export const FINGERPRINT = (columns: readonly Column[]): string =>
  `toFloat64(count()) AS rows, toString(sum(${hash(columns)})) AS checksum`
