/** Renders a schema plan as text and as findings. */
import { error, type Finding, type Paint } from '../common/findings.mts'
import { table } from '../common/table.mts'
import type { SchemaChange, SchemaPlan } from './plan.mts'

type Line = [style: Parameters<Paint>[0], action: string, name: string, what: string]

const STYLES = {
  create: ['green', '+'],
  add: ['green', '+'],
  change: ['yellow', '~'],
  replace: ['yellow', '~'],
} as const

/** Renders a plan and its outcome. */
export function renderSynced(
  { plan, done }: { plan: SchemaPlan; done: readonly unknown[] },
  { dryRun, seconds, paint }: { dryRun: boolean; seconds: number; paint: Paint },
): string {
  const { changes, impossible } = plan
  const outcome =
    changes.length === 0
      ? impossible.length > 0
        ? 'Nothing can be changed'
        : 'Nothing to do'
      : dryRun
        ? `Changes that would be made: ${changes.length}`
        : `Changed in ${seconds.toFixed(1)} s: ${done.length} of ${changes.length}`
  return [renderSchemaPlan(plan, paint), outcome].filter(Boolean).join('\n')
}

/** Renders a plan with one line for each change, impossible change, blocked view and undeclared object. */
export function renderSchemaPlan({ changes, impossible, waiting, undeclared }: SchemaPlan, paint: Paint): string {
  const lines = [
    ...changes.map(({ action, name, what, expired = 0 }): Line => {
      const [style, mark] = STYLES[action]
      const loss = expired > 0 ? ` (deletes ${expired} older rows)` : ''
      return [style, `${mark} ${action}`, name, `${what}${loss}`]
    }),
    ...impossible.map(({ name, what, from, to }): Line => ['red', '✗ cannot change', name, `${what}: ${from} → ${to}`]),
    ...waiting.map((view): Line => ['dim', '· blocked', view.name, `until ${view.table} is rebuilt`]),
    ...undeclared.map((name): Line => ['dim', '· not declared', name, 'left alone']),
  ]
  return table(lines.map(([style, action, name, what]) => [paint(style, action), name, what]))
}

const CODES = {
  create: 'SCHEMA_MISSING',
  add: 'SCHEMA_MISSING',
  change: 'SCHEMA_DRIFT',
  replace: 'SCHEMA_DRIFT',
} as const satisfies Record<SchemaChange['action'], string>

/** Returns a finding for each difference from the declaration. Undeclared objects are not findings. */
export function schemaFindings(plan: SchemaPlan): Finding[] {
  return [
    ...plan.changes.map(({ action, name, what }): Finding => {
      const hint = 'npm run schema'
      const [, part, values = ''] = /^(.*?): (.*)$/s.exec(what) ?? []
      const arrow = values.lastIndexOf(' → ')
      if (part && arrow > 0) {
        const [found, expected] = [values.slice(0, arrow), values.slice(arrow + ' → '.length)]
        return error(CODES[action], `${name} ${part}`, { found, expected, hint })
      }
      const difference = CODES[action] === 'SCHEMA_MISSING' ? `no ${what}` : `a different ${what}`
      return error(CODES[action], name, { found: difference, expected: 'as clickhouse/init declares it', hint })
    }),
    ...impossibleSchemaFindings(plan),
  ]
}

/** Returns one finding for each table that ClickHouse cannot change in place, with the command that solves it. */
export function impossibleSchemaFindings({ impossible, waiting, cluster }: SchemaPlan): Finding[] {
  return [...new Set(impossible.map(({ name }) => name))].map((name) => {
    const differences = impossible.filter((each) => each.name === name).map(({ what }) => what)
    const views = waiting.filter((view) => view.table === name).map((view) => view.name)
    return error('SCHEMA_CANNOT_CHANGE', name, {
      found: `a different ${differences.join(', ')}, which ClickHouse cannot change in place`,
      expected: `as clickhouse/init declares it${views.length > 0 ? `; until then, these views are not created or replaced: ${views.join(', ')}` : ''}`,
      hint: cluster
        ? `RENAME TABLE ${name} TO another name ON CLUSTER '${cluster}', then: npm run schema, then copy its rows`
        : differences.includes('kind')
          ? `RENAME TABLE ${name} TO another name, then: npm run schema`
          : `stop its writers, then: ./scripts/apply-schema.mts --rebuild ${name} (copies the rows and keeps the old table)`,
    })
  })
}
