/** What a backup and its proof take of the disks, and that one runs at a time. */
import { existsSync } from 'node:fs'
import { mkdir, stat, statfs } from 'node:fs/promises'
import path from 'node:path'
import { error, type Finding, OpsError } from '../common/findings.mts'
import { lock } from '../engines/embedded/lock.mts'
import type { Settings } from '../settings/settings.mts'
import type { Place } from './server-dir.mts'
import type { Shelf } from './store.mts'
import type { DataTable } from './verification.mts'

/** Keeps two backups or restores of this machine's stack apart. */
export const lockBackups = ({ EMBEDDED_DATA_DIR: dataDir }: Settings): (() => void) =>
  lock(path.join(dataDir, 'backup'), 'a backup or restore')

export const sum = (tables: readonly { bytes: number }[]): number =>
  tables.reduce((total, { bytes }) => total + bytes, 0)
export const CLICKHOUSE_DISK = 'the disk of ClickHouse'
export const mebibytes = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`

/** What a disk has too little room for. Some more than the tables take: files of their own, and rows that arrive. */
export function roomFindings(disks: readonly { subject: string; free: number; need: number }[]): Finding[] {
  return disks
    .filter(({ free, need }) => free < need * 1.05)
    .map(({ subject, free, need }) =>
      error('BACKUP_SPACE', subject, {
        found: `${mebibytes(free)} free`,
        expected: mebibytes(need * 1.05),
        hint: 'make room, or name another folder: nothing was changed',
      }),
    )
}

/** Bytes that are free where a folder is, or would be made. */
export async function freeOf(folder: string): Promise<number> {
  let nearest = path.resolve(folder)
  while (!existsSync(nearest)) nearest = path.dirname(nearest)
  if (!(await stat(nearest)).isDirectory()) {
    throw new OpsError(1, [error('BACKUP_FILE', folder, { found: 'not a folder', hint: `ls -ld ${nearest}` })])
  }
  const { bavail, bsize } = await statfs(nearest)
  return bavail * bsize
}

/** Says what the backup takes, and refuses where that is not there. */
export async function needRoom(
  place: Place,
  tables: readonly DataTable[],
  { address, folder }: Pick<Shelf, 'address' | 'folder'>,
  { dryRun, log }: { dryRun: boolean; log: (line: string) => void },
): Promise<void> {
  if (!dryRun) await mkdir(folder, { recursive: true })
  const free = await freeOf(folder)
  const bytes = sum(tables)
  const largest = Math.max(...tables.map((table) => table.bytes))
  const way = address === folder ? '' : ` that in ${folder}, and`
  log(
    `Needs ${mebibytes(bytes)} in ${address}, and while it runs${way} ${mebibytes(bytes + largest)} beside ClickHouse's data`,
  )
  const lacking = roomFindings([
    { subject: folder, free, need: bytes },
    { subject: CLICKHOUSE_DISK, free: await place.freeBytes(), need: bytes + largest },
  ])
  if (lacking.length > 0) throw new OpsError(1, lacking)
}
