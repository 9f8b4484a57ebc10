#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/**
 * Replaces the published passwords in .env with strong ones; with --production also creates certificates and sets what
 * docker-compose.prod.yml needs. Leaves the rest of .env unchanged. Exit codes: see --help.
 */
import { runCommand } from './lib/command/command.mts'
import { usage } from './lib/command/flags.mts'
import { configError } from './lib/common/findings.mts'

const NAME = './scripts/secrets.mts'

await runCommand({
  name: NAME,
  summary: `Replaces the published passwords in .env with strong ones, and makes the file readable only by its owner. Shows no password.
Values that you have changed stay, so a second run changes nothing. Services use new passwords from their next start.`,
  options: {
    production: {
      type: 'boolean',
      help: 'also create a private CA and certificates in certs/, and set what docker-compose.prod.yml needs; requires openssl',
    },
    renew: { type: 'boolean', help: 'with --production: issue new certificates for the services; the CA stays' },
    host: {
      type: 'list',
      value: 'NAME',
      help: 'with --production: additional host names or addresses for the certificates',
    },
    'dry-run': { type: 'boolean', help: 'show the plan and change nothing; exit with 1 if something would change' },
  },
  example: './scripts/secrets.mts --dry-run',
  exitCodes: {
    0: 'done, or nothing to do',
    1: 'a file could not be written; with --dry-run: something would change',
    2: 'invalid usage or settings, or a mistake in .env or certs/',
    3: 'openssl is missing',
  },
  run: async ({ options, paint }) => {
    const { production, renew, host: names, 'dry-run': dryRun } = options
    const { host } = await import('./lib/settings/readers.mts')
    const wrong = names.filter((name) => !isHost(name, host))
    if (wrong.length > 0) throw configError([usage(NAME, '--host', `"${wrong.join(' ')}"`, 'host names or addresses')])
    if (!production && (renew || names.length > 0))
      throw configError([usage(NAME, renew ? '--renew' : '--host', 'no --production', '--production too')])
    const { renderSecrets, writeSecrets } = await import('./lib/secrets/secrets.mts')
    const written = await writeSecrets({ production, renew, names, dryRun })
    const { findings, envFile, files, lines, changes } = written
    return {
      findings,
      text: renderSecrets(written, dryRun, paint),
      data: {
        envFile,
        mode: dryRun ? 'dry-run' : 'apply',
        changes,
        certificates: files,
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
