/** Reads the SQL files of clickhouse/. */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { configError, error, reason } from '../common/findings.mts'
import { readTextFile } from '../common/text-file.mts'
import { interpolate } from '../settings/interpolate.mts'
import { ROOT, type Settings } from '../settings/settings.mts'

/**
 * Returns the text of each numbered SQL file of a folder of clickhouse/, in file name order.
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

/** Returns the statements of clickhouse/init, one per file, in file name order. */
export const initStatements = (): string[] => sqlFiles('init')

/** The name prefix of objects that only move messages. All other objects hold data, and `ingest off` does not drop them. */
export const PREFIX = 'ingest_'

export interface Statement {
  /** The table or view that it creates; empty for other statements. */
  name: string
  sql: string
  /** A hash of the statement, stored in the comment of the object; undefined for an object that holds data. */
  version?: string
}

/** Returns the statements of clickhouse/ingest in execution order, with settings and shared functions substituted. */
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
