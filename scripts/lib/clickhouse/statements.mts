/** What the files of clickhouse/ declare. */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { configError, error, reason } from '../common/findings.mts'
import { readTextFile } from '../common/text-file.mts'
import { interpolate } from '../settings/interpolate.mts'
import { ROOT, type Settings } from '../settings/settings.mts'

/**
 * The text of each numbered SQL file of a folder of clickhouse/, in the order of the file names.
 * @throws {OpsError} exit code 2, naming the first file that cannot be read as text
 */
function sqlFiles(folder: 'init' | 'ingest'): string[] {
  const files = readdirSync(path.join(ROOT, 'clickhouse', folder)).filter((file) => /^\d.*\.sql$/.test(file))
  return files.sort().map((file) => sqlFile(path.join('clickhouse', folder, file)))
}

function sqlFile(subject: string): string {
  try {
    return readTextFile(path.join(ROOT, subject)) ?? ''
  } catch (failure) {
    throw configError([error('SQL_FILE', subject, { found: reason(failure), hint: `git checkout ${subject}` })])
  }
}

/** The statements of clickhouse/init, one a file, in the order of the file names. */
export const initStatements = (): string[] => sqlFiles('init')

/** What the names of objects begin with that only move messages; the others hold data, and stay. */
export const PREFIX = 'ingest_'

export interface Statement {
  /** Name of the table or view that it creates. */
  name: string
  sql: string
  /** Stands in the comment of what it creates, equal for equal statements; undefined for a table that holds data. */
  version?: string
}

/** The statements of clickhouse/ingest in the order in which they run; settings, and the functions that they share, filled in. */
export function ingestStatements(settings: Settings): Statement[] {
  const functions = sqlFile('clickhouse/ingest/functions.sql').trimEnd()
  const lookup = (name: string) => (name === 'FUNCTIONS' ? functions : String(settings[name as keyof Settings]))
  return sqlFiles('ingest')
    .flatMap((text) => interpolate(text, lookup).split(/;\n/))
    .filter((text) => text.trim() !== '')
    .map((text) => {
      const name = /^CREATE (?:TABLE|MATERIALIZED VIEW) IF NOT EXISTS (\w+)/m.exec(text)?.[1] ?? ''
      if (!name.startsWith(PREFIX)) return { name, sql: text }
      const version = createHash('sha256').update(text).digest('hex').slice(0, 16)
      return { name, version, sql: `${text}\nCOMMENT '${version}'` }
    })
}
