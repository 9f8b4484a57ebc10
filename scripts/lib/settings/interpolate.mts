/** Implements Docker Compose's variable interpolation, for docker-compose.yml, .env and kafka/topics.yml. */

export type Lookup = (name: string) => string | undefined

/** Deeper than any real file, and far from a stack overflow. */
const MAX_DEPTH = 50
/** Characters. Linux limits an environment variable to 131,071 bytes (MAX_ARG_STRLEN), and our SQL files are shorter. */
const MAX_LENGTH = 1024 * 1024

/**
 * Returns `text` with variables replaced by Compose's rules: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
 * `${NAME:?message}`, `${NAME?message}`, `${NAME:+other}`, `${NAME+other}`, and `$$` for a dollar sign. The text after an operator may
 * contain variables too. An unset variable is empty; any other dollar sign is literal. Errors never quote `text`, which may be a secret
 * that only looks like a reference.
 * @throws {SyntaxError} for a `${` without a valid variable name or closing brace
 * @throws {RangeError} for a required variable (`?`) that is not set, references nested deeper than 50, or a result over 1,048,576
 * characters
 * @see https://docs.docker.com/reference/compose-file/interpolation/ (read 2026-11); compose-go's template.go for what it leaves open
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
      if (end < 0) throw new SyntaxError('an unclosed "${"')
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

/** Returns the index of the brace that closes the one at the start of `text`, or -1. Braces nest with or without a dollar sign. */
function closingBrace(text: string): number {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '}' && --depth === 0) return at
    if (text[at] === '{') depth++
  }
  // Unbalanced braces, as in `${NAME:-{}`: Compose then uses everything up to the last one.
  return text.lastIndexOf('}')
}

function substitute(expression: string, lookup: Lookup, depth: number): string {
  const match = /^([A-Za-z_]\w*)(?:(:?)([-?+])(.*))?$/.exec(expression)
  if (!match?.[1]) throw new SyntaxError('a "${" without a valid variable name')
  const [, name, colon, operator, word = ''] = match
  const value = lookup(name)
  const present = value !== undefined && (colon !== ':' || value !== '')
  // Evaluated even if unused, so that errors in it are always reported, as in Compose.
  const other = fill(word, lookup, depth + 1)
  if (operator === '-') return present ? value : other
  if (operator === '+') return present ? other : ''
  if (operator === '?' && !present) throw new RangeError('a required variable that is not set')
  return value ?? ''
}
