#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Makes the database match clickhouse/init and the retention settings. The image itself runs the init files only on an empty volume.
 * Creates tables, adds columns, and changes codecs, settings and retention. Never drops a column or a table, and deletes rows only past a
 * retention setting and with consent.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether, timeoutFlag } from './lib/command/flags.mts'

await runCommand({
  name: './scripts/apply-schema.mts',
  summary: `Makes the database match clickhouse/init and the MARKET_…_RETENTION_DAYS of .env, and verifies the changes.
Drops no table or column, and deletes rows past a retention setting only with your consent. Reports what ClickHouse cannot change in place, and the fix.`,
  options: {
    'dry-run': { type: 'boolean', help: 'show the plan and change nothing; exit 1 when something would change' },
    // Retained for existing CI scripts: --dry-run with every difference as a finding.
    check: { type: 'boolean', hidden: true, help: 'report every difference as a finding and change nothing' },
    rebuild: {
      type: 'list',
      value: 'TABLE',
      help: 'first copy these tables into their declared keys, partitions and types; resumes an interrupted run and keeps the old tables',
    },
    yes: {
      type: 'boolean',
      help: 'do not ask before deleting rows past a retention setting, or before changing a target on another machine',
    },
    timeout: timeoutFlag(
      60,
      'deadline of each statement; copying rows continues for as long as the server answers within it',
    ),
  },
  example: './scripts/apply-schema.mts --dry-run',
  exitCodes: {
    0: 'the database is as declared',
    1: 'something could not be changed, or --dry-run found something to change',
    2: 'invalid usage or settings, or refused credentials',
    3: 'could not be determined: ClickHouse did not answer in time',
  },
  run: async ({ options, log, paint }) => {
    const { check, 'dry-run': dryRun, rebuild, timeout, yes } = options
    const modes = { '--rebuild': rebuild.length > 0, '--check': check, '--dry-run': dryRun }
    refuseTogether(modes, './scripts/apply-schema.mts --dry-run')
    const { DECLINED, mayChange } = await import('./lib/command/target.mts')
    const { canAsk, confirmWord } = await import('./lib/command/confirm.mts')
    const { rebuildTables } = await import('./lib/schema/rebuild.mts')
    const { renderSynced } = await import('./lib/schema/report.mts')
    const { syncSchema } = await import('./lib/schema/schema.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    const command = './scripts/apply-schema.mts'
    if (!check && !dryRun && !(await mayChange(settings, ['clickhouse'], { yes, command, log }))) return DECLINED
    const started = performance.now()
    const mode = check ? 'check' : dryRun ? 'plan' : 'apply'
    const deadline = { timeoutMs: timeout * 1000, log }
    const rebuilt = await rebuildTables(settings, rebuild, deadline)
    const { plan, done, findings } = await syncSchema(settings, {
      mode,
      ...deadline,
      mayDelete: async (changes) => {
        const rows = changes.map(({ name, expired }) => `${expired} rows of ${name}`).join(', ')
        return (
          yes || (canAsk() && (await confirmWord(`Retention deletes ${rows}. Type "delete" to confirm: `, 'delete')))
        )
      },
    })
    const seconds = (performance.now() - started) / 1000
    const result = check ? `Differences: ${findings.length}` : renderSynced({ plan, done }, { dryRun, seconds, paint })
    return {
      findings,
      text: `Database ${settings.CLICKHOUSE_DATABASE}\n${result}`,
      data: { database: settings.CLICKHOUSE_DATABASE, mode: dryRun ? 'dry-run' : mode, rebuilt, plan, done },
      ...(dryRun && plan.changes.length > 0 ? { exitCode: 1 as const } : {}),
    }
  },
})
