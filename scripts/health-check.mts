#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Tells whether the stack is usable now, and if not, what mends it. Changes nothing; with --deep it writes scratch data and
 * deletes it again.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { refuseTogether, runCommand } from './lib/command/command.mts'
import { configError, exitCodeOf, renderFindings } from './lib/common/findings.mts'
import { readHealth, renderHealth, type StackHealth } from './lib/health/health.mts'
import { LAG_LIMITS, type ProbeOptions, SERVICES, type ServiceName } from './lib/health/probe.mts'
import { readUntilHealthy, renderLogs } from './lib/health/repeat.mts'
import { readSettings } from './lib/settings/settings.mts'

const WATCH_MS = 2_000

await runCommand({
  name: './scripts/health-check.mts',
  summary: 'Tells whether the stack is usable now, and if not, what mends it.',
  options: {
    only: { type: 'list', value: 'SERVICE', help: `only these of: ${SERVICES.join(' ')}` },
    deep: {
      type: 'boolean',
      help: 'also write scratch data to each service, read it and delete it; look at the memory of containers',
    },
    wait: {
      type: 'number',
      value: 'SECONDS',
      min: 0,
      max: 3600,
      default: 0,
      help: 'ask again until healthy, at most so long',
    },
    watch: { type: 'boolean', help: `ask every ${WATCH_MS / 1000} s until Ctrl-C` },
    timeout: { type: 'number', value: 'SECONDS', min: 0.1, max: 60, default: 5, help: 'for each answer of a service' },
    'lag-warning': {
      type: 'number',
      value: 'RECORDS',
      min: 0,
      max: 1e15,
      help: `consumer lag above which it is worth a look (default ${LAG_LIMITS.lagWarning})`,
    },
    'lag-critical': {
      type: 'number',
      value: 'RECORDS',
      min: 0,
      max: 1e15,
      help: `consumer lag above which it is unhealthy (default ${LAG_LIMITS.lagCritical})`,
    },
  },
  example: './scripts/health-check.mts --wait 60',
  exitCodes: {
    0: 'every service is healthy',
    1: 'a service is unhealthy',
    2: 'wrong use or settings',
    3: 'could not tell, and nothing is known to be bad',
  },
  run: async ({ options, paint, json, log }) => {
    refuseWrongUse(options)
    const flags = { '--watch': options.watch, '--json': json, '--wait': options.wait > 0 }
    if (options.watch) refuseTogether(flags, './scripts/health-check.mts --watch')
    const settings = readSettings()
    const probeOptions: ProbeOptions = {
      timeoutMs: options.timeout * 1000,
      deep: options.deep,
      lagWarning: options['lag-warning'] ?? LAG_LIMITS.lagWarning,
      lagCritical: options['lag-critical'] ?? LAG_LIMITS.lagCritical,
    }
    const read = (leftMs = Number.POSITIVE_INFINITY) =>
      readHealth(settings, options.only as ServiceName[], { ...probeOptions, leftMs })
    const report = (health: StackHealth) => ({
      findings: health.findings,
      text: renderHealth(health, paint),
      data: { mode: health.mode, services: health.services.map(({ findings, ...service }) => service) },
    })
    if (options.watch) {
      let seen = true
      process.stdout.once('error', () => {
        seen = false
      })
      for (;;) {
        const health = await read()
        const { text, findings } = report(health)
        process.stdout.write([new Date().toISOString(), text, renderFindings(findings, paint), ''].join('\n'))
        await delay(WATCH_MS)
        if (!seen) return report(health)
      }
    }
    if (options.wait === 0) return report(await read())
    const health = await readUntilHealthy(read, options.wait * 1000, () =>
      log(`Waiting up to ${options.wait} s for the stack to become healthy`),
    )
    const logs = exitCodeOf(health.findings) === 0 ? '' : await renderLogs(settings, health)
    if (logs) log(logs)
    return report(health)
  },
})

interface Given {
  only: string[]
  deep: boolean
  'lag-warning': number | undefined
  'lag-critical': number | undefined
}

/** @throws {OpsError} exit code 2 for flags that name nothing that can be checked, or limits that exclude one another */
function refuseWrongUse({ only, deep, 'lag-warning': warning, 'lag-critical': critical }: Given): void {
  const refuse = (subject: string, found: string, expected: string, hint = './scripts/health-check.mts --help') => {
    throw configError([{ code: 'USAGE', subject, found, expected, hint }])
  }
  const unknown = only.filter((name) => !(SERVICES as readonly string[]).includes(name))
  if (unknown.length > 0) refuse('--only', unknown.join(', '), `of ${SERVICES.join(', ')}`)
  if (only.includes('canary') && !deep)
    refuse(
      '--only canary',
      'no --deep',
      'both: a canary writes',
      `./scripts/health-check.mts --only ${only.join(' ')} --deep`,
    )
  if (warning !== undefined && critical !== undefined && warning > critical)
    refuse('--lag-warning', `${warning}, above --lag-critical ${critical}`, 'at most --lag-critical')
}
