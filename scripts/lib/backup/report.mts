/** Renders the results of backup and restore. */
import { formatCount } from '../common/count.mts'
import { table } from '../common/table.mts'
import type { BackedUp } from './backup.mts'
import { mebibytes } from './disk-space.mts'
import type { Restored } from './restore.mts'

export function renderBackup({ name, tables, bytes }: BackedUp): string {
  const rows = tables.map((each) => [
    each.name,
    each.rows === undefined ? '' : `${formatCount(each.rows)} rows`,
    mebibytes(each.bytes),
    each.moving ? 'rows changed meanwhile' : '',
  ])
  const outcome = name
    ? `${name}: ${mebibytes(bytes)}, read back and compared`
    : `Would be backed up: ${mebibytes(bytes)}`
  return `${table(rows, { align: 'lrr' })}\n${outcome}`
}

const STATES = {
  present: 'already present',
  restored: 'restored',
  due: 'to be restored',
  refused: 'refused, see below',
}

export function renderRestored({ name, tables, findings }: Restored): string {
  const rows = tables.map((each) => [each.name, `${formatCount(each.rows)} rows`, STATES[each.state]])
  const refused = findings.length > 0 && tables.some(({ state }) => state === 'due')
  return `${name}\n${table(rows, { align: 'lrl' })}${refused ? '\nNothing was changed' : ''}`
}
