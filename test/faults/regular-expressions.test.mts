import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from '@babel/parser'
import { check } from 'recheck'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

interface Literal {
  /** As `file:line /pattern/flags`. */
  location: string
  pattern: string
  flags: string
}

/** Returns the regular expressions of a TypeScript file. */
function literalsOf(file: string): Literal[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8')
  const { tokens } = parse(text, { sourceType: 'module', plugins: ['typescript'], tokens: true })
  return (tokens ?? [])
    .filter(({ type }) => type.label === 'regexp')
    .map(({ value: { pattern, flags }, loc }) => ({
      location: `${file}:${loc.start.line} /${pattern}/${flags}`,
      pattern,
      flags,
    }))
}

const FILES = readdirSync(path.join(ROOT, 'scripts'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.mts'))
  .map((file) => path.join('scripts', file))

const expressions = suite('regular expressions')

expressions('take time proportional to their input, whatever it is', async () => {
  const literals = FILES.flatMap(literalsOf)
  assert.ok(literals.length > 100)
  const slow: string[] = []
  for (const { location, pattern, flags } of literals) {
    const found = await check(pattern, flags, { timeout: 60_000 })
    if (found.status !== 'safe')
      slow.push(`${location}: ${found.status === 'vulnerable' ? found.complexity.summary : 'not known'}`)
  }
  assert.equal(slow, [])
})

expressions('that backtrack are found', async () => {
  assert.is((await check('^(.*?)[ ]*$', '', {})).status, 'vulnerable')
})
expressions.run()
