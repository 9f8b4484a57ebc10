/** The manifest of an archived table: a line of JSON for every file that was proven. */
import path from 'node:path'
import type { Column, Fingerprint } from '../clickhouse/fingerprint.mts'
import { error, OpsError, reason } from '../common/findings.mts'
import type { Store } from './store.mts'
import type { TableName } from './table.mts'

export interface Entry extends Fingerprint {
  table: TableName
  /** UTC, as 2026-11-25. */
  day: string
  columns: Column[]
  bytes: number
  sha256: string
  /** When it was proven, UTC. */
  provenAt: string
}

/**
 * The lines of a table's manifest, the oldest first. A day that was written again has more than one: that of its file has its SHA-256. A line that
 * an interruption cut short is none.
 * @throws {OpsError} exit code 2 when the file cannot be read
 */
export async function readManifest(store: Store, table: TableName): Promise<Entry[]> {
  return (await store.readManifest(table)).split('\n').flatMap((line) => {
    try {
      const entry: unknown = JSON.parse(line)
      return isEntry(entry) && entry.table === table ? [entry] : []
    } catch {
      // Cut short, or empty.
      return []
    }
  })
}

function isEntry(value: unknown): value is Entry {
  const { day, rows, checksum, sha256, columns } = (value ?? {}) as Partial<Entry>
  const isColumn = (column: unknown) => {
    const { name, type } = (column ?? {}) as Partial<Column>
    return typeof name === 'string' && !name.includes('`') && typeof type === 'string'
  }
  return (
    /^\d{4}-\d{2}-\d{2}$/.test(day ?? '') &&
    typeof rows === 'number' &&
    /^\d+$/.test(checksum ?? '') &&
    typeof sha256 === 'string' &&
    Array.isArray(columns) &&
    columns.every(isColumn)
  )
}

/** The manifest's line of what a file of a day holds; undefined when the file is damaged or was written by somebody else. */
export const entryOf = (entries: readonly Entry[], day: string, sha256: string): Entry | undefined =>
  entries.findLast((entry) => entry.day === day && entry.sha256 === sha256)

/** What `use` makes of a file; trouble with the file is a finding of its own. */
export async function withFile<T>(file: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (failure) {
    const { code, syscall } = failure as NodeJS.ErrnoException
    const ofFile =
      failure instanceof SyntaxError ||
      (code !== undefined &&
        ['open', 'read', 'write', 'rename', 'mkdir', 'fsync', 'fstat', 'scandir', 'unlink', 'ftruncate', 'rm'].includes(
          syscall ?? '',
        ))
    if (!ofFile) throw failure
    const hint = `df -h ${path.dirname(file)}; ls -l ${path.dirname(file)}`
    throw new OpsError(1, [error('ARCHIVE_FILE', file, { found: reason(failure), hint })], failure)
  }
}
