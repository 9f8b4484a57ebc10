#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Stops the stack: the embedded processes that a start recorded, and the containers of docker-compose.yml. Data stays. Touches
 * nothing else. Exit codes: see --help.
 */
import { runCommand } from './lib/command/command.mts'
import { type Finding, OpsError } from './lib/common/findings.mts'
import { type Container, findContainers, holdsMemory, stopContainers } from './lib/engines/docker.mts'
import { stopEmbedded } from './lib/engines/embedded/stack.mts'
import { readSettings } from './lib/settings/settings.mts'

await runCommand({
  name: 'npm stop --',
  summary:
    'Stops what `npm start` started: the recorded processes of the embedded stack, and the containers of docker-compose.yml.\n' +
    'Data stays where it is.',
  options: {},
  example: 'npm stop',
  exitCodes: {
    0: 'stopped, or nothing was running',
    1: 'a service had to be killed; its next start repairs what that left',
    2: 'wrong use or settings',
    3: 'could not tell: another start or stop is under way, or Docker failed',
  },
  run: async ({ log }) => {
    const settings = readSettings()
    const lines: string[] = []
    const findings: Finding[] = []
    for (const { name, how } of await stopEmbedded(settings.EMBEDDED_DATA_DIR)) {
      lines.push(`  ${name.padEnd(10)} ${how}`)
      if (how !== 'killed') continue
      findings.push({
        severity: 'error',
        code: 'KILLED',
        subject: name,
        found: 'no end after SIGTERM, so it was killed',
        expected: 'a clean end',
        hint: `read ${settings.EMBEDDED_DATA_DIR}/logs/${name}.log`,
      })
    }
    const running = (await containers(lines.length > 0)).filter(holdsMemory)
    if (running.length > 0) {
      log('Stopping the containers')
      await stopContainers()
      lines.push(...running.map(({ name }) => `  ${name} stopped`))
    }
    return {
      findings,
      text: lines.length > 0 ? ['Stopped, data kept:', ...lines].join('\n') : 'Nothing was running',
      data: { stopped: lines.length },
    }
  },
})

/** The stack's containers. After an embedded stack was stopped, an engine that does not say has none: only one of the two runs. */
async function containers(embeddedStopped: boolean): Promise<Container[]> {
  try {
    return await findContainers()
  } catch (error) {
    if (embeddedStopped && error instanceof OpsError) return []
    throw error
  }
}
