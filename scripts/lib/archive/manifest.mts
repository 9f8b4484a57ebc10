/** The manifest of an archived table: one line of JSON for every verified file. */
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
  /** When the file was verified, UTC. */
  provenAt: string
}

/**
 * Reads the entries of a table's manifest, oldest first. A day that was written repeatedly has several; the entry of the current file is the
 * one with its SHA-256. Skips lines that an interruption truncated.
 * @throws {OpsError} exit code 2 when the file cannot be read
 */
export async function readManifest(store: Store, table: TableName): Promise<Entry[]> {
  return (await store.readManifest(table)).split('\n').flatMap((line) => {
    try {
      const entry: unknown = JSON.parse(line)
      return isEntry(entry) && entry.table === table ? [entry] : []
    } catch {
      // A truncated or empty line.
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

/** Returns the entry that matches a file by day and SHA-256; undefined if the file is damaged or not part of this archive. */
export const entryOf = (entries: readonly Entry[], day: string, sha256: string): Entry | undefined =>
  entries.findLast((entry) => entry.day === day && entry.sha256 === sha256)

/** Runs `action`, and turns file system and format errors into a finding about `file`. @throws {OpsError} exit code 1 */
export async function explainFileErrors<T>(file: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (failure) {
    const { code, syscall } = failure as NodeJS.ErrnoException
    const isFileError =
      failure instanceof SyntaxError ||
      (code !== undefined &&
        ['open', 'read', 'write', 'rename', 'mkdir', 'fsync', 'fstat', 'scandir', 'unlink', 'ftruncate', 'rm'].includes(
          syscall ?? '',
        ))
    if (!isFileError) throw failure
    const hint = `df -h ${path.dirname(file)}; ls -l ${path.dirname(file)}`
    throw new OpsError(1, [error('ARCHIVE_FILE', file, { found: reason(failure), hint })], failure)
  }
}
