#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Switches the built-in ingest on and off, or shows what it does. `on` creates the objects of clickhouse/ingest in the market database,
 * `off` drops those that only move messages. Neither touches what is stored, nor the offsets: `on` goes on where `off` stopped.
 */
import { withClickHouse } from './lib/clickhouse/client.mts'
import { runCommand } from './lib/command/command.mts'
import { configError } from './lib/common/findings.mts'
import { NO_LAG_LIMITS, renderStatus, statusFindings } from './lib/ingest/report.mts'
import { readStatus } from './lib/ingest/status.mts'
import { switchOff, switchOn } from './lib/ingest/switch.mts'
import { readSettings } from './lib/settings/settings.mts'

const WORDS = ['on', 'off', 'status'] as const

await runCommand({
  name: './scripts/ingest.mts',
  summary: `Switches the built-in ingest on and off, or shows what it does: ClickHouse reads the raw topics into the market tables,
signals and features into market_messages, and what it cannot read into market_rejects. Off by default: a program of
yours that writes the same tables would store every row a second time.`,
  arguments: { value: WORDS.join('|'), help: 'what to do' },
  options: {
    'skip-backlog': {
      type: 'boolean',
      help: 'with on: begin with what is sent from now on, where nothing was read before',
    },
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 1,
      max: 600,
      default: 30,
      help: 'for each answer, and until all partitions are read',
    },
  },
  example: './scripts/ingest.mts on',
  exitCodes: {
    0: 'it is as asked, or with status: on and reading, or off',
    1: 'something it needs is missing, or it fails to read',
    2: 'wrong use or settings',
    3: 'could not tell: a service did not answer in time',
  },
  run: async ({ options, args, log, paint }) => {
    const [word] = args
    const known = WORDS.find((each) => each === word)
    if (!known || args.length > 1) {
      const found = args.length === 0 ? 'none' : `"${args.join(' ')}"`
      const finding = { code: 'USAGE', subject: 'argument', found, expected: `one of ${WORDS.join(', ')}` }
      throw configError([{ ...finding, hint: './scripts/ingest.mts --help' }])
    }
    if (options['skip-backlog'] && known !== 'on') {
      const finding = { code: 'USAGE', subject: '--skip-backlog', found: `with ${known}`, expected: 'with on' }
      throw configError([{ ...finding, hint: './scripts/ingest.mts --help' }])
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
