#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Switches the built-in ingest on or off, or shows its status. `on` creates the objects of clickhouse/ingest in the market database; `off`
 * drops those that hold no rows. Neither changes stored rows or offsets: `on` resumes where `off` stopped. `rejects` lists, resends or
 * deletes the messages that the ingest rejected.
 */
import { runCommand } from './lib/command/command.mts'
import { ingestWord, NAME, OPTIONS, WORDS } from './lib/ingest/options.mts'

await runCommand({
  name: NAME,
  summary: `Switches the built-in ingest on or off, or shows its status. While it is on, ClickHouse stores the raw topics in the market
tables, signals and features in market_messages, and messages that it cannot use in market_rejects. It is off by default,
because it would duplicate the rows of any program that already writes the same tables.`,
  arguments: { value: WORDS.join('|'), help: 'switch it on or off, show its status, or handle rejected messages' },
  options: OPTIONS,
  example: `${NAME} on`,
  exitCodes: {
    0: 'on, off, rejects: done; status: off, or on and reading',
    1: 'a requirement is missing, reading fails, or you declined',
    2: 'invalid usage or settings',
    3: 'could not be determined: a service did not answer in time',
  },
  run: async ({ options, args, log, paint }) => {
    const word = ingestWord(options, args)
    const { replay, clear, yes } = options
    const { DECLINED, mayChange } = await import('./lib/command/target.mts')
    const { withClickHouse } = await import('./lib/clickhouse/client.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    const timeoutMs = options.timeout * 1000
    const changes = word === 'rejects' ? replay || clear : word !== 'status'
    const targets = replay ? (['clickhouse', 'kafka'] as const) : (['clickhouse'] as const)
    if (changes && !(await mayChange(settings, targets, { yes, command: NAME, log }))) return DECLINED
    if (word === 'rejects') {
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
      const switchIt = {
        on: () => switchOn(client, settings, { timeoutMs, log, skipBacklog: options['skip-backlog'] }),
        off: () => switchOff(client, settings, timeoutMs),
        status: () => undefined,
      }[word]
      const switched = await switchIt()
      const status = await readStatus(client, settings, { timeoutMs, rates: word === 'status' })
      const done = switched && (switched.changed.length === 0 ? 'Nothing to do' : `Switched ${word}`)
      return {
        // Directly after `on`, a backlog is expected.
        findings: statusFindings(status, word === 'on' ? NO_LAG_LIMITS : undefined),
        text: [done, renderStatus(status, paint)].filter(Boolean).join('\n'),
        data: { ...status, ...switched },
      }
    })
  },
})
