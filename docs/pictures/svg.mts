/** Renders terminal output as SVG: selectable text, light and dark colors, no scripts and no external fonts. */

/** Characters in one style, a class of {@link STYLE}. */
interface Run {
  style: string
  text: string
}

/** Styles by SGR code. */
const STYLES: Record<string, string> = { 0: '', 1: 'bold', 2: 'dim', 31: 'red', 32: 'green', 33: 'yellow' }

const STYLE = `
    rect { fill: #f6f8fa; stroke: #d1d9e0 }
    text { fill: #1f2328; font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; white-space: pre }
    .bold { font-weight: bold } .dim { fill: #59636e } .red { fill: #b3202c } .green { fill: #116329 } .yellow { fill: #7d4e00 }
    @media (prefers-color-scheme: dark) {
      rect { fill: #0d1117; stroke: #3d444d }
      text { fill: #f0f6fc }
      .dim { fill: #9198a1 } .red { fill: #ff7b72 } .green { fill: #56d364 } .yellow { fill: #e3b341 }
    }`

/** The widest terminal whose picture GitHub shows in full size. */
export const COLUMNS = 100
/** Character width, line height and margin in pixels. */
const CELL = { width: 8, height: 19, margin: 14 }

/** Parses terminal output into styled lines. Omits text that was overwritten after a carriage return. */
export function parseScreen(screen: string): Run[][] {
  const lines = screen.replace(/\r\n/g, '\n').replace(/\n+$/, '').split('\n')
  let style = ''
  return lines.map((line) => {
    const last = line.split('\r').at(-1) ?? ''
    const runs: Run[] = []
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal escape sequences.
    for (const part of last.split(/(\u001b\[[\d;?]*[A-Za-z])/)) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
      const [, codes, end] = /^\u001b\[([\d;?]*)([A-Za-z])$/.exec(part) ?? []
      if (end === 'm') style = STYLES[codes || '0'] ?? ''
      else if (end === undefined && part !== '') runs.push({ style, text: part })
    }
    return runs
  })
}

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

/** Wraps a line at {@link COLUMNS}. */
function wrap(runs: readonly Run[]): Run[][] {
  const rows: Run[][] = [[]]
  let left = COLUMNS
  for (const { style, text } of runs) {
    for (let rest = text; rest !== ''; ) {
      if (left === 0) {
        rows.push([])
        left = COLUMNS
      }
      const part = rest.slice(0, left)
      rows.at(-1)?.push({ style, text: part })
      left -= part.length
      rest = rest.slice(part.length)
    }
  }
  return rows
}

/** Renders the picture of a command and its output. */
export function renderSvg(title: string, command: string, screen: string): string {
  const prompt: Run[] = [
    { style: 'dim', text: '$ ' },
    { style: 'bold', text: command },
  ]
  const rows = [prompt, ...parseScreen(screen)].flatMap((line) =>
    wrap(line).map((runs, index) => ({ runs, isRest: index > 0 })),
  )
  const width = COLUMNS * CELL.width + 2 * CELL.margin
  const height = rows.length * CELL.height + 2 * CELL.margin
  const texts = rows.flatMap(({ runs, isRest }, row) => {
    if (runs.length === 0) return []
    const spans = runs.map(({ style, text }) =>
      style ? `<tspan class="${style}">${escaped(text)}</tspan>` : escaped(text),
    )
    const y = CELL.margin + row * CELL.height + 14
    // A fixed text length aligns columns with any font.
    const length = runs.reduce((sum, { text }) => sum + text.length, 0) * CELL.width
    const more = isRest ? ' class="rest"' : ''
    return [
      `  <text x="${CELL.margin}" y="${y}" textLength="${length}" xml:space="preserve"${more}>${spans.join('')}</text>`,
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">`,
    `  <title id="title">${escaped(title)}</title>`,
    `  <style>${STYLE}\n  </style>`,
    `  <rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>`,
    ...texts,
    '</svg>',
    '',
  ].join('\n')
}

/** Returns the text lines of a picture: the command, then its output. */
export function svgLines(svg: string): string[] {
  const plain = (text: string) =>
    text
      .replace(/<[^>]+>/g, '')
      .replace(/&lt;/g, '<')
      .replace(/&gt;/g, '>')
  const rows = [...svg.matchAll(/(\n {2}<text [^>]*class="rest">|\n {2}<text [^>]*>)(.*?)<\/text>/g)]
  const text = rows.map(([, tag = '', row = '']) => `${tag.includes('rest') ? '' : '\n'}${plain(row)}`).join('')
  return text.replace(/&amp;/g, '&').slice(1).split('\n')
}
