#!/bin/sh
//: 2>/dev/null; f=$(readlink -f -- "$0"); exec "${f%/*}/lib/run" "$f" "$@"
/** Backs the whole market database up through ClickHouse's own BACKUP, proves it by reading it back, and takes it to a folder. */
import { runCommand } from './lib/command/command.mts'
import { timeoutFlag } from './lib/command/flags.mts'

const NAME = 'npm run backup --'

await runCommand({
  name: NAME,
  summary: `Backs the whole database of the stack on this machine up: ClickHouse writes the tables, they are read back and compared with those that
are there, and then taken to a folder of their own. The built-in ingest and other writers may go on meanwhile.
If it is interrupted, run it again; npm run restore -- --backup brings a backup back.`,
  options: {
    to: {
      type: 'string',
      value: 'DIR|s3://…',
      help: 'the folder of the backups: DIR/NAME, named after database and time (UTC); or s3://BUCKET/PREFIX',
    },
    'dry-run': { type: 'boolean', help: 'show what would be backed up and the room that it takes, and change nothing' },
    timeout: timeoutFlag(3600, 'for each query, for writing, and for reading each table back'),
  },
  example: 'npm run backup -- --to ../backups',
  exitCodes: {
    0: 'the backup is there, and proven',
    1: 'no backup was kept: no room, rows that differ, trouble with the folder; or a table was left out',
    2: 'wrong use or settings, or a server that is not of the stack on this machine',
    3: 'could not tell: ClickHouse or the S3 server gives no answer, or another backup or restore runs',
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
