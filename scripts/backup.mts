#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/** Backs up the whole market database with ClickHouse's BACKUP, verifies the backup by reading it back, and moves it to a folder. */
import { runCommand } from './lib/command/command.mts'
import { timeoutFlag } from './lib/command/flags.mts'

const NAME = 'npm run backup --'

await runCommand({
  name: NAME,
  summary: `Backs up the whole database of the stack on this machine: ClickHouse writes the tables, which are then read back, compared
with the originals, and moved to a separate folder. The built-in ingest and other writers may continue meanwhile.
If it is interrupted, run it again. To restore a backup: npm run restore -- --backup NAME`,
  options: {
    to: {
      type: 'string',
      value: 'DIR|s3://…',
      help: 'where to create the backup: DIR/NAME, named after the database and the time (UTC); or s3://BUCKET/PREFIX',
    },
    'dry-run': { type: 'boolean', help: 'show what would be backed up and the disk space needed, and change nothing' },
    timeout: timeoutFlag(3600, 'for each query, for writing, and for reading each table back'),
  },
  example: 'npm run backup -- --to ../backups',
  exitCodes: {
    0: 'the backup is complete and verified',
    1: 'the backup failed: too little disk space, rows that differ, or file errors; or a table was left out',
    2: 'invalid usage or settings, or a server that is not part of the stack on this machine',
    3: 'could not be determined: no answer from ClickHouse or the S3 server, or another backup or restore is running',
  },
  run: async ({ options: { to, 'dry-run': dryRun, timeout }, log }) => {
    const { checkFolder } = await import('./lib/archive/report.mts')
    const folder = checkFolder(NAME, '--to', to)
    const { backUp } = await import('./lib/backup/backup.mts')
    const { renderBackup } = await import('./lib/backup/report.mts')
    const { readSettings } = await import('./lib/settings/settings.mts')
    const done = await backUp(readSettings(), { folder, dryRun, timeoutMs: timeout * 1000, log })
    const { findings, name, bytes, tables } = done
    const backup = name === undefined ? {} : { backup: name, folder: `${folder}/${name}` }
    return { findings, text: renderBackup(done), data: { ...backup, bytes, tables } }
  },
})
