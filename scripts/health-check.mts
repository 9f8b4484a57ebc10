#!/bin/sh
//usr/bin/env true; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Tells whether the stack is usable now, and if not, what mends it. Changes nothing; with --deep it writes scratch data and
 * deletes it again.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { refuseTogether, runCommand } from './lib/cli.mts'
import { configError, exitCodeOf, renderFindings } from './lib/findings.mts'
import { readHealth, renderHealth, renderLogs, type StackHealth } from './lib/health/health.mts'
import { type ProbeOptions, SERVICES, type ServiceName } from './lib/health/probe.mts'
import { readSettings } from './lib/settings.mts'
import { waitUntil } from './lib/wait.mts'

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
      default: 1000,
      help: 'consumer lag that is worth a look',
    },
    'lag-critical': {
      type: 'number',
      value: 'RECORDS',
      min: 0,
      max: 1e15,
      default: 10_000,
      help: 'consumer lag that is unhealthy',
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
    const unknown = options.only.filter((name) => !(SERVICES as readonly string[]).includes(name))
    if (unknown.length > 0) {
      const [found, expected] = [unknown.join(', '), `of ${SERVICES.join(', ')}`]
      throw configError([
        { code: 'USAGE', subject: '--only', found, expected, hint: './scripts/health-check.mts --help' },
      ])
    }
    const flags = { '--watch': options.watch, '--json': json, '--wait': options.wait > 0 }
    if (options.watch) refuseTogether(flags, './scripts/health-check.mts --watch')
    const settings = readSettings()
    const probeOptions: ProbeOptions = {
      timeoutMs: options.timeout * 1000,
      deep: options.deep,
      lagWarning: options['lag-warning'],
      lagCritical: options['lag-critical'],
    }
    const read = () => readHealth(settings, options.only as ServiceName[], probeOptions)
    const report = (health: StackHealth) => ({
      findings: health.findings,
      text: renderHealth(health, paint),
      data: { mode: health.mode, services: health.services.map(({ findings, ...service }) => service) },
    })
    while (options.watch) {
      const { text, findings } = report(await read())
      process.stdout.write([new Date().toISOString(), text, renderFindings(findings, paint), ''].join('\n'))
      await delay(WATCH_MS)
    }
    let health = await read()
    if (options.wait > 0 && exitCodeOf(health.findings) !== 0) {
      log(`Waiting up to ${options.wait} s for the stack to become healthy`)
      const again = async () => {
        health = await read()
        return exitCodeOf(health.findings) === 0
      }
      await waitUntil(again, { timeoutMs: options.wait * 1000, pollMs: 500 })
      const logs = exitCodeOf(health.findings) === 0 ? '' : await renderLogs(settings, health)
      if (logs) log(logs)
    }
    return report(health)
  },
})
