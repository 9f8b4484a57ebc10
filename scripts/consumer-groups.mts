#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Shows every consumer group: state, members, lag and rates. `reset` moves the committed offsets of a group without members, after confirmation;
 * it changes nothing else.
 */
import { runCommand } from './lib/command/command.mts'
import type { Snapshot } from './lib/groups/groups.mts'
import { groupsRequest, NAME, OPTIONS } from './lib/groups/options.mts'

await runCommand({
  name: NAME,
  summary: `Shows every consumer group: state, members, and for each topic its lag, records per second and time to catch up.
With reset, moves a group's committed offsets to another position, where its next consumer starts. Shows the plan, asks for
confirmation, refuses while the group has members, and verifies the new offsets.`,
  arguments: { value: '[reset]', help: 'move the committed offsets of --group to --to' },
  options: OPTIONS,
  example: `${NAME} reset --group market_data_consumer --to -1h --dry-run`,
  exitCodes: {
    0: 'no critical lag; with reset: moved and verified; with --dry-run: can be moved',
    1: 'critical lag, or offsets beyond the end of a topic; with reset: declined, refused, or not verified',
    2: 'invalid usage or settings, or no such group or topic',
    3: 'could not be determined: the broker or a partition leader did not answer in time',
  },
  run: async ({ options, args, json, log, paint }) => {
    const request = groupsRequest(options, args, { json, nowMs: Date.now() })
    const { withKafkaCause } = await import('./lib/engines/container.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    if (request.kind === 'reset') {
      const { nameRemote } = await import('./lib/command/target.mts')
      const { resetOffsets } = await import('./lib/groups/reset.mts')
      await nameRemote(settings, ['kafka'], log)
      const { findings, text, moves, declined } = await withKafkaCause(
        resetOffsets(settings, { ...request, log }),
        request.timeoutMs,
      )
      const report = { findings, ...(text === undefined ? {} : { text }) }
      return declined ? { ...report, data: { moves, declined }, exitCode: 1 } : { ...report, data: { moves } }
    }
    const { renderFindings } = await import('./lib/common/findings.mts')
    const { readSnapshots } = await import('./lib/groups/groups.mts')
    const { renderGroups } = await import('./lib/groups/report.mts')
    const render = (snapshot: Snapshot) =>
      renderGroups(snapshot.groups, { byPartition: request.group !== undefined }, paint)
    const show = (snapshot: Snapshot) => {
      const findings = renderFindings(snapshot.findings, paint)
      const lines = [new Date().toISOString(), render(snapshot), findings].filter(Boolean)
      process.stdout.write(`${lines.join('\n')}\n`)
    }
    const reading = readSnapshots(settings, { ...request, log }, request.watch ? show : undefined)
    const snapshot = await withKafkaCause(reading, request.timeoutMs)
    if (request.watch) return { findings: [] }
    return { findings: snapshot.findings, text: render(snapshot), data: { groups: snapshot.groups } }
  },
})
