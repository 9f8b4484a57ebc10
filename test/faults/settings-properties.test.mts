import { parse } from 'dotenv'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { type EnvEntry, parseEnvFile, setEnvValues } from '../../scripts/lib/settings/env-file.mts'
import { composeLookup, lookupFor } from '../../scripts/lib/settings/environment.mts'
import { interpolate } from '../../scripts/lib/settings/interpolate.mts'
import { parseBytes } from '../../scripts/lib/settings/readers.mts'
import { readSettings, VARIABLES } from '../../scripts/lib/settings/settings.mts'
import { projectFolder } from '../support/project.mts'
import { holds, textOf } from '../support/property.mts'

/** Returns the entries of a .env file, or undefined if it is rejected correctly. */
function entriesOf(content: string): EnvEntry[] | undefined {
  try {
    return parseEnvFile(content, '.env')
  } catch (error) {
    assert.instance(error, OpsError)
    assert.is((error as OpsError).exitCode, 2)
    return undefined
  }
}

/** Generates lines, most of them valid assignments. */
const value = textOf(['a', 'b1', ' ', '\t', '=', ':', '#', ' # ', '\\', '`', '${A}', '$', 'é', "'", '"', '\u2028'], 5)
const quoted = (quote: string) =>
  textOf(['a', ' ', '\n', '\r\n', '#', '=', '\\', '${A}', quote === '"' ? "'" : '"'], 5).map(
    (text) => quote + text + quote,
  )
const head = fc.constantFrom('A=', 'A=', 'B=', ' A = ', 'export B=', 'A.b-c=', 'A =\t', 'export=', '__proto__=')
const after = fc.constantFrom('', '', ' ', '\t', ' # note', '# note', ' x')
const assignment = fc.tuple(head, fc.oneof(value, quoted("'"), quoted('"')), after).map((parts) => parts.join(''))
const junk = textOf(['A', '=', ' ', "'", '"', '\\', '#', '\uFEFF', 'export ', '\r', ':'], 5)
const line = fc.oneof(
  { weight: 8, arbitrary: assignment },
  { weight: 1, arbitrary: fc.constantFrom('', '# A=1', ' #') },
  { weight: 1, arbitrary: junk },
)
const content = fc
  .tuple(fc.array(line, { maxLength: 4 }), fc.constantFrom('\n', '\n', '\r\n'), fc.boolean())
  .map(([lines, end, last]) => lines.join(end) + (last ? end : ''))

const envFiles = suite('.env')

envFiles('with any text is read, or refused with exit code 2 and existing line numbers', () => {
  holds(
    fc.property(content, (text) => {
      for (const { origin } of entriesOf(text) ?? []) {
        const line = Number(origin.split(':')[1])
        assert.ok(line >= 1 && line <= text.split('\n').length, origin)
      }
    }),
  )
})

envFiles('is read as by dotenv where programs agree', () => {
  holds(
    fc.property(content, (text) => {
      const entries = entriesOf(text)
      fc.pre(entries?.every(({ ambiguity }) => ambiguity === undefined) === true)
      // An object cannot have an ordinary key of this name.
      const named = (entries ?? []).filter(({ name }) => name !== '__proto__')
      assert.equal(Object.fromEntries(named.map(({ name, text }) => [name, text])), parse(text))
    }),
    3000,
  )
})

envFiles('changes only in the value that is set', () => {
  const name = fc.constantFrom('A', 'B', 'C', '__proto__')
  const value = fc.oneof(
    fc.nat().map(String),
    textOf(['a', '1', '.', ':', '/'], 5).map((text) => `1${text}`),
  )
  holds(
    fc.property(content, name, value, (text, name, value) => {
      const before = entriesOf(text)
      fc.pre(before !== undefined)
      const after = parseEnvFile(setEnvValues(text, { [name]: value }), '.env')
      const found = after.findLast((entry) => entry.name === name)
      assert.equal([found?.text, found?.ambiguity], [value, undefined])
      const others = (entries: EnvEntry[]) =>
        entries
          .filter((entry) => entry !== entries.findLast((each) => each.name === name))
          .map(({ name, text }) => [name, text])
      assert.equal(others(after), others(before ?? []))
      assert.is(
        setEnvValues(setEnvValues(text, { [name]: value }), { [name]: value }),
        setEnvValues(text, { [name]: value }),
      )
    }),
  )
})

envFiles('shows no value in any refusal', () => {
  const pieces = ['S3cr3t', '${', '}', '$', ':-', ':?', '?', '+', '{', "'", '"', '\\', ' ', '#', '@', '${B}']
  holds(
    fc.property(textOf(pieces, 12), (value) => {
      const line = `B=S3cr3t\nREDIS_PASSWORD=${value}\nREDIS_PORT=\${REDIS_PASSWORD}\n`
      for (const file of ['.env', '.env.template']) {
        try {
          readSettings({}, projectFolder({ [file]: line }))
        } catch (error) {
          assert.instance(error, OpsError)
          assert.not.match(JSON.stringify((error as OpsError).findings), 'S3cr3t')
          continue
        }
        assert.unreachable('accepted without its other variables')
      }
    }),
    300,
  )
})

envFiles('with values that double on each line ends quickly', () => {
  const lines = Array.from({ length: 60 }, (_, index) => `V${index + 1}=\${V${index}}\${V${index}}`)
  assert.throws(
    () => composeLookup({}, projectFolder({ '.env': `V0=xx\n${lines.join('\n')}\n` })),
    (error: OpsError) => error.exitCode === 2 && error.findings[0]?.found === 'more than 1048576 characters',
  )
})
envFiles.run()

const VALUES: Record<string, string> = { SET: 'set', EMPTY: '', DOLLAR: '${SET}$$' }
const lookup = (name: string) => (Object.hasOwn(VALUES, name) ? VALUES[name] : undefined)

interface Reference {
  written: string
  /** The value, or undefined if it must be rejected. */
  value: string | undefined
}

const references = fc.letrec<{ text: Reference; piece: Reference; reference: Reference }>((tie) => ({
  text: fc.array(tie('piece'), { maxLength: 3 }).map((pieces) => ({
    written: pieces.map(({ written }) => written).join(''),
    value: pieces.some(({ value }) => value === undefined) ? undefined : pieces.map(({ value }) => value).join(''),
  })),
  piece: fc.oneof(
    { withCrossShrink: true, maxDepth: 4 },
    fc.constantFrom('a', ' ', '-', ':', '?', 'é', '\\').map((written) => ({ written, value: written })),
    fc.constant({ written: '$$', value: '$' }),
    tie('reference'),
  ),
  reference: fc
    .tuple(
      fc.constantFrom('SET', 'EMPTY', 'DOLLAR', 'UNSET'),
      fc.constantFrom('', ':', 'colonless'),
      fc.constantFrom('-', '+', '?'),
      tie('text'),
    )
    .map(([name, colon, operator, other]) => {
      const value = lookup(name)
      if (colon === '') return { written: `\${${name}}`, value: value ?? '' }
      const present = value !== undefined && (colon !== ':' || value !== '')
      const chosen =
        operator === '-'
          ? present
            ? value
            : other.value
          : operator === '+'
            ? present
              ? other.value
              : ''
            : present
              ? value
              : undefined
      return {
        written: `\${${name}${colon === ':' ? ':' : ''}${operator}${other.written}}`,
        value: other.value === undefined ? undefined : chosen,
      }
    }),
}))

const filled = suite('interpolation')

filled('replaces each reference by its meaning', () => {
  holds(
    fc.property(references.text, ({ written, value }) => {
      if (value === undefined)
        assert.throws(() => interpolate(written, lookup), /^a required variable that is not set$/)
      else assert.is(interpolate(written, lookup), value)
    }),
    3000,
  )
})

filled('returns any text whose dollar signs are doubled', () => {
  holds(
    fc.property(fc.string({ unit: 'binary' }), (text) =>
      assert.is(interpolate(text.replaceAll('$', '$$$$'), lookup), text),
    ),
  )
})

filled('of any text returns text, or an error that repeats none of it', () => {
  const pieces = ['S3cr3t', '${', '{', '}', '$', '$$', 'SET', ':', '-', '?', '+', '\n']
  holds(
    fc.property(textOf(pieces, 15), (text) => {
      try {
        interpolate(text, lookup)
      } catch (error) {
        assert.ok(error instanceof SyntaxError || error instanceof RangeError, String(error))
        assert.not.match((error as Error).message, 'S3cr3t')
      }
    }),
    3000,
  )
})
filled.run()

const settings = suite('values of settings')

settings('are read or refused as out of range', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    textOf(
      [
        '0',
        '1',
        '9'.repeat(20),
        'm',
        'G',
        'kb',
        '-',
        '.',
        ':',
        ',',
        '[',
        ']',
        '%',
        'a',
        ' ',
        '::',
        '\u0000',
        '127.0.0.1',
      ],
      6,
    ),
  )
  for (const [name, reader] of Object.entries(VARIABLES)) {
    holds(
      fc.property(text, (text) => {
        try {
          const value: unknown = reader(text)
          if (typeof value === 'number') assert.ok(Number.isSafeInteger(value) && value >= 0, `${name}: ${value}`)
        } catch (error) {
          assert.instance(error, RangeError, name)
        }
      }),
      200,
    )
  }
})

settings('read sizes with their unit', () => {
  const units = { '': 0, b: 0, k: 1, kb: 1, M: 2, mb: 2, g: 3, GB: 3 }
  holds(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.constantFrom(...Object.entries(units)),
      (count, [unit, power]) => {
        assert.is(parseBytes(`${count}${unit}`), count * 1024 ** power)
        const decimal = /^[kmg]$/i.test(unit)
        assert.is(VARIABLES.REDIS_MAX_MEMORY(`${count}${unit}`), count * (decimal ? 1000 : 1024) ** power)
      },
    ),
  )
})

/** Puts an IPv6 address in brackets, as in URLs. */
const bracketed = (host: string) => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host)

settings('accept every host and address, and nothing that cannot be part of a URL', () => {
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6(),
    fc.ipV6().map((address) => `[${address}]`),
  )
  holds(fc.property(host, (host) => assert.is(VARIABLES.REDIS_HOST(host), host)))
  const odd = textOf(['a', '1', '.', '-', '_', ':', '::', '[', ']', '%', '/', '@', '#', '?', '127.0.0.1', '256'], 6)
  holds(
    fc.property(odd, (text) => {
      try {
        VARIABLES.REDIS_HOST(text)
      } catch {
        return
      }
      const { hostname, port, pathname, username } = new URL(`http://${bracketed(text)}/`)
      assert.equal([hostname === '', port, pathname, username], [false, '', '/', ''])
    }),
    5000,
  )
})

settings('read lists of servers as their parts', () => {
  const server = fc
    .tuple(fc.oneof(fc.domain(), fc.ipV4()), fc.integer({ min: 1, max: 65_535 }))
    .map(([host, port]) => `${host}:${port}`)
  const list = fc.array(server, { minLength: 1, maxLength: 4 })
  holds(
    fc.property(list, fc.constantFrom(',', ', '), (list, comma) =>
      assert.equal(VARIABLES.KAFKA_BOOTSTRAP_SERVERS(list.join(comma)), list),
    ),
  )
})

settings('come from the shell, then .env, then the template', () => {
  const value = fc.option(fc.constantFrom('', '1', '2'), { nil: undefined })
  holds(
    fc.property(value, value, value, (shell, own, template) => {
      const file = (text: string | undefined) => (text === undefined ? '' : `A=${text}\n`)
      const found = lookupFor(
        shell === undefined ? {} : { A: shell },
        projectFolder({ '.env': file(own), '.env.template': file(template) }),
      )('A')
      // As in Compose, a shell variable with an empty value overrides .env.
      const chosen = shell === undefined ? own : shell
      assert.is(found?.text, chosen || template)
    }),
    50,
  )
})
settings.run()
