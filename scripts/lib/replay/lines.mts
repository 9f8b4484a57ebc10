/** The lines of a text, and the objects of JSON that is not one object a line. Both in bounded memory. */

/** Text of a file, and the line that it begins on; undefined for one that is longer than {@link MAX_CHARS}. */
export interface Piece {
  line: number
  text: string | undefined
}

type Text = AsyncIterable<string>

/** The longest line or object that is read; topics take a megabyte. */
export const MAX_CHARS = 16 * 1024 * 1024

/** The lines in batches, without their ends; lines of blanks are left out. */
export async function* linesOf(text: Text): AsyncGenerator<Piece[]> {
  let line = 0
  let rest = new Growing()
  for await (const chunk of text) {
    const parts = chunk.split('\n')
    rest.add(parts[0] as string)
    if (parts.length === 1) continue
    const pieces = [rest.text, ...parts.slice(1, -1)].map((each) => ({ line: ++line, text: each }))
    rest = new Growing(parts.at(-1))
    yield pieces.filter(isFilled)
  }
  yield [{ line: line + 1, text: rest.text }].filter(isFilled)
}

const isFilled = ({ text }: Piece) => text === undefined || /\S/.test(text)

/** Text that comes in pieces; V8 joins them when they are read. */
class Growing {
  text: string | undefined = ''

  constructor(part = '') {
    this.add(part)
  }

  add(part: string): void {
    if (this.text !== undefined) this.text = this.text.length + part.length > MAX_CHARS ? undefined : this.text + part
  }
}

/** The beginning of a text, up to where it matches or ends, and all of it. */
export async function headOf(
  text: AsyncGenerator<string>,
  pattern: RegExp,
): Promise<{ head: string; all: AsyncGenerator<string> }> {
  let head = ''
  while (!pattern.test(head) && head.length <= MAX_CHARS) {
    const next = await text.next()
    if (next.done) break
    head += next.value
  }
  async function* all(): AsyncGenerator<string> {
    yield head
    yield* text
  }
  return { head, all: all() }
}

const [TAB, NEWLINE, SPACE, QUOTE, COMMA, BACKSLASH] = ['\t', '\n', ' ', '"', ',', '\\'].map((char) =>
  char.charCodeAt(0),
)
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = ['[', ']', '{', '}'].map((char) => char.charCodeAt(0))

/**
 * The objects of JSON in batches: a line each, unless the text begins with a list, or with a brace alone on its line as indented JSON
 * does: then each element of the list, or each object, however many lines it has.
 */
export async function* objectsOf(text: AsyncGenerator<string>): AsyncGenerator<Piece[]> {
  const { head, all } = await headOf(text, /\S\s*\S/)
  yield* /^\s*(?:\[|\{[^\S\n]*\n)/.test(head) ? elementsOf(all) : linesOf(all)
}

async function* elementsOf(text: Text): AsyncGenerator<Piece[]> {
  let line = 1
  let depth = 0
  let inText = false
  let escaped = false
  /** What is open: an element that is not read to its end. */
  let open: { line: number; grown: Growing } | undefined
  for await (const chunk of text) {
    const pieces: Piece[] = []
    let from = 0
    const end = (at: number) => {
      open?.grown.add(chunk.slice(from, at))
      if (open) pieces.push({ line: open.line, text: open.grown.text })
      open = undefined
      depth = 0
    }
    for (let at = 0; at < chunk.length; at++) {
      const char = chunk.charCodeAt(at)
      if (char === NEWLINE) line++
      if (inText) {
        if (escaped) escaped = false
        else if (char === BACKSLASH) escaped = true
        else if (char === QUOTE) inText = false
        continue
      }
      const isSpace = char === SPACE || char === NEWLINE || char === TAB || char === 13
      if (depth === 0 && (isSpace || char === COMMA || char === OPEN_LIST || char === CLOSE_LIST)) {
        end(at)
        continue
      }
      if (!open) {
        open = { line, grown: new Growing() }
        from = at
      }
      if (char === QUOTE) inText = true
      else if (char === OPEN_OBJECT || char === OPEN_LIST) depth++
      else if ((char === CLOSE_OBJECT || char === CLOSE_LIST) && --depth <= 0) end(at + 1)
    }
    open?.grown.add(chunk.slice(from))
    yield pieces
  }
  if (open) yield [{ line: open.line, text: open.grown.text }]
}
