/** Row fingerprints: SQL expressions that verify that two tables hold the same rows. */

export interface Column {
  name: string
  type: string
}

/** The row count, and the sum (modulo 2^64) of a hash of each row, which does not depend on row order. */
export interface Fingerprint {
  rows: number
  checksum: string
}

export const isEqual = (a: Fingerprint, b: Fingerprint): boolean => a.rows === b.rows && a.checksum === b.checksum

export const names = (columns: readonly Column[]): string => columns.map(({ name }) => `\`${name}\``).join(', ')

/** Returns the hash of a row. A NULL argument would make the hash NULL and exclude the row from the sum, so Nullable columns become tuples. */
export function hash(columns: readonly Column[]): string {
  const values = columns.map((each) =>
    /^(LowCardinality\()?Nullable\(/.test(each.type) ? `tuple(${names([each])})` : names([each]),
  )
  return `cityHash64(${values.join(', ')})`
}

/** The SELECT list that computes a {@link Fingerprint}. */
export const FINGERPRINT = (columns: readonly Column[]): string =>
  `toFloat64(count()) AS rows, toString(sum(${hash(columns)})) AS checksum`
