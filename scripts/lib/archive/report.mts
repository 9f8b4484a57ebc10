/** The output and flag checks of archive and restore. */
import { usage } from '../command/flags.mts'
import { formatCount } from '../common/count.mts'
import { configError, type Finding, reason } from '../common/findings.mts'
import { table } from '../common/table.mts'
import { isS3, locationOf, parseS3 } from '../s3/address.mts'
import type { Archived } from './archive.mts'
import type { Partition } from './drop.mts'
import type { RestoredDay } from './restore.mts'
import { TABLES, type TableName } from './table.mts'

const STATES = {
  proven: 'already verified',
  written: 'written and verified',
  due: 'would be written',
  refused: 'refused, see below',
}

/** Renders one line per day, and what became of the partitions. */
export function renderArchived(
  { days, partitions }: Pick<Archived, 'days' | 'partitions'>,
  { dryRun, isDeclined }: { dryRun: boolean; isDeclined: boolean },
): string {
  const size = (bytes = 0) => `${(bytes / 1024 ** 2).toFixed(1)} MiB`
  const rows = days.map(({ day, rows, bytes, state }) => [
    day,
    `${formatCount(rows)} rows`,
    bytes ? size(bytes) : '',
    STATES[state],
  ])
  const dropped = partitions.filter(({ state }) => state === 'dropped')
  const ids = (list: typeof partitions) => list.map(({ partition }) => partition).join(', ')
  const outcome = isDeclined
    ? 'Declined: nothing was dropped, and the archived files are kept'
    : dropped.length > 0
      ? `Dropped: ${ids(dropped)}`
      : partitions.length > 0
        ? `${dryRun ? 'Would be dropped' : 'Fully archived, not dropped'}: ${ids(partitions)}`
        : 'No partition is fully archived; none was dropped'
  return `${rows.length > 0 ? table(rows, { align: 'lrrl' }) : 'No rows'}\n${outcome}`
}

/** Renders the partitions to drop, above the question whether to drop them. */
export function renderQuestion(name: TableName, partitions: readonly Partition[]): string {
  const lines = partitions.map(({ partition, days, rows }) => {
    const [first, last] = [days[0]?.day ?? '', days.at(-1)?.day ?? '']
    return [partition, `${formatCount(rows)} rows`, first === last ? first : `${first} to ${last}`]
  })
  const rows = partitions.reduce((sum, each) => sum + each.rows, 0)
  return `${table(lines, { align: 'lrl' })}\nThis drops ${formatCount(rows)} archived rows of ${name}.`
}

const RESTORED = {
  present: 'already present',
  restored: 'restored',
  due: 'would be restored',
  refused: 'refused, see below',
}

export function renderRestored(days: readonly RestoredDay[]): string {
  return table(
    days.map(({ day, rows, state }) => [day, state === 'refused' ? '' : `${formatCount(rows)} rows`, RESTORED[state]]),
    { align: 'lrl' },
  )
}

/**
 * Checks the flags that archive and restore share. Returns `folder` as an absolute path, or an S3 address without a trailing slash.
 * @throws {OpsError} exit code 2, naming each missing or invalid flag
 */
export function checkFlags(
  command: string,
  name: string | undefined,
  [flag, value = '']: [flag: string, value?: string | undefined],
  days: [flag: string, value?: string | undefined][],
): { name: TableName; folder: string } {
  const wrong: Finding[] = []
  if (!TABLES.some((table) => table === name))
    wrong.push(usage(command, '--table', name === undefined ? 'no table' : `"${name}"`, TABLES.join(', ')))
  wrong.push(...folderMistakes(command, flag, value))
  for (const [flag, day] of days)
    if (day === undefined || !isDay(day))
      wrong.push(usage(command, flag, day === undefined ? 'no day' : `"${day}"`, 'a day such as 2026-11-25'))
  if (wrong.length > 0) throw configError(wrong)
  return { name: name as TableName, folder: locationOf(value) }
}

/** Checks a flag that names a folder, and returns it as {@link checkFlags} does. @throws {OpsError} exit code 2 if it is missing or invalid */
export function checkFolder(command: string, flag: string, value = ''): string {
  const wrong = folderMistakes(command, flag, value)
  if (wrong.length > 0) throw configError(wrong)
  return locationOf(value)
}

function folderMistakes(command: string, flag: string, value: string): Finding[] {
  const expected = 'a folder or s3://BUCKET/PREFIX'
  if (value === '') return [usage(command, flag, 'no folder', expected)]
  if (!/^\w+:\/\//.test(value)) return []
  if (!isS3(value)) return [usage(command, flag, `"${value}"`, expected)]
  try {
    parseS3(value)
    return []
  } catch (failure) {
    return [usage(command, flag, `"${value}"`, reason(failure))]
  }
}

const isDay = (text: string): boolean => {
  const ms = Date.parse(`${text}T00:00:00Z`)
  return !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 10) === text
}
