/** Builds the topic commands that hints name. */
import path from 'node:path'
import { quoted } from '../common/shell-quote.mts'
import { ROOT } from '../settings/settings.mts'

/** Returns a declaration's path for messages and hints: relative inside the repository, where hinted commands run, otherwise absolute. */
export function shownPath(file: string): string {
  const absolute = path.resolve(file)
  const shown = path.relative(ROOT, absolute)
  return shown.startsWith('..') ? absolute : shown
}

/** Returns ` --file PATH`, so that a hinted command reads the same declaration, or nothing for kafka/topics.yml. */
export function fileFlag(file: string | undefined): string {
  if (file === undefined) return ''
  return ` --file ${quoted(shownPath(file))}`
}

/** Returns the command that rebalances the named topics; all if none are named. */
export const rebalanceCommand = (names: readonly string[], file: string | undefined): string =>
  `./scripts/create-topics.mts --rebalance${names.length > 0 ? ` --only ${names.join(' ')}` : ''}${fileFlag(file)}`

/** Returns the command that makes one topic match its declaration in `file`; kafka/topics.yml if undefined. */
export const createCommand = (name: string, file: string | undefined): string =>
  `./scripts/create-topics.mts --only ${name}${fileFlag(file)}`
