/** The objects of the built-in ingest: what clickhouse/ingest declares. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { interpolate } from '../settings/interpolate.mts'
import { ROOT, type Settings } from '../settings/settings.mts'

/** What the names of objects begin with that only move messages; the others hold data, and stay. */
export const PREFIX = 'ingest_'

export interface Statement {
  /** Name of the table or view that it creates. */
  name: string
  sql: string
  /** Stands in the comment of what it creates, equal for equal statements; undefined for a table that holds data. */
  version?: string
}

/** The way of topics into a table. */
export interface Queue {
  /** The Kafka table. */
  name: string
  topics: string[]
  group: string
  /** Where its messages end. */
  table: string
}

/** The statements of clickhouse/ingest in the order in which they run; settings, and the functions that they share, filled in. */
export function ingestStatements(settings: Settings): Statement[] {
  const folder = path.join(ROOT, 'clickhouse', 'ingest')
  const functions = readFileSync(path.join(folder, 'functions.sql'), 'utf8').trimEnd()
  const lookup = (name: string) => (name === 'FUNCTIONS' ? functions : String(settings[name as keyof Settings]))
  return readdirSync(folder)
    .filter((file) => /^\d/.test(file))
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

/** What a view inserts, and into which table. */
export interface View {
  name: string
  table: string
  columns: string[]
}

/** The views among the statements. */
export function viewsOf(statements: readonly Statement[]): View[] {
  return statements.flatMap(({ name, sql }) => {
    const table = /^CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ TO (\w+)/m.exec(sql)?.[1]
    return table ? [{ name, table, columns: selected(sql) }] : []
  })
}

/** The names of what a statement selects: the last word of each expression, with or without AS. */
function selected(sql: string): string[] {
  let list = /^SELECT(?: DISTINCT)?\s([\s\S]*?)\nFROM /m.exec(sql.replaceAll(/--.*/g, ''))?.[1] ?? ''
  // From the inside out, so that only the commas between the expressions are left.
  for (let before = ''; before !== list; ) [before, list] = [list, list.replaceAll(/\([^()]*\)/g, '')]
  return list.split(',').map((expression) => /\w+$/.exec(expression.trim())?.[0] ?? '')
}

/** The queues among the statements. */
export function queuesOf(statements: readonly Statement[]): Queue[] {
  const setting = (sql: string, name: string) => new RegExp(`${name} = '([^']+)'`).exec(sql)?.[1] ?? ''
  const views = viewsOf(statements)
  return statements
    .filter(({ sql }) => sql.includes('ENGINE = Kafka'))
    .map(({ name, sql }) => ({
      name,
      topics: setting(sql, 'kafka_topic_list').split(','),
      group: setting(sql, 'kafka_group_name'),
      table: views.find((view) => view.name === name.replace(/_queue$/, '_store'))?.table ?? '',
    }))
}
