/** Compares declared tables and views with the live ones and plans the changes. Does no I/O. */
import type { ColumnText, ObjectText, TableText, ViewText } from './ddl.mts'

/** A declared object: its statement, and the statement parsed. */
export interface Declared {
  statement: string
  text: ObjectText
}

export interface SchemaChange {
  action: 'create' | 'add' | 'change' | 'replace'
  /** The table or view. */
  name: string
  /** Human-readable: `column tick_id`, `codec of price: CODEC(…) → CODEC(…)`. */
  what: string
  statements: string[]
  /** A materialized view to backfill with the existing rows of its source. */
  backfill?: ViewText
  /** The new retention, as a TTL expression. */
  ttl?: string
  /** Number of rows that the new retention deletes immediately; the caller fills it in. */
  expired?: number
}

export interface SchemaPlan {
  changes: SchemaChange[]
  /** Differences that ClickHouse cannot change in place. */
  impossible: { name: string; what: string; from: string; to: string }[]
  /** Views that cannot be created or replaced yet, because they read `table`, directly or through another view, and it needs a rebuild. */
  waiting: { name: string; table: string }[]
  /** The cluster that the plan applies to; undefined for a single server. */
  cluster?: string
  /** Tables and views that no file declares. They are not changed. */
  undeclared: string[]
}

/** The comment of a view whose backfill is not complete. It survives a killed run, so the next run repeats the backfill. */
export const UNFILLED = 'not filled yet: npm run schema'

/** Returns the plan that makes `live` match `declared`. @param user the expected definer of refreshable views */
export function planSchema(declared: readonly Declared[], live: readonly ObjectText[], user: string): SchemaPlan {
  const plan: SchemaPlan = { changes: [], impossible: [], waiting: [], undeclared: [] }
  for (const { statement, text } of declared) {
    const found = live.find(({ name }) => name === text.name)
    if (text.kind !== found?.kind && found && holdsRows(found)) {
      plan.impossible.push({ name: text.name, what: 'kind', from: found.kind, to: text.kind })
    } else if (text.kind !== 'table') {
      const blocked = [...plan.impossible.map(({ name }) => ({ name, table: name })), ...plan.waiting]
      const cause = blocked.find(({ name }) =>
        new RegExp(`\\b${name}(_local)?\\b`).test(`${text.target} ${text.query}`),
      )
      const change = viewChange(text, found, statement, user)
      if (change && cause) plan.waiting.push({ name: text.name, table: cause.table })
      else if (change) plan.changes.push(change)
    } else if (!found) {
      plan.changes.push({ action: 'create', name: text.name, what: 'table', statements: [statement] })
    } else if (found.kind !== 'table') {
      const statements = [`DROP VIEW ${text.name}`, statement]
      plan.changes.push({ action: 'replace', name: text.name, what: `kind: ${found.kind} → table`, statements })
    } else {
      plan.changes.push(...columnChanges(text, found), ...partChanges(text, found), ...clauseChanges(text, found))
      plan.impossible.push(...layoutDifferences(text, found))
    }
  }
  return plan
}

/** Whether an object stores rows: a table, or a materialized view without TO. */
function holdsRows(found: ObjectText): boolean {
  return found.kind === 'table' || (found.kind === 'materialized view' && !/\bTO \w/.test(found.target))
}

/** Replaces a view whole, since it stores no rows. A materialized view that keeps its target is altered in place, so it misses no inserted rows. */
function viewChange(
  text: ViewText,
  found: ObjectText | undefined,
  statement: string,
  user: string,
): SchemaChange | undefined {
  const { kind, name, query, target } = text
  const isInsertTriggered = target.startsWith('TO ')
  const backfill = isInsertTriggered ? { backfill: text } : {}
  const creation = isInsertTriggered ? `${statement.trimEnd()}\nCOMMENT '${UNFILLED}'` : statement
  if (!found) return { action: 'create', name, what: kind, statements: [creation], ...backfill }
  if (found.kind === kind && found.query === query && found.target === target) {
    if (found.definer !== '' && found.definer !== user) {
      const what = `definer: ${found.definer} → ${user}`
      return { action: 'replace', name, what, statements: [`DROP VIEW ${name}`, creation], ...backfill }
    }
    if (found.comment !== UNFILLED) return undefined
    return { action: 'change', name, what: 'backfill: incomplete → complete', statements: [], ...backfill }
  }
  const what = `${kind} query${found.kind !== 'table' && found.target !== target ? ' and target' : ''}`
  if (found.kind === 'view' && kind === 'view') {
    return { action: 'replace', name, what, statements: [statement.replace('VIEW IF NOT EXISTS', 'OR REPLACE VIEW')] }
  }
  if (found.kind === kind && found.target === target && isInsertTriggered) {
    const statements = [`ALTER TABLE ${name} MODIFY COMMENT '${UNFILLED}'`, `ALTER TABLE ${name} MODIFY QUERY ${query}`]
    return { action: 'replace', name, what, statements, ...backfill }
  }
  return { action: 'replace', name, what, statements: [`DROP VIEW ${name}`, creation], ...backfill }
}

function columnChanges(text: TableText, found: TableText): SchemaChange[] {
  const names = [...text.columns.keys()]
  return [...text.columns].flatMap(([column, to], index): SchemaChange[] => {
    const { name } = text
    const from = found.columns.get(column)
    const definition = [column, to.type, to.value, to.codec].filter(Boolean).join(' ')
    if (!from) {
      const position = index === 0 ? 'FIRST' : `AFTER ${names[index - 1]}`
      const statements = [`ALTER TABLE ${name} ADD COLUMN IF NOT EXISTS ${definition} ${position}`]
      return [{ action: 'add', name, what: `column ${column} ${to.type}`, statements }]
    }
    // layoutDifferences reports other type changes.
    if (from.type !== to.type && !widens(from.type, to.type)) return []
    const parts = (['type', 'value', 'codec'] as const).filter((part) => from[part] !== to[part])
    return parts.map((part) => {
      const label = part === 'value' ? 'default' : part
      const what = `${label} of ${column}: ${from[part] || 'none'} → ${to[part] || 'none'}`
      const remove = /^\w+/.exec(from[part])?.[0]
      const statement = to[part] === '' ? `${column} REMOVE ${remove}` : definition
      return { action: 'change', name, what, statements: [`ALTER TABLE ${name} MODIFY COLUMN ${statement}`] }
    })
  })
}

/** Whether an Enum8 only gains values, which changes no stored row. */
function widens(from: string, to: string): boolean {
  const [before, after] = [from, to].map((type) => /^Enum8\((.*)\)$/.exec(type)?.[1]?.split(', '))
  return before !== undefined && after !== undefined && before.every((value) => after.includes(value))
}

/** Indexes and projections are derived from the rows, so they can be dropped and rebuilt. */
function partChanges({ name, parts }: TableText, found: TableText): SchemaChange[] {
  return [...parts].flatMap(([part, to]): SchemaChange[] => {
    const from = found.parts.get(part)
    if (from === to) return []
    const kind = /^\w+/.exec(to)?.[0] ?? ''
    const drop = from === undefined ? [] : [`ALTER TABLE ${name} DROP ${kind} ${part}`]
    const statements = [...drop, `ALTER TABLE ${name} ADD ${to}`, `ALTER TABLE ${name} MATERIALIZE ${kind} ${part}`]
    return [{ action: from === undefined ? 'add' : 'change', name, what: `${kind.toLowerCase()} ${part}`, statements }]
  })
}

function clauseChanges({ name, ttl, recompression, settings }: TableText, found: TableText): SchemaChange[] {
  const changes: SchemaChange[] = []
  // MODIFY TTL replaces retention and recompression together.
  const clause = (retention: string) => {
    const all = [retention, recompression].filter(Boolean).join(', ')
    return `ALTER TABLE ${name} ${all ? `MODIFY TTL ${all}` : 'REMOVE TTL'}`
  }
  if (recompression !== found.recompression) {
    const what = `recompression: ${found.recompression || 'never'} → ${recompression || 'never'}`
    // Otherwise ClickHouse rewrites every part immediately. Existing parts are recompressed when they merge.
    const statements = [`${clause(found.ttl)} SETTINGS materialize_ttl_after_modify = 0`]
    changes.push({ action: 'change', name, what, statements })
  }
  if (ttl !== found.ttl) {
    const what = `retention: ${found.ttl || 'forever'} → ${ttl || 'forever'}`
    const statements = [clause(ttl)]
    changes.push({ action: 'change', name, what, statements, ...(ttl ? { ttl } : {}) })
  }
  for (const [key, value] of settings) {
    const from = found.settings.get(key)
    // Replicated engines ignore non_replicated_* settings.
    if (from === value || (found.replication && key.startsWith('non_replicated_'))) continue
    const statements = [`ALTER TABLE ${name} MODIFY SETTING ${key} = ${value}`]
    changes.push({ action: 'change', name, what: `setting ${key}: ${from ?? 'default'} → ${value}`, statements })
  }
  return changes
}

function layoutDifferences(text: TableText, found: TableText): SchemaPlan['impossible'] {
  const { name } = text
  const engine = { name, what: 'engine', from: found.layout.engine, to: `${text.replication}${text.layout.engine}` }
  const replication =
    text.replication && !found.replication && found.layout.engine === text.layout.engine ? [engine] : []
  const layout = (Object.keys(text.layout) as (keyof TableText['layout'])[])
    .filter((what) => text.layout[what] !== found.layout[what])
    .map((what) => ({ name, what, from: found.layout[what] || 'none', to: text.layout[what] || 'none' }))
  const types = [...text.columns].flatMap(([column, { type }]) => {
    const from: ColumnText | undefined = found.columns.get(column)
    if (!from || from.type === type || widens(from.type, type)) return []
    return [{ name, what: `type of ${column}`, from: from.type, to: type }]
  })
  return [...replication, ...layout, ...types]
}
