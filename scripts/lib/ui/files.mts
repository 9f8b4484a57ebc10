/** The static files of the page, an allowlist by URL path. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../settings/settings.mts'

const PAGE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'page')
const UPLOT = path.join(ROOT, 'node_modules/uplot/dist')

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

const pageEntry = (name: string): [string, string] => [`/${name}`, path.join(PAGE, name)]

const FILES = new Map<string, string>([
  ['/', path.join(PAGE, 'index.html')],
  ...['page.css', 'icon.svg', 'main.mjs', 'charts.mjs', 'dom.mjs', 'tables.mjs', 'services.mjs', 'lookup.mjs'].map(
    pageEntry,
  ),
  ['/uplot.js', path.join(UPLOT, 'uPlot.esm.js')],
  ['/uplot.css', path.join(UPLOT, 'uPlot.min.css')],
])

export interface PageFile {
  type: string
  bytes: Buffer
}

/** Returns the file for a URL path; undefined for an unknown path. */
export function pageFile(route: string): PageFile | undefined {
  const file = FILES.get(route)
  return file ? { type: TYPES[path.extname(file)] ?? '', bytes: readFileSync(file) } : undefined
}
