import { createRequire } from 'node:module'

/** Returns the one of `names` that was probably meant: one that begins with `name`, is at most two edits away, or contains it. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  // Loaded on demand: only errors need it.
  const require = createRequire(import.meta.url)
  const { closest, distance } = require('fastest-levenshtein') as typeof import('fastest-levenshtein')
  return (
    names.find((each) => name.length > 1 && each.startsWith(name)) ??
    names.find((each) => each === closest(name, names) && distance(name, each) <= Math.min(2, name.length - 1)) ??
    names.find((each) => name.length > 2 && each.includes(name))
  )
}

/** Returns the end of a finding about an unknown topic or group, given the name that was probably meant. */
export const suggestion = (meant: string | undefined): string =>
  meant === undefined ? '' : `; did you mean "${meant}"?`
