/** Commands about topics as hints name them. */
import path from 'node:path'
import { quoted } from '../common/shell-quote.mts'
import { ROOT } from '../settings/settings.mts'

/** How messages and hints name a declaration: relative to the repository, where hinted commands run, or absolute outside it. */
export function shownPath(file: string): string {
  const absolute = path.resolve(file)
  const shown = path.relative(ROOT, absolute)
  return shown.startsWith('..') ? absolute : shown
}

/** What a hinted command needs to read the same declaration: ` --file PATH`, or nothing for the repository's own. */
export function fileFlag(file: string | undefined): string {
  if (file === undefined) return ''
  return ` --file ${quoted(shownPath(file))}`
}

/** The command that moves partitions so that the named topics, or all for none, lie as declared and evenly. */
export const rebalanceCommand = (names: readonly string[], file: string | undefined): string =>
  `./scripts/create-topics.mts --rebalance${names.length > 0 ? ` --only ${names.join(' ')}` : ''}${fileFlag(file)}`

/** The command that makes one topic what a declaration says; without `file` that of the repository. */
export const createCommand = (name: string, file: string | undefined): string =>
  `./scripts/create-topics.mts --only ${name}${fileFlag(file)}`
