#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Checks before a start whether the ports of the stack are free. Changes nothing, except .env with --write-env.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether } from './lib/command/flags.mts'
import { OpsError } from './lib/common/findings.mts'
import type { PortReport } from './lib/ports/ports.mts'
import type { PortChange } from './lib/ports/report.mts'
import type { PortState } from './lib/ports/state.mts'

await runCommand({
  name: './scripts/check-ports.mts',
  summary:
    'Reports whether each port of the stack is free, held by this stack, or taken, and by which process or container.\n' +
    'Tests each port by binding it, on IPv4 and IPv6. Only root can see which process of another user holds a port.',
  options: {
    'write-env': { type: 'boolean', help: 'replace each taken port in .env with the next free one' },
    docker: { type: 'boolean', help: 'check the ports of the Docker stack (default: as npm start chooses)' },
    embedded: { type: 'boolean', help: 'check the ports of the embedded stack' },
  },
  example: './scripts/check-ports.mts --write-env',
  exitCodes: {
    0: 'all ports are free or held by this stack',
    1: 'a port is taken, its address is not on this machine, or .env could not be written',
    2: 'invalid usage or settings, or a mistake in the compose file',
    3: 'could not be determined: no permission to bind a port or to see its owner, or Docker Compose did not answer',
  },
  run: async ({ options, paint, log }) => {
    refuseTogether({ '--docker': options.docker, '--embedded': options.embedded }, './scripts/check-ports.mts --help')
    const { readPortStates } = await import('./lib/ports/ports.mts')
    const { renderPorts, staleFindings } = await import('./lib/ports/report.mts')
    const { envFileName, writeEnvValues } = await import('./lib/settings/env-file.mts')
    const { ROOT, readSettings } = await import('./lib/settings/settings.mts')
    const reportOf = ({ mode, ports, findings }: PortReport) => ({
      findings,
      text: renderPorts(ports, paint),
      data: { mode, ports, changes: [] as PortChange[] },
    })
    const choice = options.docker ? 'docker' : options.embedded ? 'embedded' : undefined
    const envFile = envFileName(process.env, ROOT)
    const before = await readPortStates(readSettings(), choice)
    const changes = options['write-env'] ? changesOf(before.ports) : []
    if (changes.length === 0) return reportOf(before)
    try {
      writeEnvValues(ROOT, Object.fromEntries(changes.map(({ variable, to }) => [variable, String(to)])), envFile)
    } catch (error) {
      if (!(error instanceof OpsError)) throw error
      return { ...reportOf(before), findings: [...before.findings, ...error.findings] }
    }
    for (const { variable, to } of changes) log(`${envFile}: ${variable}=${to}`)
    const after = reportOf(await readPortStates(readSettings(), choice))
    return {
      ...after,
      findings: [...after.findings, ...staleFindings(changes)],
      data: { ...after.data, changes },
    }
  },
})

/** Returns the ports to change in .env. Skips variables that the shell sets, because the shell overrides .env. */
function changesOf(ports: readonly PortState[]): PortChange[] {
  return ports.flatMap(({ variable, port, next }) =>
    variable && next && process.env[variable] === undefined ? [{ variable, from: port, to: next }] : [],
  )
}
