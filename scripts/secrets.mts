#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Writes strong passwords to .env in place of the published ones; with --production also certificates and the settings of
 * docker-compose.prod.yml. Everything else in .env stays as it is. Exit codes: see --help.
 */
import { runCommand } from './lib/command/command.mts'
import { usage } from './lib/command/flags.mts'
import { configError } from './lib/common/findings.mts'

const NAME = './scripts/secrets.mts'

await runCommand({
  name: NAME,
  summary: `Writes strong passwords to .env in place of the published ones, and lets only its owner read it. Shows none of them.
What has a value of its own stays, so a second run changes nothing. Services take new passwords when they start.`,
  options: {
    production: {
      type: 'boolean',
      help: 'also make a private authority and certificates in certs/, and set what docker-compose.prod.yml needs; needs openssl',
    },
    renew: { type: 'boolean', help: 'with --production: issue new certificates for the services; the authority stays' },
    host: { type: 'list', value: 'NAME', help: 'with --production: more host names or addresses for the certificates' },
    'dry-run': { type: 'boolean', help: 'show the plan and change nothing; exit 1 when something would change' },
  },
  example: './scripts/secrets.mts --dry-run',
  exitCodes: {
    0: 'done, or nothing to do',
    1: 'a file could not be written; with --dry-run: something would change',
    2: 'wrong use, or a mistake in .env or certs/',
    3: 'openssl is not there',
  },
  run: async ({ options, paint }) => {
    const { production, renew, host: names, 'dry-run': dryRun } = options
    const { host } = await import('./lib/settings/readers.mts')
    const wrong = names.filter((name) => !isHost(name, host))
    if (wrong.length > 0) throw configError([usage(NAME, '--host', `"${wrong.join(' ')}"`, 'host names or addresses')])
    if (!production && (renew || names.length > 0))
      throw configError([usage(NAME, renew ? '--renew' : '--host', 'no --production', '--production beside it')])
    const { renderSecrets, writeSecrets } = await import('./lib/secrets/secrets.mts')
    const written = await writeSecrets({ production, renew, names, dryRun })
    const { findings, envFile, pieces, lines, changes } = written
    return {
      findings,
      text: renderSecrets(written, dryRun, paint),
      data: {
        envFile,
        mode: dryRun ? 'dry-run' : 'apply',
        changes,
        certificates: pieces,
        lines: lines.map(({ variable, action, why }) => ({ variable, action, why })),
      },
      ...(dryRun && changes > 0 ? { exitCode: 1 as const } : {}),
    }
  },
})

function isHost(name: string, read: (text: string) => string): boolean {
  try {
    return read(name) === name
  } catch {
    return false
  }
}
