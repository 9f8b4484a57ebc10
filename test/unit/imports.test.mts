/** Which files may import which. The reasons are in docs/architecture.md. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

/** The folders of scripts/lib from the bottom up. `start` is the file lib/start.mts, `commands` are the files in scripts. */
const LAYERS = [
  ['common'],
  ['settings', 'command'],
  ['kafka', 'clickhouse', 's3'],
  ['topics', 'messages', 'schema', 'ingest', 'replay', 'quality', 'archive', 'backup', 'secrets', 'engines'],
  ['reset', 'groups', 'health', 'ports'],
  ['ui'],
  ['start'],
  ['commands'],
]
const SCRIPTS = path.join(ROOT, 'scripts')
const files = readdirSync(SCRIPTS, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.mts'))

/** Returns the layer of a file: the first folder below lib. */
function layerOf(file: string): string {
  const [lib, layer = ''] = file.split(path.sep)
  return lib === 'lib' ? path.basename(layer, '.mts') : 'commands'
}

/** Returns the imports of a file from scripts, static or dynamic. The formatter writes all imports in a form that this finds. */
function importsOf(file: string): string[] {
  const text = readFileSync(path.join(SCRIPTS, file), 'utf8')
  const found = [...text.matchAll(/(?:\bfrom |\bimport\()'(\.[^']+)'/g)]
  return found.map(([, to = '']) => path.join(path.dirname(file), to))
}

const arrows = files.flatMap((from) => importsOf(from).map((to) => ({ from, to })))
const levelOf = (file: string) => LAYERS.findIndex((layers) => layers.includes(layerOf(file)))

/** Returns the nodes of every cycle reachable from `nodes` through `next`. */
function cycles(nodes: string[], next: (node: string) => string[]): string[][] {
  const done = new Set<string>()
  const found: string[][] = []
  const visit = (node: string, way: string[]) => {
    if (way.includes(node)) found.push(way.slice(way.indexOf(node)))
    if (way.includes(node) || done.has(node)) return
    for (const other of next(node)) visit(other, [...way, node])
    done.add(node)
  }
  for (const node of nodes) visit(node, [])
  return found
}

const imports = suite('imports')

imports('name existing files in folders that have a level', () => {
  assert.ok(arrows.length > 200, `found only ${arrows.length}`)
  assert.equal(
    arrows.filter(({ to }) => !files.includes(to)),
    [],
  )
  assert.equal(
    files.filter((file) => levelOf(file) < 0),
    [],
  )
})

imports('never point up', () => {
  assert.equal(
    arrows.filter(({ from, to }) => levelOf(to) > levelOf(from)).map(({ from, to }) => `${from} → ${to}`),
    [],
  )
})

imports('point one way between two folders', () => {
  const layers = LAYERS.flat()
  const next = (layer: string) =>
    [...new Set(arrows.filter(({ from }) => layerOf(from) === layer).map(({ to }) => layerOf(to)))].filter(
      (other) => other !== layer,
    )
  assert.equal(cycles(layers, next), [])
})

imports('form no cycle of files', () => {
  assert.equal(
    cycles(files, (file) => importsOf(file)),
    [],
  )
})

const between = new Set(arrows.map(({ from, to }) => `${layerOf(from)} → ${layerOf(to)}`))
process.stdout.write(
  `· ${LAYERS.length} layers, ${arrows.length} imports between ${files.length} files, ${between.size} from layer to layer\n`,
)
imports.run()
