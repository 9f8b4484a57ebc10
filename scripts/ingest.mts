#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Switches the built-in ingest on and off, or shows what it does. `on` creates the objects of clickhouse/ingest in the market database,
 * `off` drops those that only move messages. Neither touches stored rows or offsets: `on` continues where `off` stopped. `rejects` lists
 * the messages that could not be read, sends them again, or deletes them after a question.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether, timeoutFlag, usage } from './lib/command/flags.mts'
import { configError } from './lib/common/findings.mts'

const NAME = './scripts/ingest.mts'
const WORDS = ['on', 'off', 'status', 'rejects'] as const

await runCommand({
  name: NAME,
  summary: `Switches the built-in ingest on or off, or shows its status. ClickHouse then stores the raw topics in the market tables,
signals and features in market_messages, and messages that it cannot read in market_rejects. Off by default: with a
program of yours that writes the same tables, every row would be stored twice.`,
  arguments: { value: WORDS.join('|'), help: 'what to do' },
  options: {
    'skip-backlog': {
      type: 'boolean',
      help: 'with on: skip messages sent before now, in topics that it has never read',
    },
    replay: { type: 'boolean', help: 'with rejects: send them to their topics again, once their cause is fixed' },
    clear: { type: 'boolean', help: 'with rejects: delete them; asks first' },
    yes: { type: 'boolean', help: 'do not ask, neither for --clear nor for a target that is not on this machine' },
    timeout: timeoutFlag(30, 'how long to wait for each answer, and until all partitions are read', 600),
  },
  example: './scripts/ingest.mts on',
  exitCodes: {
    0: 'it is on or off, as asked; with status: on and reading, or off; with rejects: done',
    1: 'something it needs is missing, it fails to read, or you declined',
    2: 'wrong use or settings',
    3: 'could not tell: a service did not answer in time',
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
        // With on, a backlog is what it begins with.
        findings: statusFindings(status, known === 'on' ? NO_LAG_LIMITS : undefined),
        text: [done, renderStatus(status, paint)].filter(Boolean).join('\n'),
        data: { ...status, ...switched },
      }
    })
  },
})
