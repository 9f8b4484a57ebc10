/** Checks the disk space for backups and restores, and lets only one run at a time. */
import { existsSync } from 'node:fs'
import { mkdir, stat, statfs } from 'node:fs/promises'
import path from 'node:path'
import { error, type Finding, OpsError } from '../common/findings.mts'
import { lock } from '../engines/embedded/lock.mts'
import type { Settings } from '../settings/settings.mts'
import type { ServerDir } from './server-dir.mts'
import type { BackupStore } from './store.mts'
import type { DataTable } from './verification.mts'

/** Locks out other backups and restores of this machine's stack; returns the function that unlocks. */
export const lockBackups = ({ EMBEDDED_DATA_DIR: dataDir }: Settings): (() => void) =>
  lock(path.join(dataDir, 'backup'), 'a backup or restore')

export const sum = (tables: readonly { bytes: number }[]): number =>
  tables.reduce((total, { bytes }) => total + bytes, 0)
export const CLICKHOUSE_DISK = 'the disk of ClickHouse'
export const mebibytes = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`

/** Reports disks with too little free space. Requires 5 % more than the tables take, for file overhead and rows that arrive meanwhile. */
export function spaceFindings(disks: readonly { subject: string; free: number; need: number }[]): Finding[] {
  return disks
    .filter(({ free, need }) => free < need * 1.05)
    .map(({ subject, free, need }) =>
      error('BACKUP_SPACE', subject, {
        found: `${mebibytes(free)} free`,
        expected: mebibytes(need * 1.05),
        hint: 'free disk space, or name another folder; nothing was changed',
      }),
    )
}

/** Returns the free bytes on the disk of a folder, which need not exist yet. */
export async function freeBytesAt(folder: string): Promise<number> {
  let nearest = path.resolve(folder)
  while (!existsSync(nearest)) nearest = path.dirname(nearest)
  if (!(await stat(nearest)).isDirectory()) {
    throw new OpsError(1, [error('BACKUP_FILE', folder, { found: 'not a folder', hint: `ls -ld ${nearest}` })])
  }
  const { bavail, bsize } = await statfs(nearest)
  return bavail * bsize
}

/** Logs the disk space that the backup needs. @throws {OpsError} exit code 1 if a disk has too little */
export async function requireSpace(
  serverDir: ServerDir,
  tables: readonly DataTable[],
  { address, folder }: Pick<BackupStore, 'address' | 'folder'>,
  { dryRun, log }: { dryRun: boolean; log: (line: string) => void },
): Promise<void> {
  if (!dryRun) await mkdir(folder, { recursive: true })
  const free = await freeBytesAt(folder)
  const bytes = sum(tables)
  const largest = Math.max(...tables.map((table) => table.bytes))
  const staging = address === folder ? '' : ` and ${mebibytes(bytes)} in ${folder}`
  log(
    `Needs ${mebibytes(bytes)} in ${address}, and temporarily ${mebibytes(bytes + largest)} on ${CLICKHOUSE_DISK}${staging}`,
  )
  const missing = spaceFindings([
    { subject: folder, free, need: bytes },
    { subject: CLICKHOUSE_DISK, free: await serverDir.freeBytes(), need: bytes + largest },
  ])
  if (missing.length > 0) throw new OpsError(1, missing)
}
