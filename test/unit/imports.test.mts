/** Which file may import which: docs/architecture.md says why. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

/** The folders of scripts/lib from the bottom up; `start` is the file lib/start.mts, `commands` are the files of scripts. */
const LEVELS = [
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

/** The room of a file: the first folder below lib. */
function roomOf(file: string): string {
  const [lib, room = ''] = file.split(path.sep)
  return lib === 'lib' ? path.basename(room, '.mts') : 'commands'
}

/** What a file imports of scripts, at once or later. The formatter writes every import so that this finds it. */
function importsOf(file: string): string[] {
  const text = readFileSync(path.join(SCRIPTS, file), 'utf8')
  const found = [...text.matchAll(/(?:\bfrom |\bimport\()'(\.[^']+)'/g)]
  return found.map(([, to = '']) => path.join(path.dirname(file), to))
}

const arrows = files.flatMap((from) => importsOf(from).map((to) => ({ from, to })))
const levelOf = (file: string) => LEVELS.findIndex((rooms) => rooms.includes(roomOf(file)))

/** The nodes of every circle that following `next` from `nodes` meets. */
function circles(nodes: string[], next: (node: string) => string[]): string[][] {
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
  const rooms = LEVELS.flat()
  const next = (room: string) =>
    [...new Set(arrows.filter(({ from }) => roomOf(from) === room).map(({ to }) => roomOf(to)))].filter(
      (other) => other !== room,
    )
  assert.equal(circles(rooms, next), [])
})

imports('form no circle of files', () => {
  assert.equal(
    circles(files, (file) => importsOf(file)),
    [],
  )
})

const between = new Set(arrows.map(({ from, to }) => `${roomOf(from)} → ${roomOf(to)}`))
process.stdout.write(
  `· ${LEVELS.length} levels, ${arrows.length} imports between ${files.length} files, ${between.size} from room to room\n`,
)
imports.run()
