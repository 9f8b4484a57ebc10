import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { type EnvEntry, parseEnvFile, setEnvValues, writeEnvValues } from '../../scripts/lib/settings/env-file.mts'
import { composeLookup } from '../../scripts/lib/settings/environment.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { cleanEnv, hasCompose, projectFolder } from '../support/project.mts'

const entry = (name: string, text: string, line: number, more: Partial<EnvEntry> = {}): EnvEntry => ({
  name,
  text,
  literal: false,
  origin: `.env:${line}`,
  ambiguity: undefined,
  ...more,
})

/** Contents that all programs read in the same way, with the values of A and B. */
const ALIKE: [string, string | undefined, string?][] = [
  ['', undefined],
  ['# A=1\n\n  # A=2\n', undefined],
  ['A=1', '1'],
  ['A = 1', '1'],
  ['  A=1  \n', '1'],
  ['A=', ''],
  ["A=''", ''],
  ['A=""', ''],
  ['A=1 # note', '1'],
  ["A='x' # note", 'x'],
  ["A='x'# note", 'x'],
  ['A="x" # note', 'x'],
  ['A=x # y # z', 'x'],
  ["A='x#y'", 'x#y'],
  ['A="x#y"', 'x#y'],
  ["A=' x '", ' x '],
  ['A=a b c', 'a b c'],
  ['A=a=b', 'a=b'],
  ['A==', '='],
  ["A=it's", "it's"],
  ['A="it\'s"', "it's"],
  ['A=\'say "x"\'', 'say "x"'],
  ['A=x"y"', 'x"y"'],
  ['A=a\\nb', 'a\\nb'],
  ["A='a\\nb'", 'a\\nb'],
  ['A=pa$1', 'pa$1'],
  ['A=é', 'é'],
  ['A=1 B=2', '1 B=2'],
  ['A=x;B=y', 'x;B=y'],
  ['export A=1', '1'],
  ['export  A=1', '1'],
  ['exportA=1\nB=2', undefined, '2'],
  ['A=1\nA=2', '2'],
  ['A=1\nA=', ''],
  ['A-B=1\nA.B=2\nA=3', '3'],
  ['\uFEFFA=1\nB=2', '1', '2'],
  ['A=1\r\nB=2\r\n', '1', '2'],
  ["A='x'\r\nB=2 # note\r\n", 'x', '2'],
  ['# top\r\n\r\nA=1 # note\r\nB="2" # note\r\n', '1', '2'],
  ["A='x' # note\r\nB= \r\n", 'x', ''],
  ['A=x # y # z\r\nB=${A}\r\n', 'x', 'x'],
  ['A="two\nlines"\nB=2', 'two\nlines', '2'],
  ["A='two\nB=1\nlines'\nB=2", 'two\nB=1\nlines', '2'],
  // References, in the file's order.
  ['A=${SH}x', 'shx'],
  ['A="${SH}x"', 'shx'],
  ["A='${SH}x'", '${SH}x'],
  ['B=1\nA=${B}', '1', '1'],
  ['A=${B}\nB=1', '', '1'],
  ['A=${B:-d}', 'd'],
  ['A=${A}', ''],
  ['A=1\nA=${A}2', '12'],
  ['A=1\nB=${A}\nA=2', '2', '1'],
  ['SH=other\nA=${SH}', 'sh'],
]

/** Contents that programs read differently, with the cause. */
const AMBIGUOUS: [string, string][] = [
  ['A=1#note', 'a "#"'],
  ['A=1# note', 'a "#"'],
  ['A=#note', 'a "#"'],
  ['A= # note', 'a "#"'],
  ['A=1\t# note', 'a "#"'],
  ['A=`x`', 'a backtick'],
  ['A="a\\nb"', 'a backslash'],
  ['A="a\\"b"', 'a backslash'],
  ["A='a\\'b'", 'a backslash'],
  ["A='a\\\\b'", 'a backslash'],
  ['A=$SH', 'a "$" without braces'],
  ['A="x$SH"', 'a "$" without braces'],
  ['A=$$x', 'a "$" without braces'],
]

/** Contents with lines that Compose refuses, or that only Compose reads as an assignment. */
const UNREADABLE: [string, number[]][] = [
  ['A', [1]],
  ['A=1\nB: 2\n', [2]],
  ['A:1', [1]],
  ['a b=1', [1]],
  ['=1', [1]],
  ['+A=1\nA=1\nA?=1', [1, 3]],
  ["A='x'y", [1]],
  ['A="x"y', [1]],
  ["A='a' 'b'", [1]],
  // For some programs a carriage return ends a line, for others it does not.
  ['A=\rA', [1]],
  ['A=1\rB=2', [1]],
  // The backslash escapes the quote, so the value is not closed.
  ["A='a\\'", [1]],
  ['A="open\nB=2', [1]],
  ["B=2\nA='open", [2]],
  ['# top\r\nA=1\r\nB: 2\r\n\r\nC\r\n', [3, 5]],
  ['A=1\rB=2\n', [1]],
]

const parsing = suite('parseEnvFile')

parsing('returns every assignment with its line, whether it is literal, and whether programs agree on it', () => {
  assert.equal(parseEnvFile('# top\nA=1\n\nexport B=\'${A}\' # note\nC="two\nlines"\nD=x#y\n', '.env'), [
    entry('A', '1', 2),
    entry('B', '${A}', 4, { literal: true }),
    entry('C', 'two\nlines', 5),
    entry('D', 'x', 7, { ambiguity: 'a "#"' }),
  ])
})

parsing('the template reads the same with Windows line ends', () => {
  const template = readFileSync(path.join(ROOT, '.env.template'), 'utf8')
  assert.equal(parseEnvFile(template.replaceAll('\n', '\r\n'), '.env'), parseEnvFile(template, '.env'))
})

for (const [content, expected, other] of ALIKE) {
  parsing(`${JSON.stringify(content)} is read the same by all programs`, () => {
    const lookup = composeLookup({ SH: 'sh' }, projectFolder({ '.env': content }))
    assert.equal([lookup('A')?.text, lookup('B')?.text], [expected, other])
    assert.is(lookup('A')?.ambiguity, undefined)
  })
}
for (const [content, ambiguity] of AMBIGUOUS) {
  parsing(`${JSON.stringify(content)} is marked: ${ambiguity}`, () => {
    assert.equal(
      parseEnvFile(content, '.env').map((found) => found.ambiguity),
      [ambiguity],
    )
  })
}
for (const [content, lines] of UNREADABLE) {
  parsing(`${JSON.stringify(content)} is refused with its line`, () => {
    try {
      parseEnvFile(content, '.env')
    } catch (error) {
      assert.instance(error, OpsError)
      const { exitCode, findings } = error as OpsError
      assert.is(exitCode, 2)
      assert.equal(
        findings.map(({ code, subject }) => [code, subject]),
        lines.map((line) => ['ENV_SYNTAX', `.env:${line}`]),
      )
      return
    }
    assert.unreachable('accepted')
  })
}
parsing.run()

const compose = suite('parseEnvFile against Docker Compose')
const withCompose = hasCompose() ? compose : compose.skip
const PROJECT = 'name: t\nservices: { a: { image: x, environment: { A: "${A-UNSET}", B: "${B-UNSET}" } } }\n'

withCompose('reads the same', () => {
  for (const [content, a = 'UNSET', b = 'UNSET'] of ALIKE) {
    const cwd = projectFolder({ 'compose.yaml': PROJECT, '.env': content })
    const args = ['compose', 'config', '--format', 'json']
    const out = execFileSync('docker', args, { cwd, env: cleanEnv({ SH: 'sh' }), encoding: 'utf8', stdio: 'pipe' })
    const { A, B } = JSON.parse(out).services.a.environment
    const theirs = [A, B].map((value: string) => value.replaceAll('$$', '$'))
    assert.equal(theirs, [a, b], JSON.stringify(content))
  }
})

withCompose('refuses an unclosed reference too', () => {
  const cwd = projectFolder({ 'compose.yaml': PROJECT, '.env': 'A=${' })
  assert.is.not(spawnSync('docker', ['compose', 'config'], { cwd, env: cleanEnv() }).status, 0)
  assert.throws(
    () => composeLookup({}, cwd),
    (error: OpsError) => error.exitCode === 2 && error.findings[0]?.subject === '.env:1 A',
  )
})
compose.run()

const editing = suite('setEnvValues')

const EDITS: [string, string, Record<string, string>, string][] = [
  ['changes only the value', '# top\nA=1 # one\nB=2\n', { A: '7' }, '# top\nA=7 # one\nB=2\n'],
  ['changes several', 'A=1\nB=2\nC=3\n', { C: '9', A: '7' }, 'A=7\nB=2\nC=9\n'],
  ['keeps blanks and export', '  export A = 1  \n', { A: '7' }, '  export A = 7  \n'],
  ['replaces quotes with the value', "A='1' # one\n", { A: '7' }, 'A=7 # one\n'],
  ['keeps a comment right behind quotes apart from the value', "A='1'# one\n", { A: '7' }, 'A=7 # one\n'],
  ['fills an empty value', 'A=\nB=2\n', { A: '7' }, 'A=7\nB=2\n'],
  ['replaces a reference', 'A=${B}1\nB=2\n', { A: '7' }, 'A=7\nB=2\n'],
  ['changes the later of two, which holds', 'A=1\nA=2\n', { A: '7' }, 'A=1\nA=7\n'],
  ['leaves comments alone', '# A=1\n', { A: '7' }, '# A=1\nA=7\n'],
  ['leaves names that only begin or end alike alone', 'AA=1\nA_A=2\n', { A: '7' }, 'AA=1\nA_A=2\nA=7\n'],
  ['leaves lines inside quotes alone', "B='x\nA=1\n'\nA=2\n", { A: '7' }, "B='x\nA=1\n'\nA=7\n"],
  ['adds what is not there', 'B=2\n', { A: '7' }, 'B=2\nA=7\n'],
  ['adds after a last line without its end', 'B=2', { A: '7', C: '8' }, 'B=2\nA=7\nC=8\n'],
  ['fills an empty file', '', { A: '7' }, 'A=7\n'],
  [
    'keeps the comments of Windows lines',
    "A=1 # one\r\nB='2' # two\r\n",
    { A: '7', B: '8' },
    'A=7 # one\r\nB=8 # two\r\n',
  ],
  ['keeps the line ends of Windows', 'A=1\r\nB=2\r\n', { A: '7', C: '8' }, 'A=7\r\nB=2\r\nC=8\r\n'],
  ['keeps a byte order mark', '\uFEFFA=1\n', { A: '7' }, '\uFEFFA=7\n'],
  ['changes nothing for no values', 'A=1', {}, 'A=1'],
]
for (const [title, before, values, after] of EDITS) {
  editing(title, () => assert.is(setEnvValues(before, values), after))
}
editing.run()

const writing = suite('writeEnvValues')

writing('creates .env from the template, readable by its owner only', () => {
  const root = projectFolder({ '.env.template': '# ports\nA=1 # one\nB=2\n' })
  writeEnvValues(root, { A: '7' })
  assert.is(readFileSync(path.join(root, '.env'), 'utf8'), '# ports\nA=7 # one\nB=2\n')
  assert.is(statSync(path.join(root, '.env')).mode & 0o777, 0o600)
  assert.is(readFileSync(path.join(root, '.env.template'), 'utf8'), '# ports\nA=1 # one\nB=2\n')
})

writing('keeps the permissions of an existing .env, and leaves nothing beside it', () => {
  const root = projectFolder({ '.env': 'A=1\n', '.env.template': 'A=0\n' })
  chmodSync(path.join(root, '.env'), 0o640)
  writeEnvValues(root, { A: '7' })
  assert.is(readFileSync(path.join(root, '.env'), 'utf8'), 'A=7\n')
  assert.is(statSync(path.join(root, '.env')).mode & 0o777, 0o640)
  assert.equal(readdirSync(root).sort(), ['.env', '.env.template'])
})

writing('writes through a symlink', () => {
  const root = projectFolder({ 'elsewhere/env': 'A=1\n', '.env.template': 'A=0\n' })
  symlinkSync('elsewhere/env', path.join(root, '.env'))
  writeEnvValues(root, { A: '7' })
  assert.ok(lstatSync(path.join(root, '.env')).isSymbolicLink())
  assert.is(readFileSync(path.join(root, 'elsewhere/env'), 'utf8'), 'A=7\n')
})

const asRoot = process.getuid?.() === 0 ? writing : writing.skip
asRoot('gives the file to the owner of the project when root runs it', () => {
  const root = projectFolder({ '.env.template': 'A=0\n' })
  chownSync(path.join(root, '.env.template'), 1234, 1235)
  writeEnvValues(root, { A: '7' })
  const { uid, gid } = statSync(path.join(root, '.env'))
  assert.equal([uid, gid], [1234, 1235])
})

writing('leaves nothing behind when it fails', () => {
  const root = projectFolder({ '.env/a-folder': '', '.env.template': 'A=0\n' })
  assert.throws(
    () => writeEnvValues(root, { A: '7' }),
    /^\.env: found a folder, expected a text file that this user may read$/,
  )
  assert.equal(readdirSync(root).sort(), ['.env', '.env.template'])
})
writing.run()
