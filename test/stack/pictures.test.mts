/** The pictures in the documents exist, are small and self-contained, and show what the commands print today. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { takePictures } from '../../docs/pictures/pictures.mts'
import { svgLines } from '../../docs/pictures/svg.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { stackEnv } from '../support/stack.mts'

const FOLDER = path.join(ROOT, 'docs/pictures')
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8')
const names = readdirSync(FOLDER).filter((name) => name.endsWith('.svg'))

/**
 * Returns the names of elements that are still open at the end, or an error. Checks well-formedness for pictures that have only tags,
 * attributes and text.
 */
function openElements(xml: string): string[] {
  const open: string[] = []
  assert.not.match(xml.replace(/&(amp|lt|gt);/g, ''), '&')
  for (const [, isEnd, name = '', isEmpty] of xml.matchAll(/<(\/?)([a-z]+)(?: [\w:-]+="[^"<]*")*(\/?)>/g)) {
    if (isEnd) assert.is(open.pop(), name)
    else if (!isEmpty) open.push(name)
  }
  assert.not.match(xml.replace(/<(\/?)([a-z]+)(?: [\w:-]+="[^"<]*")*(\/?)>/g, ''), '<')
  return open
}

/** Masks what differs between runs: numbers, units, the cluster, a log, and why there is no engine. */
const masked = (line: string) =>
  line
    .replace(/^(Kafka cluster) .*/, '$1')
    .replace(/; its log ends with ".*"/, '')
    .replace(/^(Starting the embedded stack) \(.*?\)/, '$1')
    .replace(/\d[\d.,]*/g, '0')
    .replace(/\b[KMG]?B\b/g, 'B')
    .replace(/(0 session)s/, '$1')
    .replace(/\s+/g, ' ')

const pictures = suite('pictures')

pictures('are in the documents, with alternative text', () => {
  const shown = ['README.md', 'docs/ui.md'].flatMap((file) =>
    [...read(file).matchAll(/!\[([^\]]*)\]\(([^)]+)\)/g)].map(([, words = '', image = '']) => {
      assert.ok(words.length > 20, `${image}: ${words}`)
      return path.join(path.dirname(file), image)
    }),
  )
  for (const image of shown) assert.ok(statSync(path.join(ROOT, image)).size < 200_000, image)
  for (const name of names) assert.ok(shown.includes(`docs/pictures/${name}`), name)
})

pictures('are complete, load nothing, and name no machine', () => {
  assert.equal(names, ['health.svg', 'reset-refused.svg', 'start.svg'])
  for (const name of names) {
    const svg = readFileSync(path.join(FOLDER, name), 'utf8')
    assert.equal(openElements(svg), [], name)
    assert.match(svg, /<title id="title">[^<]+<\/title>/)
    assert.not.match(svg, /<(script|image|foreignObject|a)\b|href|url\(|@import|\son\w+=/)
    const text = svgLines(svg).join('\n')
    assert.not.match(text, /(^|[\s"'(:])(\/[\w.-]+){2}/)
    assert.not.ok(text.split(/[^\w.-]+/).includes(hostname()), name)
  }
})

pictures('match what the commands print today', async () => {
  const today = await takePictures(await stackEnv({ KAFKA_MODE: 'zookeeper', EMBEDDED_UI: 'on' }))
  assert.equal(Object.keys(today).sort(), names)
  for (const name of names) {
    const lines = svgLines(today[name] ?? '').map(masked)
    // Another machine may print more, such as a memory warning.
    const missing = svgLines(readFileSync(path.join(FOLDER, name), 'utf8')).filter(
      (line) => !lines.includes(masked(line)),
    )
    assert.equal(missing, [], `${name}: npm run pictures, if this is as it should be: ${lines.join('\n')}`)
  }
})

pictures.run()
