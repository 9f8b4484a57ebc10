/** A schema plan as people read it, and as findings. */
import type { Finding, Paint } from '../common/findings.mts'
import type { SchemaChange, SchemaPlan } from './plan.mts'

type Line = [style: Parameters<Paint>[0], action: string, name: string, what: string]

const STYLES = {
  create: ['green', '+'],
  add: ['green', '+'],
  change: ['yellow', '~'],
  replace: ['yellow', '~'],
} as const

/** A plan for people: a line for each change, each difference that must stay, and each thing left alone. */
export function renderSchemaPlan({ changes, impossible, waiting, undeclared }: SchemaPlan, paint: Paint): string {
  const lines = [
    ...changes.map(({ action, name, what, expired = 0 }): Line => {
      const [style, mark] = STYLES[action]
      const loss = expired > 0 ? ` (deletes ${expired} rows that are older)` : ''
      return [style, `${mark} ${action}`, name, `${what}${loss}`]
    }),
    ...impossible.map(({ name, what, from, to }): Line => ['red', '✗ cannot change', name, `${what}: ${from} → ${to}`]),
    ...waiting.map(({ name, table }): Line => ['dim', '· waits', name, `for ${table} to be rebuilt`]),
    ...undeclared.map((name): Line => ['dim', '· not declared', name, 'left alone']),
  ]
  const width = Math.max(0, ...lines.map(([, , name]) => name.length))
  return lines
    .map(([style, action, name, what]) => `  ${paint(style, action.padEnd(15))}  ${name.padEnd(width)}  ${what}`)
    .join('\n')
}

const CODES = {
  create: 'SCHEMA_MISSING',
  add: 'SCHEMA_MISSING',
  change: 'SCHEMA_DRIFT',
  replace: 'SCHEMA_DRIFT',
} as const satisfies Record<SchemaChange['action'], string>

/** How the database differs from the declaration, as findings. What is not declared is none. */
export function schemaFindings(plan: SchemaPlan): Finding[] {
  return [
    ...plan.changes.map(({ action, name, what }): Finding => {
      const [subject, found, expected] = what.includes(' → ')
        ? [
            `${name} ${what.slice(0, what.indexOf(': '))}`,
            ...(what.slice(what.indexOf(': ') + 2).split(' → ') as [string, string]),
          ]
        : [
            name,
            action === 'create' || action === 'add' ? `no ${what}` : `another ${what}`,
            'as clickhouse/init declares it',
          ]
      return { severity: 'error', code: CODES[action], subject, found, expected, hint: 'npm run schema' }
    }),
    ...impossibleSchemaFindings(plan),
  ]
}

/** What of a plan ClickHouse cannot do in place, with the way out: one finding for each table. */
export function impossibleSchemaFindings({ impossible, waiting }: SchemaPlan): Finding[] {
  return [...new Set(impossible.map(({ name }) => name))].map((table) => {
    const differences = impossible.filter(({ name }) => name === table).map(({ what }) => what)
    const views = waiting.filter((view) => view.table === table).map(({ name }) => name)
    return {
      severity: 'error',
      code: 'SCHEMA_CANNOT_CHANGE',
      subject: table,
      found: `another ${differences.join(', ')}, and ClickHouse cannot change that`,
      expected: `as clickhouse/init declares it${views.length > 0 ? `; until then there is no ${views.join(', ')}` : ''}`,
      hint: differences.includes('kind')
        ? `RENAME TABLE ${table} TO another name, then: npm run schema`
        : `stop its writers, then: ./scripts/apply-schema.mts --rebuild ${table} (copies the rows; the old table is kept)`,
    }
  })
}
