/** Docker Compose's variable interpolation, for docker-compose.yml, .env and kafka/topics.yml. */

export type Lookup = (name: string) => string | undefined

/**
 * `text` with its variables filled in by Compose's rules: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
 * `${NAME:?message}`, `${NAME?message}`, `${NAME:+other}`, `${NAME+other}`, `$$` for a dollar sign; what follows the operator may itself
 * hold variables. A variable that is not set is empty; a dollar sign that begins nothing of this stays one.
 * @throws {SyntaxError} for `${` that begins no variable or is not closed
 * @throws {RangeError} for a required variable (`?`) that is not set, with its message
 * @see https://docs.docker.com/reference/compose-file/interpolation/ (read 2026-11), and compose-go's template.go for what that leaves open
 */
export function interpolate(text: string, lookup: Lookup): string {
  let result = ''
  let at = 0
  while (at < text.length) {
    const dollar = text.indexOf('$', at)
    if (dollar < 0) return result + text.slice(at)
    result += text.slice(at, dollar)
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
      if (end < 0) throw new SyntaxError(`Cannot interpolate "${text}": found "\${" without its "}"`)
      result += substitute(rest.slice(1, end), text, lookup)
      at = dollar + 2 + end
    } else {
      result += '$'
      at = dollar + 1
    }
  }
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

function substitute(expression: string, text: string, lookup: Lookup): string {
  const match = /^([A-Za-z_]\w*)(?:(:?)([-?+])(.*))?$/.exec(expression)
  if (!match?.[1]) throw new SyntaxError(`Cannot interpolate "${text}": found "\${${expression}}", expected \${NAME}`)
  const [, name, colon, operator, word = ''] = match
  const value = lookup(name)
  const present = value !== undefined && (colon !== ':' || value !== '')
  // Filled in even when not used, so that a mistake in it is one always, as in Compose.
  const other = interpolate(word, lookup)
  if (operator === '-') return present ? value : other
  if (operator === '+') return present ? other : ''
  if (operator === '?' && !present) {
    throw new RangeError(`Cannot use "\${${name}}": it is not set; ${other || 'it is required'}`)
  }
  return value ?? ''
}
