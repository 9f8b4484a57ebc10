import { execFileSync, spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { interpolate } from '../../scripts/lib/settings/interpolate.mts'
import { cleanEnv, hasCompose, projectFolder } from '../support/project.mts'

const VALUES: Record<string, string> = { SET: 'set', EMPTY: '', OTHER: '$SET', _u1: 'under' }
const lookup = (name: string) => VALUES[name]

/** Text and its interpolated value. */
const FILLED: [string, string][] = [
  ['', ''],
  ['plain', 'plain'],
  ['$SET', 'set'],
  ['${SET}', 'set'],
  ['a${SET}b$SET-c', 'asetbset-c'],
  ['$UNSET', ''],
  ['${UNSET}', ''],
  ['$_u1 ${_u1}', 'under under'],
  // Names are case-sensitive.
  ['${set}', ''],
  ['${SET}}', 'set}'],
  ['{$SET}', '{set}'],
  // Defaults.
  ['${SET:-d}', 'set'],
  ['${UNSET:-d}', 'd'],
  ['${UNSET-d}', 'd'],
  ['${EMPTY:-d}', 'd'],
  ['${EMPTY-d}', ''],
  ['${UNSET:-}', ''],
  ['${UNSET-:-x}', ':-x'],
  ['${UNSET:--}', '-'],
  ['${UNSET:-a:-b}', 'a:-b'],
  ['${UNSET:-?}', '?'],
  ['${UNSET:-"q"}', '"q"'],
  ['${UNSET:-a b/c:1}', 'a b/c:1'],
  ['${UNSET:-\\}}', '\\}'],
  // Replacements.
  ['${SET:+x}', 'x'],
  ['${SET+x}', 'x'],
  ['${EMPTY:+x}', ''],
  ['${EMPTY+x}', 'x'],
  ['${UNSET:+x}', ''],
  ['${UNSET+x}', ''],
  ['${SET+}', ''],
  // Required and set.
  ['${SET:?no}', 'set'],
  ['${SET?no}', 'set'],
  ['${EMPTY?no}', ''],
  // Nested.
  ['${UNSET:-${SET}}', 'set'],
  ['${UNSET:-${UNSET:-d}}', 'd'],
  ['${UNSET:-${UNSET-$SET}x}y', 'setxy'],
  ['${UNSET:-a${SET}b${SET}c} ${SET}', 'asetbsetc set'],
  ['${SET:+${SET:+${SET}}}', 'set'],
  // Inserted values are not interpolated again.
  ['${OTHER}', '$SET'],
  ['${UNSET:-${OTHER}}', '$SET'],
  // Dollar signs.
  ['$$', '$'],
  ['$$SET', '$SET'],
  ['$$$SET', '$set'],
  ['$$$$', '$$'],
  ['$${SET}', '${SET}'],
  ['${UNSET:-$$}', '$'],
  ['${UNSET:-a$$b}', 'a$b'],
  ['${UNSET:-$${SET}}', '${SET}'],
  ['${UNSET-$}', '$'],
  ['$', '$'],
  ['a$', 'a$'],
  ['$ x', '$ x'],
  ['$1', '$1'],
  ['$}', '$}'],
  ['$é', '$é'],
  // Braces in the text after the operator.
  ['${UNSET:-a{b}c}', 'a{b}c'],
  ['${UNSET:-{x}}', '{x}'],
  ['${UNSET:-a}b}', 'ab}'],
  ['${UNSET:-{}', '{'],
]

const NOT_SET = /^a required variable that is not set$/

/** Text and its error, which contains none of the text. */
const REFUSED: [string, RegExp][] = [
  ['${', /^an unclosed "\$\{"$/],
  ['${SET', /^an unclosed "\$\{"$/],
  ['a ${SET b', /^an unclosed "\$\{"$/],
  ['${}', /^a "\$\{" without a valid variable name$/],
  ['${1}', /^a "\$\{" without a valid variable name$/],
  ['${ SET}', /^a "\$\{" without a valid variable name$/],
  ['${SET x}', /^a "\$\{" without a valid variable name$/],
  ['${SET:x}', /^a "\$\{" without a valid variable name$/],
  ['${SET:}', /^a "\$\{" without a valid variable name$/],
  ['${UNSET:-\nx}', /^a "\$\{" without a valid variable name$/],
  // An error in an unused default is reported too.
  ['${SET:-${}', /^an unclosed "\$\{"$/],
  ['${UNSET?}', NOT_SET],
  ['${UNSET:?set me}', NOT_SET],
  ['${EMPTY:?see $SET}', NOT_SET],
  ['${SET:-${UNSET:?inner}}', NOT_SET],
]

const values = suite('interpolate')

for (const [text, expected] of FILLED) {
  values(`${JSON.stringify(text)} is ${JSON.stringify(expected)}`, () => {
    assert.is(interpolate(text, lookup), expected)
  })
}
for (const [text, message] of REFUSED) {
  values(`${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => interpolate(text, lookup), message)
  })
}

values('distinguishes a syntax error from a missing variable', () => {
  assert.throws(
    () => interpolate('${', lookup),
    (error: Error) => error instanceof SyntaxError,
  )
  assert.throws(
    () => interpolate('${UNSET:?}', lookup),
    (error: Error) => error instanceof RangeError,
  )
})

values.run()

const compose = suite('interpolate against Docker Compose')
const withCompose = hasCompose() ? compose : compose.skip

const composeFile = (texts: string[]) =>
  JSON.stringify({
    name: 't',
    services: { a: { image: 'x', environment: Object.fromEntries(texts.map((t, i) => [`K${i}`, t])) } },
  })
const run = { env: cleanEnv(VALUES), encoding: 'utf8' } as const
const config = ['compose', 'config', '--format', 'json']

withCompose('fills in the same', () => {
  const texts = FILLED.map(([text]) => text)
  const cwd = projectFolder({ 'compose.yaml': composeFile(texts) })
  const out = JSON.parse(execFileSync('docker', config, { ...run, cwd, stdio: 'pipe' }))
  const { environment } = out.services.a
  // The output is a compose file again, so every dollar sign is doubled.
  const theirs = texts.map((text, index) => [text, environment[`K${index}`].replaceAll('$$', '$')])
  assert.equal(theirs, FILLED)
})

withCompose('refuses the same', () => {
  const accepted = REFUSED.filter(([text]) => {
    const cwd = projectFolder({ 'compose.yaml': composeFile([text]) })
    return spawnSync('docker', config, { ...run, cwd }).status === 0
  })
  assert.equal(accepted, [])
})

compose.run()
