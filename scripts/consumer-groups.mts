#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Shows every consumer group: state, members, how far behind it is and how fast it goes. `reset` moves the offsets that a group without
 * members has committed, after a question; it changes nothing else.
 */
import { runCommand } from './lib/command/command.mts'
import { askedOf, NAME, OPTIONS } from './lib/groups/options.mts'

await runCommand({
  name: NAME,
  summary: `Shows every consumer group: state, members, and for each topic its lag, records a second and when it has caught up.
With reset, moves what a group has committed to another place: its next reader begins there. Shows the plan, asks, refuses
while the group has members, and reads the offsets back.`,
  arguments: { value: '[reset]', help: 'move the offsets of --group to --to' },
  options: OPTIONS,
  example: `${NAME} reset --group market_data_consumer --to -1h --dry-run`,
  exitCodes: {
    0: 'no group is far behind; with reset: moved and proven, or with --dry-run it could be',
    1: 'a group is far behind, or beyond the end of a topic; with reset: declined, refused, or not proven',
    2: 'wrong use or settings, or no such group or topic',
    3: 'could not tell: the broker, or the leader of a partition, did not answer in time',
  },
  run: async ({ options, args, json, log, paint }) => {
    const asked = askedOf(options, args, { json, nowMs: Date.now() })
    const { withKafkaCause } = await import('./lib/engines/container.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    if (asked.kind === 'reset') {
      const { nameRemote } = await import('./lib/command/target.mts')
      const { resetOffsets } = await import('./lib/groups/reset.mts')
      await nameRemote(settings, ['kafka'], log)
      const { findings, text, moves, declined } = await withKafkaCause(
        resetOffsets(settings, { ...asked, log }),
        asked.timeoutMs,
      )
      const report = { findings, ...(text === undefined ? {} : { text }) }
      return declined ? { ...report, data: { moves, declined }, exitCode: 1 } : { ...report, data: { moves } }
    }
    const { renderFindings } = await import('./lib/common/findings.mts')
    const { readLooks } = await import('./lib/groups/groups.mts')
    const { renderGroups } = await import('./lib/groups/report.mts')
    const render = (look: Awaited<ReturnType<typeof readLooks>>) =>
      renderGroups(look.groups, { byPartition: asked.group !== undefined }, paint)
    const show = (look: Awaited<ReturnType<typeof readLooks>>) => {
      const findings = renderFindings(look.findings, paint)
      const lines = [new Date().toISOString(), render(look), findings].filter(Boolean)
      process.stdout.write(`${lines.join('\n')}\n`)
    }
    const looking = readLooks(settings, { ...asked, log }, asked.watch ? show : undefined)
    const look = await withKafkaCause(looking, asked.timeoutMs)
    if (asked.watch) return { findings: [] }
    return { findings: look.findings, text: render(look), data: { groups: look.groups } }
  },
})
