/** Docker Compose's variable interpolation, for docker-compose.yml, .env and kafka/topics.yml. */

export type Lookup = (name: string) => string | undefined

/** Deeper than anyone writes, far from where recursion ends. */
const MAX_DEPTH = 50
/** Characters; a program takes no longer variable than 131,071 bytes (MAX_ARG_STRLEN of Linux), and SQL files are shorter. */
const MAX_LENGTH = 1024 * 1024

/**
 * `text` with its variables filled in by Compose's rules: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
 * `${NAME:?message}`, `${NAME?message}`, `${NAME:+other}`, `${NAME+other}`, `$$` for a dollar sign; what follows the operator may itself
 * hold variables. A variable that is not set is empty; a dollar sign that begins nothing of this stays one. No error repeats any of `text`,
 * which may be a secret that only looks like a reference.
 * @throws {SyntaxError} for `${` that begins no variable or is not closed
 * @throws {RangeError} for a required variable (`?`) that is not set, references in references deeper than 50, a result over 1,048,576
 * characters
 * @see https://docs.docker.com/reference/compose-file/interpolation/ (read 2026-11), and compose-go's template.go for what that leaves open
 */
export function interpolate(text: string, lookup: Lookup): string {
  return fill(text, lookup, 0)
}

function fill(text: string, lookup: Lookup, depth: number): string {
  if (depth > MAX_DEPTH) throw new RangeError(`references nested deeper than ${MAX_DEPTH}`)
  let result = ''
  let at = 0
  while (at < text.length && result.length <= MAX_LENGTH) {
    const dollar = text.indexOf('$', at)
    result += text.slice(at, dollar < 0 ? undefined : dollar)
    if (dollar < 0) break
    const rest = text.slice(dollar + 1)
    const plain = /^[A-Za-z_]\w*/.exec(rest)?.[0]
    if (rest.startsWith('$')) {
      result += '$'
      at = dollar + 2
    } else if (plain !== undefined) {
      result += lookup(plain) ?? ''
      at = dollar + 1 + plain.length
    } else if (rest.startsWith('{')) {
      const end = closingBrace(rest)
      if (end < 0) throw new SyntaxError('a "${" that is not closed')
      result += substitute(rest.slice(1, end), lookup, depth)
      at = dollar + 2 + end
    } else {
      result += '$'
      at = dollar + 1
    }
  }
  if (result.length > MAX_LENGTH) throw new RangeError(`more than ${MAX_LENGTH} characters`)
  return result
}

/** The index of the brace that closes the one `text` begins with, or -1. Every brace nests, with or without a dollar sign. */
function closingBrace(text: string): number {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '}' && --depth === 0) return at
    if (text[at] === '{') depth++
  }
  // Braces that do not pair, as in `${NAME:-{}`: Compose then takes everything up to the last one.
  return text.lastIndexOf('}')
}

function substitute(expression: string, lookup: Lookup, depth: number): string {
  const match = /^([A-Za-z_]\w*)(?:(:?)([-?+])(.*))?$/.exec(expression)
  if (!match?.[1]) throw new SyntaxError('a "${" that begins no variable')
  const [, name, colon, operator, word = ''] = match
  const value = lookup(name)
  const present = value !== undefined && (colon !== ':' || value !== '')
  // Filled in even when not used, so that a mistake in it is one always, as in Compose.
  const other = fill(word, lookup, depth + 1)
  if (operator === '-') return present ? value : other
  if (operator === '+') return present ? other : ''
  if (operator === '?' && !present) throw new RangeError('a required variable that is not set')
  return value ?? ''
}
