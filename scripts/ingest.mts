#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Switches the built-in ingest on and off, or shows what it does. `on` creates the objects of clickhouse/ingest in the market database,
 * `off` drops those that only move messages. Neither touches stored rows or offsets: `on` continues where `off` stopped.
 */
import { withClickHouse } from './lib/clickhouse/client.mts'
import { runCommand, usage } from './lib/command/command.mts'
import { configError } from './lib/common/findings.mts'
import { NO_LAG_LIMITS, renderStatus, statusFindings } from './lib/ingest/report.mts'
import { readStatus } from './lib/ingest/status.mts'
import { switchOff, switchOn } from './lib/ingest/switch.mts'
import { readSettings } from './lib/settings/settings.mts'

const NAME = './scripts/ingest.mts'
const WORDS = ['on', 'off', 'status'] as const

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
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 1,
      max: 600,
      default: 30,
      help: 'how long to wait for each answer, and until all partitions are read',
    },
  },
  example: './scripts/ingest.mts on',
  exitCodes: {
    0: 'it is on or off, as asked; with status: on and reading, or off',
    1: 'something it needs is missing, or it fails to read',
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
    if (options['skip-backlog'] && known !== 'on') {
      throw configError([usage(NAME, '--skip-backlog', `with ${known}`, 'with on')])
    }
    const settings = readSettings()
    const timeoutMs = options.timeout * 1000
    return withClickHouse(settings, timeoutMs, async (client) => {
      const switched =
        known === 'on'
          ? await switchOn(client, settings, { timeoutMs, log, skipBacklog: options['skip-backlog'] })
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
