#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Reports whether the stack is usable, and how to fix it. Changes nothing, except that --deep writes scratch data and
 * deletes it.
 */
import { runCommand } from './lib/command/command.mts'
import { refuseTogether } from './lib/command/flags.mts'
import { exitCodeOf, renderFindings } from './lib/common/findings.mts'
import { SERVICES } from './lib/engines/service.mts'
import { probeOptionsOf } from './lib/health/flags.mts'
import type { StackHealth } from './lib/health/health.mts'
import { LAG_LIMITS } from './lib/kafka/lag-limits.mts'

const lag = { type: 'number', value: 'RECORDS', min: 0, max: 1e15 } as const

await runCommand({
  name: './scripts/health-check.mts',
  summary: 'Reports whether the stack is usable, and how to fix it.',
  options: {
    only: { type: 'list', value: 'SERVICE', help: `check only these services: ${SERVICES.join(' ')}` },
    deep: {
      type: 'boolean',
      help: 'also write, read and delete scratch data in each service, and check container memory',
    },
    wait: {
      ...{ type: 'number', value: 'SECONDS', min: 0, max: 3600, default: 0 },
      help: 'keep checking until healthy, for at most this long',
    },
    watch: { type: 'boolean', help: 'check every 2 s until Ctrl-C' },
    timeout: {
      type: 'number',
      value: 'SECONDS',
      min: 0.1,
      max: 60,
      default: 5,
      help: 'deadline of each request to a service',
    },
    'lag-warning': {
      ...lag,
      help: `consumer lag above which a group gets a warning (default ${LAG_LIMITS.lagWarning})`,
    },
    'lag-critical': {
      ...lag,
      help: `consumer lag above which a group is unhealthy (default ${LAG_LIMITS.lagCritical})`,
    },
  },
  example: './scripts/health-check.mts --wait 60',
  exitCodes: {
    0: 'every service is healthy',
    1: 'a service is unhealthy',
    2: 'invalid usage or settings',
    3: 'could not be determined: a check could not be completed, and no check failed',
  },
  run: async ({ options, paint, json, log }) => {
    const { only, ...probeOptions } = probeOptionsOf(options)
    const flags = { '--watch': options.watch, '--json': json, '--wait': options.wait > 0 }
    if (options.watch) refuseTogether(flags, './scripts/health-check.mts --watch')
    const { readHealth, renderHealth } = await import('./lib/health/health.mts')
    const { readUntilHealthy, renderLogs, watchHealth } = await import('./lib/health/repeat.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const settings = readSettings()
    const read = (leftMs = Number.POSITIVE_INFINITY) => readHealth(settings, only, { ...probeOptions, leftMs })
    const render = (health: StackHealth) => renderHealth(health, paint)
    const report = (health: StackHealth) => ({
      findings: health.findings,
      text: render(health),
      data: { mode: health.mode, services: health.services.map(({ findings, ...service }) => service) },
    })
    if (options.watch)
      return report(await watchHealth(read, (health) => `${render(health)}\n${renderFindings(health.findings, paint)}`))
    if (options.wait === 0) return report(await read())
    const health = await readUntilHealthy(read, options.wait * 1000, () =>
      log(`Waiting up to ${options.wait} s for the stack to become healthy`),
    )
    const logs = exitCodeOf(health.findings) === 0 ? '' : await renderLogs(settings, health)
    if (logs) log(logs)
    return report(health)
  },
})
