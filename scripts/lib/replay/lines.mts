/** Splits a text into lines or JSON objects, in bounded memory. */

/** A line or JSON object. */
export interface RawEntry {
  /** Number of its first line. */
  line: number
  /** undefined: longer than {@link MAX_CHARS}. */
  text: string | undefined
}

type Text = AsyncIterable<string>

/** Characters of the longest line or object that is read. The topics accept messages of about a megabyte. */
export const MAX_CHARS = 16 * 1024 * 1024

/** Returns the lines in batches, without line feeds and blank lines. */
export async function* linesOf(text: Text): AsyncGenerator<RawEntry[]> {
  let line = 0
  let rest = new BoundedText()
  for await (const chunk of text) {
    const parts = chunk.split('\n')
    rest.add(parts[0] as string)
    if (parts.length === 1) continue
    const lines = [rest.text, ...parts.slice(1, -1)].map((each) => ({ line: ++line, text: each }))
    rest = new BoundedText(parts.at(-1))
    yield lines.filter(isFilled)
  }
  yield [{ line: line + 1, text: rest.text }].filter(isFilled)
}

const isFilled = ({ text }: RawEntry) => text === undefined || /\S/.test(text)

/** Concatenates text up to {@link MAX_CHARS}; beyond that, `text` is undefined. */
class BoundedText {
  text: string | undefined = ''

  constructor(part = '') {
    this.add(part)
  }

  add(part: string): void {
    if (this.text !== undefined) this.text = this.text.length + part.length > MAX_CHARS ? undefined : this.text + part
  }
}

/** Reads a text until its head matches `pattern`, reaches {@link MAX_CHARS} or is complete. Also returns the whole text. */
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
 * Returns JSON objects in batches. If the text begins with an array, or with a brace alone on its line, as indented JSON does, returns the
 * array's elements or the objects, which may span lines. Otherwise returns one object per line.
 */
export async function* objectsOf(text: AsyncGenerator<string>): AsyncGenerator<RawEntry[]> {
  const { head, all } = await headOf(text, /\S\s*\S/)
  yield* /^\s*(?:\[|\{[^\S\n]*\n)/.test(head) ? elementsOf(all) : linesOf(all)
}

async function* elementsOf(text: Text): AsyncGenerator<RawEntry[]> {
  let line = 1
  let depth = 0
  let inText = false
  let escaped = false
  /** The element whose end is not read yet. */
  let open: { line: number; content: BoundedText } | undefined
  for await (const chunk of text) {
    const elements: RawEntry[] = []
    let from = 0
    const end = (at: number) => {
      open?.content.add(chunk.slice(from, at))
      if (open) elements.push({ line: open.line, text: open.content.text })
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
        open = { line, content: new BoundedText() }
        from = at
      }
      if (char === QUOTE) inText = true
      else if (char === OPEN_OBJECT || char === OPEN_LIST) depth++
      else if ((char === CLOSE_OBJECT || char === CLOSE_LIST) && --depth <= 0) end(at + 1)
    }
    open?.content.add(chunk.slice(from))
    yield elements
  }
  if (open) yield [{ line: open.line, text: open.content.text }]
}
