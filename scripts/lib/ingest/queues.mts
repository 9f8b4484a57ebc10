/** The queues and views of the built-in ingest, as clickhouse/ingest declares them. */
import type { Statement } from '../clickhouse/statements.mts'

/** The way of topics into a table. */
export interface Queue {
  /** The Kafka table. */
  name: string
  topics: string[]
  group: string
  /** Where its messages end. */
  table: string
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
  let list = /^SELECT(?: DISTINCT)?\s([\s\S]*)/m.exec(sql.replaceAll(/--.*/g, ''))?.[1]?.split('\nFROM ')[0] ?? ''
  // From the inside out, so that only the commas between the expressions are left.
  for (let before = ''; before !== list; ) [before, list] = [list, list.replaceAll(/\([^()]*\)/g, '')]
  return list.split(',').map((expression) => expression.trim().split(/\W/).at(-1) ?? '')
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
