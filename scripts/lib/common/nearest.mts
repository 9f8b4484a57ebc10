import { createRequire } from 'node:module'

/** The one of `names` that was probably meant: one that is cut off or a part of which was given, or one within a slip of two letters. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  // Only mistakes pay for it.
  const require = createRequire(import.meta.url)
  const { closest, distance } = require('fastest-levenshtein') as typeof import('fastest-levenshtein')
  return (
    names.find((each) => name.length > 1 && each.startsWith(name)) ??
    names.find((each) => each === closest(name, names) && distance(name, each) <= Math.min(2, name.length - 1)) ??
    names.find((each) => name.length > 2 && each.includes(name))
  )
}

/** What the finding of an unknown topic or group ends with, given the name that was probably meant. */
export const suggestion = (meant: string | undefined): string =>
  meant === undefined ? '' : `; did you mean "${meant}"?`
