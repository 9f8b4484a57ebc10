/** The manifest of an archived table: a line of JSON for every file that was proven. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Column, Fingerprint } from '../clickhouse/fingerprint.mts'
import { configError, error, OpsError, reason } from '../common/findings.mts'
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

/** The file of a day below the folder of the archive. */
export const fileOf = (folder: string, table: string, day: string): string => path.join(folder, table, `${day}.parquet`)
const manifestOf = (folder: string, table: string) => path.join(folder, table, 'manifest.jsonl')

/**
 * The lines of a table's manifest, the oldest first. A day that was written again has more than one: that of its file has its SHA-256. A line that
 * an interruption cut short is none.
 * @throws {OpsError} exit code 2 when the file cannot be read
 */
export async function readManifest(folder: string, table: TableName): Promise<Entry[]> {
  const file = manifestOf(folder, table)
  if (!existsSync(file)) return []
  const text = await readFile(file, 'utf8').catch((failure: unknown) => {
    throw configError([error('ARCHIVE_FILE', file, { found: reason(failure), hint: `ls -l ${path.dirname(file)}` })])
  })
  return text.split('\n').flatMap((line) => {
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

/** The manifest's line of what the file of a day holds now; undefined when the file is damaged or was written by somebody else. */
export async function entryOf(folder: string, entries: readonly Entry[], table: string, day: string) {
  const own = entries.filter((entry) => entry.day === day)
  if (own.length === 0) return undefined
  const sha256 = await sha256Of(fileOf(folder, table, day))
  return own.findLast((entry) => entry.sha256 === sha256)
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** Adds a line, and returns when it is on disk. */
export async function addEntry(folder: string, entry: Entry): Promise<void> {
  const file = manifestOf(folder, entry.table)
  await mkdir(path.dirname(file), { recursive: true })
  const handle = await open(file, 'a+')
  try {
    const { size } = await handle.stat()
    const last = Buffer.alloc(1)
    if (size > 0) await handle.read(last, 0, 1, size - 1)
    const cut = size > 0 && last.toString() !== '\n'
    await handle.appendFile(`${cut ? '\n' : ''}${JSON.stringify(entry)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** What `use` makes of a file; trouble with the file is a finding of its own. */
export async function withFile<T>(file: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (failure) {
    const { code, syscall } = failure as NodeJS.ErrnoException
    const ofFile =
      failure instanceof SyntaxError ||
      (code !== undefined &&
        ['open', 'read', 'write', 'rename', 'mkdir', 'fsync', 'fstat', 'scandir'].includes(syscall ?? ''))
    if (!ofFile) throw failure
    const hint = `df -h ${path.dirname(file)}; ls -l ${path.dirname(file)}`
    throw new OpsError(1, [error('ARCHIVE_FILE', file, { found: reason(failure), hint })], failure)
  }
}
