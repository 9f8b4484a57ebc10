#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Makes the database what clickhouse/init and the retention settings declare: plans, applies, reads back. The init files themselves
 * run only on an empty volume. It creates, adds columns and changes codecs, settings and retention; it never drops a column or a
 * table, and deletes rows only where a retention setting gives them up and somebody agrees.
 */
import { refuseTogether, runCommand } from './lib/command/command.mts'
import { canAsk, confirmWord } from './lib/command/confirm.mts'
import { progressBar } from './lib/command/progress.mts'
import { rebuildTables } from './lib/schema/rebuild.mts'
import { renderSchemaPlan } from './lib/schema/report.mts'
import { syncSchema } from './lib/schema/schema.mts'
import { readSettings } from './lib/settings/settings.mts'

await runCommand({
  name: './scripts/apply-schema.mts',
  summary: `Makes the database what clickhouse/init and the MARKET_…_RETENTION_DAYS of .env declare: plans, applies, reads back.
Loses nothing; rows that a retention gives up are deleted only when you agree. What ClickHouse cannot change is told with the way out.`,
  options: {
    'dry-run': { type: 'boolean', help: 'show the plan and change nothing; exit 1 when something would change' },
    // --dry-run with every difference as a finding, kept for the CI scripts that call it.
    check: { type: 'boolean', hidden: true, help: 'report every difference as a finding and change nothing' },
    rebuild: {
      type: 'list',
      value: 'TABLE',
      help: 'first copy these tables into their declared key, partitions and types; the old ones are kept beside them',
    },
    yes: { type: 'boolean', help: 'delete, without asking, the rows that a retention setting gives up' },
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 1,
      max: 86_400,
      default: 60,
      help: 'deadline of each statement; rows are copied for as long as the server answers within it',
    },
  },
  example: './scripts/apply-schema.mts --dry-run',
  exitCodes: {
    0: 'the database is as declared',
    1: 'something could not be changed, or with --dry-run would have to be',
    2: 'wrong use, a refused login, or a mistake in .env',
    3: 'could not tell: ClickHouse did not answer in time',
  },
  run: async ({ options, log, paint }) => {
    const { check, 'dry-run': dryRun, rebuild, timeout, yes } = options
    const modes = { '--rebuild': rebuild.length > 0, '--check': check, '--dry-run': dryRun }
    refuseTogether(modes, './scripts/apply-schema.mts --dry-run')
    const settings = readSettings()
    const started = performance.now()
    const mode = check ? 'check' : dryRun ? 'plan' : 'apply'
    const bar = progressBar(process.stderr)
    const deadline = { timeoutMs: timeout * 1000, log }
    const rebuilt = await rebuildTables(settings, rebuild, { ...deadline, show: bar.show }).finally(bar.clear)
    const { plan, done, findings } = await syncSchema(settings, {
      mode,
      ...deadline,
      mayDelete: async (changes) => {
        const rows = changes.map(({ name, expired }) => `${expired} rows of ${name}`).join(', ')
        return yes || (canAsk() && (await confirmWord(`Retention deletes ${rows}. Type "delete" to agree: `, 'delete')))
      },
    })
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const text = [`Database ${settings.CLICKHOUSE_DATABASE}`]
    if (!check) text.push(renderSchemaPlan(plan, paint))
    if (check) text.push(`Differences: ${findings.length}`)
    else if (plan.changes.length === 0)
      text.push(plan.impossible.length > 0 ? 'Nothing that can be changed' : 'Nothing to do')
    else if (dryRun) text.push(`Changes that would be made: ${plan.changes.length}`)
    else text.push(`Changed in ${seconds} s: ${done.length} of ${plan.changes.length}`)
    return {
      findings,
      text: text.filter(Boolean).join('\n'),
      data: { database: settings.CLICKHOUSE_DATABASE, mode: dryRun ? 'dry-run' : mode, rebuilt, plan, done },
      ...(dryRun && plan.changes.length > 0 ? { exitCode: 1 as const } : {}),
    }
  },
})
