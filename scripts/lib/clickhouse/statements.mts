/** What the files of clickhouse/ declare. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { interpolate } from '../settings/interpolate.mts'
import { ROOT, type Settings } from '../settings/settings.mts'

/** The statements of clickhouse/init, one a file, in the order of the file names. */
export function initStatements(): string[] {
  const folder = path.join(ROOT, 'clickhouse', 'init')
  return readdirSync(folder)
    .sort()
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
}

/** What the names of objects begin with that only move messages; the others hold data, and stay. */
export const PREFIX = 'ingest_'

export interface Statement {
  /** Name of the table or view that it creates. */
  name: string
  sql: string
  /** Stands in the comment of what it creates, equal for equal statements; undefined for a table that holds data. */
  version?: string
}

/** The statements of clickhouse/ingest in the order in which they run, settings filled in. */
export function ingestStatements(settings: Settings): Statement[] {
  const folder = path.join(ROOT, 'clickhouse', 'ingest')
  const lookup = (name: string) => String(settings[name as keyof Settings])
  return readdirSync(folder)
    .sort()
    .flatMap((file) => interpolate(readFileSync(path.join(folder, file), 'utf8'), lookup).split(/;\n/))
    .filter((text) => text.trim() !== '')
    .map((text) => {
      const name = /^CREATE (?:TABLE|MATERIALIZED VIEW) IF NOT EXISTS (\w+)/m.exec(text)?.[1] ?? ''
      if (!name.startsWith(PREFIX)) return { name, sql: text }
      const version = createHash('sha256').update(text).digest('hex').slice(0, 16)
      return { name, version, sql: `${text}\nCOMMENT '${version}'` }
    })
}
