#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Switches the built-in ingest on or off, or shows its status. `on` creates the objects of clickhouse/ingest in the market database; `off`
 * drops those that hold no rows. Neither changes stored rows or offsets: `on` resumes where `off` stopped. `rejects` lists, resends or
 * deletes the messages that the ingest rejected.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether, timeoutFlag, usage } from './lib/command/flags.mts'
import { configError } from './lib/common/findings.mts'

const NAME = './scripts/ingest.mts'
const WORDS = ['on', 'off', 'status', 'rejects'] as const

await runCommand({
  name: NAME,
  summary: `Switches the built-in ingest on or off, or shows its status. While it is on, ClickHouse stores the raw topics in the market
tables, signals and features in market_messages, and messages that it cannot use in market_rejects. It is off by default,
because it would duplicate the rows of any program that already writes the same tables.`,
  arguments: { value: WORDS.join('|'), help: 'switch it on or off, show its status, or handle rejected messages' },
  options: {
    'skip-backlog': {
      type: 'boolean',
      help: 'with on: skip existing messages in topics that were never read',
    },
    replay: { type: 'boolean', help: 'with rejects: send them to their topics again, once the cause is fixed' },
    clear: { type: 'boolean', help: 'with rejects: delete them after confirmation' },
    yes: { type: 'boolean', help: 'do not ask for confirmation of --clear or of a target that is not on this machine' },
    timeout: timeoutFlag(30, 'how long to wait for each answer, and until all partitions are read', 600),
  },
  example: './scripts/ingest.mts on',
  exitCodes: {
    0: 'on, off, rejects: done; status: off, or on and reading',
    1: 'a requirement is missing, reading fails, or you declined',
    2: 'invalid usage or settings',
    3: 'could not be determined: a service did not answer in time',
  },
  run: async ({ options, args, log, paint }) => {
    const [word] = args
    const known = WORDS.find((each) => each === word)
    if (!known || args.length > 1) {
      const found = args.length === 0 ? 'none' : `"${args.join(' ')}"`
      throw configError([usage(NAME, 'argument', found, `one of ${WORDS.join(', ')}`)])
    }
    const { 'skip-backlog': skipBacklog, replay, clear, yes } = options
    const flags = { on: { skipBacklog, yes }, off: { yes }, status: {}, rejects: { replay, clear, yes } }[known]
    for (const [flag, given] of Object.entries({ skipBacklog, replay, clear, yes }))
      if (given && !(flag in flags)) {
        const name = flag === 'skipBacklog' ? '--skip-backlog' : `--${flag}`
        throw configError([usage(NAME, name, `with ${known}`, flag === 'skipBacklog' ? 'with on' : 'with rejects')])
      }
    refuseTogether({ '--replay': replay, '--clear': clear }, `${NAME} rejects`)
    const { DECLINED, mayChange } = await import('./lib/command/target.mts')
    const { withClickHouse } = await import('./lib/clickhouse/client.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    const timeoutMs = options.timeout * 1000
    const changes = known === 'rejects' ? replay || clear : known !== 'status'
    if (
      changes &&
      !(await mayChange(settings, replay ? ['clickhouse', 'kafka'] : ['clickhouse'], { yes, command: NAME, log }))
    )
      return DECLINED
    if (known === 'rejects') {
      const { runRejects } = await import('./lib/ingest/resend.mts')
      const action = replay ? 'replay' : clear ? 'clear' : 'list'
      return withClickHouse(settings, timeoutMs, (client) =>
        runRejects(client, settings, { action, yes, timeoutMs, paint, log }),
      )
    }
    const { NO_LAG_LIMITS, renderStatus, statusFindings } = await import('./lib/ingest/report.mts')
    const { readStatus } = await import('./lib/ingest/status.mts')
    const { switchOff, switchOn } = await import('./lib/ingest/switch.mts')
    return withClickHouse(settings, timeoutMs, async (client) => {
      const switched =
        known === 'on'
          ? await switchOn(client, settings, { timeoutMs, log, skipBacklog })
          : known === 'off'
            ? await switchOff(client, settings, timeoutMs)
            : undefined
      const status = await readStatus(client, settings, { timeoutMs, rates: known === 'status' })
      const done = switched && (switched.changed.length === 0 ? 'Nothing to do' : `Switched ${known}`)
      return {
        // Directly after `on`, a backlog is expected.
        findings: statusFindings(status, known === 'on' ? NO_LAG_LIMITS : undefined),
        text: [done, renderStatus(status, paint)].filter(Boolean).join('\n'),
        data: { ...status, ...switched },
      }
    })
  },
})
