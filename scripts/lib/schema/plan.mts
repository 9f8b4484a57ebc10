/** Compares declared with live tables and views: what to create, to change, and what cannot be changed. Does no I/O. */
import type { ColumnText, ObjectText, TableText, ViewText } from './ddl.mts'

/** A declared object: the statement of its file, and the same taken apart. */
export interface Declared {
  statement: string
  text: ObjectText
}

export interface SchemaChange {
  action: 'create' | 'add' | 'change' | 'replace'
  /** Table or view. */
  name: string
  /** For people: `column tick_id`, `codec of price: CODEC(…) → CODEC(…)`. */
  what: string
  statements: string[]
  /** A view that rows pass on their way in: what it does, to be done once for the rows that are there already. */
  backfill?: ViewText
  /** Until when a row is kept from then on, as an expression. */
  ttl?: string
  /** Rows that it would delete at once; filled in by who asks the server. */
  expired?: number
}

export interface SchemaPlan {
  changes: SchemaChange[]
  /** What ClickHouse cannot change in place. */
  impossible: { name: string; what: string; from: string; to: string }[]
  /** Views that are not created or replaced while a table cannot be changed that they read, be it through another view. */
  waiting: { name: string; table: string }[]
  /** The cluster whose servers it is for; empty for one server. */
  cluster?: string
  /** Tables and views that no file declares. They are left alone. */
  undeclared: string[]
}

/** The comment of a view while older rows have not passed it yet: it stays when the run that fills its target is killed. */
export const UNFILLED = 'not filled yet: npm run schema'

/** The plan that makes `live` what `declared` says; `user` is whom refreshes run as. */
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
      plan.changes.push({ action: 'replace', name: text.name, what: `${found.kind}: a table`, statements })
    } else {
      plan.changes.push(...columnChanges(text, found), ...partChanges(text, found), ...clauseChanges(text, found))
      plan.impossible.push(...layoutDifferences(text, found))
    }
  }
  return plan
}

/** Tables, and materialized views that keep their rows themselves. */
function holdsRows(found: ObjectText): boolean {
  return found.kind === 'table' || (found.kind === 'materialized view' && !/\bTO \w/.test(found.target))
}

/** A view holds no rows, so it is replaced as a whole; one that rows pass on their way in is changed without a gap. */
function viewChange(
  text: ViewText,
  found: ObjectText | undefined,
  statement: string,
  user: string,
): SchemaChange | undefined {
  const { kind, name, query, target } = text
  const passed = target.startsWith('TO ')
  const backfill = passed ? { backfill: text } : {}
  const creation = passed ? `${statement.trimEnd()}\nCOMMENT '${UNFILLED}'` : statement
  if (!found) return { action: 'create', name, what: kind, statements: [creation], ...backfill }
  if (found.kind === kind && found.query === query && found.target === target) {
    if (found.definer !== '' && found.definer !== user) {
      const what = `${kind}: runs as ${found.definer} → ${user}`
      return { action: 'replace', name, what, statements: [`DROP VIEW ${name}`, creation], ...backfill }
    }
    if (found.comment !== UNFILLED) return undefined
    return { action: 'change', name, what: 'rows of before it: not all passed on → all', statements: [], ...backfill }
  }
  const what = `${kind}: its query${found.kind !== 'table' && found.target !== target ? ' and target' : ''}`
  if (found.kind === 'view' && kind === 'view') {
    return { action: 'replace', name, what, statements: [statement.replace('VIEW IF NOT EXISTS', 'OR REPLACE VIEW')] }
  }
  if (found.kind === kind && found.target === target && passed) {
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
      const place = index === 0 ? 'FIRST' : `AFTER ${names[index - 1]}`
      const statements = [`ALTER TABLE ${name} ADD COLUMN IF NOT EXISTS ${definition} ${place}`]
      return [{ action: 'add', name, what: `column ${column} ${to.type}`, statements }]
    }
    // Another type is reported as impossible, unless it is an Enum that gets further words.
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

/** Whether every word of one Enum is in the other with the same number: such a change touches no row. */
function widens(from: string, to: string): boolean {
  const [before, after] = [from, to].map((type) => /^Enum8\((.*)\)$/.exec(type)?.[1]?.split(', '))
  return before !== undefined && after !== undefined && before.every((word) => after.includes(word))
}

/** Indexes and projections: derived from the rows, so they can be dropped and made again. */
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
  // Both stand in one clause, and either may change without the other.
  const clause = (kept: string) => {
    const all = [kept, recompression].filter(Boolean).join(', ')
    return `ALTER TABLE ${name} ${all ? `MODIFY TTL ${all}` : 'REMOVE TTL'}`
  }
  if (recompression !== found.recompression) {
    const what = `recompression: ${found.recompression || 'never'} → ${recompression || 'never'}`
    // Otherwise every part would be rewritten at once. Existing parts are compressed again when they merge.
    const statements = [`${clause(found.ttl)} SETTINGS materialize_ttl_after_modify = 0`]
    changes.push({ action: 'change', name, what, statements })
  }
  if (ttl !== found.ttl) {
    const what = `retention: ${found.ttl || 'for ever'} → ${ttl || 'for ever'}`
    const statements = [clause(ttl)]
    changes.push({ action: 'change', name, what, statements, ...(ttl ? { ttl } : {}) })
  }
  for (const [key, value] of settings) {
    const from = found.settings.get(key)
    // Engines that keep copies have no use for it, and remember inserts by another setting.
    if (from === value || (found.replication && key.startsWith('non_replicated_'))) continue
    const statements = [`ALTER TABLE ${name} MODIFY SETTING ${key} = ${value}`]
    changes.push({ action: 'change', name, what: `setting ${key}: ${from ?? 'default'} → ${value}`, statements })
  }
  return changes
}

function layoutDifferences(text: TableText, found: TableText): SchemaPlan['impossible'] {
  const { name } = text
  const copied = { name, what: 'engine', from: found.layout.engine, to: `${text.replication}${text.layout.engine}` }
  const copies = text.replication && !found.replication && found.layout.engine === text.layout.engine ? [copied] : []
  const layout = (Object.keys(text.layout) as (keyof TableText['layout'])[])
    .filter((what) => text.layout[what] !== found.layout[what])
    .map((what) => ({ name, what, from: found.layout[what] || 'none', to: text.layout[what] || 'none' }))
  const types = [...text.columns].flatMap(([column, { type }]) => {
    const from: ColumnText | undefined = found.columns.get(column)
    if (!from || from.type === type || widens(from.type, type)) return []
    return [{ name, what: `type of ${column}`, from: from.type, to: type }]
  })
  return [...copies, ...layout, ...types]
}
