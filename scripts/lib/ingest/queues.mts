/** The queues and views of the built-in ingest, parsed from the statements of clickhouse/ingest. */
import type { Statement } from '../clickhouse/statements.mts'

/** A Kafka table and what it reads. */
export interface Queue {
  name: string
  topics: string[]
  group: string
  /** The table that stores its messages. */
  table: string
}

/** A materialized view, its target table, and the columns that it inserts. */
export interface View {
  name: string
  table: string
  columns: string[]
}

export function viewsOf(statements: readonly Statement[]): View[] {
  return statements.flatMap(({ name, sql }) => {
    const table = /^CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ TO (\w+)/m.exec(sql)?.[1]
    return table ? [{ name, table, columns: selected(sql) }] : []
  })
}

/** Returns the column names of a SELECT: the last word of each expression, with or without AS. */
function selected(sql: string): string[] {
  let list = /^SELECT(?: DISTINCT)?\s([\s\S]*)/m.exec(sql.replaceAll(/--.*/g, ''))?.[1]?.split('\nFROM ')[0] ?? ''
  // Remove parentheses from the inside out: the remaining commas separate the expressions.
  for (let before = ''; before !== list; ) [before, list] = [list, list.replaceAll(/\([^()]*\)/g, '')]
  return list.split(',').map((expression) => expression.trim().split(/\W/).at(-1) ?? '')
}

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
