/** What stood on a terminal, as an SVG: text that can be selected, readable in light and dark, without scripts and fonts of others. */

/** A run of characters in one style: a class of {@link STYLE}. */
interface Run {
  style: string
  text: string
}

/** The codes that the commands use, and what a prompt has. */
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

/** As wide as GitHub shows a picture in full size. */
export const COLUMNS = 100
/** Pixels of a character, of a line, and around the text. */
const CELL = { width: 8, height: 19, margin: 14 }

/** The lines of a screen in runs of one style. What a carriage return or an erased line took away is left out. */
export function parseScreen(screen: string): Run[][] {
  const lines = screen.replace(/\r\n/g, '\n').replace(/\n+$/, '').split('\n')
  let style = ''
  return lines.map((line) => {
    const last = line.split('\r').at(-1) ?? ''
    const runs: Run[] = []
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a terminal is steered with.
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

/** A line as a terminal wraps it. */
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

/** The picture of what `command` showed. */
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
    // The length keeps columns in line, whichever font there is.
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

/** The lines of a picture as the command wrote them, the command first. */
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
