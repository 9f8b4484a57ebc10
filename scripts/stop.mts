#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Stops the stack: the recorded embedded processes and the containers of docker-compose.yml. Touches nothing else and keeps all data.
 */
import { runCommand } from './lib/command/command.mts'
import { error, type Finding, OpsError } from './lib/common/findings.mts'
import { table } from './lib/common/table.mts'
import type { Container } from './lib/engines/inspect.mts'

await runCommand({
  name: 'npm stop --',
  summary:
    'Stops what `npm start` started: the recorded processes of the embedded stack, and the containers of docker-compose.yml.\n' +
    'Keeps all data.',
  options: {},
  example: 'npm stop',
  exitCodes: {
    0: 'stopped, or nothing was running',
    1: 'a service had to be killed; it recovers at its next start',
    2: 'invalid usage or settings',
    3: 'could not be determined: another start or stop is running, or Docker failed',
  },
  run: async ({ log }) => {
    const { stopContainers } = await import('./lib/engines/docker.mts')
    const { stopEmbedded } = await import('./lib/engines/embedded/stack.mts')
    const { findContainers, hasProcesses } = await import('./lib/engines/inspect.mts')
    const { logFile } = await import('./lib/engines/logs.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    // Only one of the two stacks runs: once the embedded one is stopped, an engine that does not answer is no failure.
    const containers = (embeddedStopped: boolean): Promise<Container[]> =>
      findContainers().catch((failure: unknown) => {
        if (embeddedStopped && failure instanceof OpsError) return []
        throw failure
      })
    const settings = readSettings()
    const rows: string[][] = []
    const findings: Finding[] = []
    for (const { name, how } of await stopEmbedded(settings.EMBEDDED_DATA_DIR)) {
      rows.push([name, how])
      const found = 'it did not exit after SIGTERM, so it was killed'
      const hint = `read ${logFile(settings.EMBEDDED_DATA_DIR, name)}`
      if (how === 'killed') findings.push(error('KILLED', name, { found, hint }))
    }
    const running = (await containers(rows.length > 0)).filter(hasProcesses)
    if (running.length > 0) {
      log('Stopping the containers')
      await stopContainers()
      rows.push(...running.map(({ name }) => [name, 'stopped']))
    }
    return {
      findings,
      text: rows.length > 0 ? `Stopped, data kept:\n${table(rows)}` : 'Nothing was running',
      data: { stopped: rows.length },
    }
  },
})
