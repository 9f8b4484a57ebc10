import { spawn } from 'node:child_process'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { helpText, parseFlags } from '../../scripts/lib/command/flags.mts'
import {
  cannotTell,
  configError,
  error,
  exitCodeOf,
  type Finding,
  OpsError,
  paintFor,
  reason,
  renderFindings,
  type Severity,
} from '../../scripts/lib/common/findings.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { projectFolder } from '../support/project.mts'

const OPTIONS = {
  only: { type: 'list', value: 'NAME', help: 'only these' },
  file: { type: 'string', value: 'FILE', help: 'what to read', default: 'a.yml' },
  id: { type: 'string', value: 'ID', help: 'an id' },
  wait: { type: 'number', value: 'SECONDS', help: 'how long', min: 0, max: 60, default: 5 },
  max: { type: 'number', value: 'N', help: 'a bound', min: 1, max: 9 },
  'dry-run': { type: 'boolean', help: 'change nothing' },
} as const

const NONE = {
  only: [],
  file: 'a.yml',
  id: undefined,
  wait: 5,
  max: undefined,
  'dry-run': false,
  'env-file': undefined,
  json: false,
  help: false,
}

const flags = suite('parseFlags')
const SPEC = { name: './x.mts', options: OPTIONS }
const WITH_ARGUMENTS = { ...SPEC, arguments: { value: 'FILE…', help: 'files' } }

const GOOD: [string[], Record<string, unknown>][] = [
  [[], {}],
  [['--dry-run', '--json', '--help'], { 'dry-run': true, json: true, help: true }],
  [['--file', 'b.yml'], { file: 'b.yml' }],
  [['--file=b.yml'], { file: 'b.yml' }],
  [['--file=--b'], { file: '--b' }],
  [['--file', 'b.yml', '--file', 'c.yml'], { file: 'c.yml' }],
  [['--id', 'x=y'], { id: 'x=y' }],
  [['--wait', '0'], { wait: 0 }],
  [['--wait', '60', '--max=9'], { wait: 60, max: 9 }],
  [['--wait', '1.5'], { wait: 1.5 }],
  [['--only', 'a', 'b', 'c'], { only: ['a', 'b', 'c'] }],
  [['--only', 'a,b', '--only=c,d', 'e', '--dry-run'], { only: ['a', 'b', 'c', 'd', 'e'], 'dry-run': true }],
]
for (const [argv, expected] of GOOD) {
  flags(`accepts "${argv.join(' ')}"`, () => {
    assert.equal(parseFlags(SPEC, argv), { options: { ...NONE, ...expected }, args: [] })
  })
}

/** Arguments, and the subject, found and expected of each finding. */
const BAD: [string[], [subject: string, found: string, expected?: string][]][] = [
  [
    ['--files', 'x'],
    [
      ['--files', 'unknown flag; did you mean --file?'],
      ['argument "x"', 'this command takes no arguments'],
    ],
  ],
  [['-x'], [['-x', 'unknown flag']]],
  [['--toString'], [['--toString', 'unknown flag']]],
  [['--dry'], [['--dry', 'unknown flag; did you mean --dry-run?']]],
  [['--wiat'], [['--wiat', 'unknown flag; did you mean --wait?']]],
  [['x'], [['argument "x"', 'this command takes no arguments']]],
  [['--dry-run=yes'], [['--dry-run', 'the value "yes"', 'no value']]],
  [['--dry-run', 'false'], [['argument "false"', 'this command takes no arguments']]],
  [['--file'], [['--file', 'no value', 'FILE']]],
  [['--file', ''], [['--file', 'no value', 'FILE']]],
  [['--file', '--json'], [['--file', 'no value', 'FILE']]],
  [['--only'], [['--only', 'no value', 'NAME']]],
  // If a variable in the user's script is empty, the option must not mean everything.
  [['--only', ''], [['--only', 'no value', 'NAME']]],
  [['--only=,'], [['--only', 'no value', 'NAME']]],
  [['--wait', '60a'], [['--wait', '"60a"', 'a number from 0 to 60']]],
  [['--wait', '61'], [['--wait', '"61"', 'a number from 0 to 60']]],
  [['--wait', '-1'], [['--wait', '"-1"', 'a number from 0 to 60']]],
  [['--wait', '1e1'], [['--wait', '"1e1"', 'a number from 0 to 60']]],
  [['--wait', ' '], [['--wait', '" "', 'a number from 0 to 60']]],
  [
    ['--max', '0', '--wait', 'x'],
    [
      ['--max', '"0"', 'a number from 1 to 9'],
      ['--wait', '"x"', 'a number from 0 to 60'],
    ],
  ],
]
for (const [argv, expected] of BAD) {
  flags(`refuses ${JSON.stringify(argv)}`, () => {
    try {
      parseFlags(SPEC, argv)
    } catch (error) {
      assert.instance(error, OpsError)
      const { exitCode, findings } = error as OpsError
      assert.is(exitCode, 2)
      const rest = { severity: 'error', code: 'USAGE', hint: './x.mts --help' }
      assert.equal(
        findings,
        expected.map(([subject, found, wanted]) => ({
          ...rest,
          subject,
          found,
          ...(wanted ? { expected: wanted } : {}),
        })),
      )
      return
    }
    assert.unreachable('accepted')
  })
}

flags('accepts arguments only for commands that take them, also after --', () => {
  assert.equal(parseFlags(WITH_ARGUMENTS, ['a', '--dry-run', 'b', '--', '--c']).args, ['a', 'b', '--c'])
  assert.equal(parseFlags(WITH_ARGUMENTS, ['--only', 'a', '--', 'b']), {
    options: { ...NONE, only: ['a'] },
    args: ['b'],
  })
})
flags.run()

const help = suite('helpText')
help('shows every flag with its default, the exit codes and an example', () => {
  const spec = {
    ...WITH_ARGUMENTS,
    summary: 'Does a thing.',
    example: './x.mts --wait 9',
    exitCodes: { 0: 'good', 1: 'bad', 2: 'wrong', 3: 'unknown' },
    run: async () => ({ findings: [] }),
  }
  assert.is(
    helpText(spec),
    `Usage: ./x.mts [options] FILE…

Does a thing.

Options:
  FILE…            files
  --only NAME…     only these
  --file FILE      what to read (default a.yml)
  --id ID          an id
  --wait SECONDS   how long (default 5)
  --max N          a bound
  --dry-run        change nothing
  --env-file PATH  read this file instead of .env
  --json           print one JSON object on stdout, and nothing else there
  --help           show this help

Exit codes:
  0  good
  1  bad
  2  wrong
  3  unknown

Example: ./x.mts --wait 9`,
  )
})

help('shows short flags, and describes --json of a stream', () => {
  const text = helpText({
    name: './x.mts',
    summary: 'Shows things.',
    options: { last: { type: 'number', short: 'n', value: 'N', min: 0, max: 9, whole: true, help: 'the last N' } },
    isStream: true,
    example: './x.mts -n 9',
    exitCodes: { 0: 'good', 1: 'bad', 2: 'wrong', 3: 'unknown' },
  })
  assert.match(text, /^ {2}--last N, -n N +the last N$/m)
  assert.match(
    text,
    /^ {2}--json +print only JSON objects on stdout, one per line; the last has the exit code and findings$/m,
  )
})
help.run()

const finding = (severity: Severity, code = 'CODE'): Finding => ({
  severity,
  code,
  subject: 'redis',
  found: 'nothing',
  expected: 'PONG',
  hint: 'npm start',
})

const findings = suite('findings')

findings('determine the exit code: bad before unknown before good', () => {
  assert.is(exitCodeOf([]), 0)
  assert.is(exitCodeOf([finding('warning')]), 0)
  assert.is(exitCodeOf([finding('warning'), finding('unknown')]), 3)
  assert.is(exitCodeOf([finding('unknown'), finding('error')]), 1)
})

findings('read as one sentence and the next command', () => {
  const plain = paintFor({}, {})
  assert.is(
    renderFindings([finding('error'), finding('unknown'), finding('warning')], plain),
    `${['✗', '?', '!'].map((mark) => `${mark} redis: found nothing, expected PONG [CODE]\n`).join('')}    → npm start`,
  )
  const other = error('OTHER', 'kafka', { found: 'no answer', hint: './other.mts' })
  assert.is(
    renderFindings([finding('error'), other, finding('error')], plain),
    [
      '✗ redis: found nothing, expected PONG [CODE]\n    → npm start',
      '✗ kafka: no answer [OTHER]\n    → ./other.mts',
      '✗ redis: found nothing, expected PONG [CODE]\n    → npm start',
    ].join('\n'),
  )
  assert.is(renderFindings([], plain), '')
})

findings('are coloured only on a terminal, unless NO_COLOR or TERM forbids it', () => {
  const red = '\u001b[31mx\u001b[0m'
  const painted = (isTTY: boolean, env: NodeJS.ProcessEnv) => paintFor({ isTTY }, env)('red', 'x')
  assert.is(painted(true, { TERM: 'xterm' }), red)
  assert.is(painted(true, { NO_COLOR: '' }), red)
  assert.is(painted(true, { NO_COLOR: '1' }), 'x')
  assert.is(painted(true, { TERM: 'dumb' }), 'x')
  assert.is(painted(false, {}), 'x')
})

findings('are carried by errors with their exit code', () => {
  const [bad, unclear] = [finding('error'), finding('unknown')]
  assert.equal([configError([bad]).exitCode, configError([bad]).findings], [2, [bad]])
  assert.equal([cannotTell(unclear).exitCode, cannotTell(unclear).findings], [3, [unclear]])
  assert.is(configError([bad, bad]).message, 'redis: found nothing, expected PONG\nredis: found nothing, expected PONG')
})

findings('show an error with its causes and without its stack', () => {
  assert.is(reason(new Error('no')), 'no')
  assert.is(reason(new Error('no', { cause: new Error('because') })), 'no (because)')
  assert.is(reason(new Error('no: because', { cause: new Error('because') })), 'no: because')
  assert.is(reason(new AggregateError([new Error('first'), new Error('second')])), 'first')
  assert.is(reason(new AggregateError([])), 'AggregateError')
  assert.is(reason('text'), 'text')
  assert.is(reason(undefined), 'undefined')
})
findings.run()

const LIB = path.join(ROOT, 'scripts/lib')
const FOLDER = projectFolder({
  'x.mts': `import { runCommand } from '${LIB}/command/command.mts'
import { configError } from '${LIB}/common/findings.mts'
const finding = { severity: 'warning', code: 'ODD', subject: 'it', found: 'this', expected: 'that', hint: 'do' }
await runCommand({
  name: './x.mts', summary: 'Does a thing.', example: './x.mts', exitCodes: { 0: 'a', 1: 'b', 2: 'c', 3: 'd' },
  options: { how: { type: 'string', value: 'HOW', help: 'how it ends', default: 'good' } },
  run: async ({ options, log }) => {
    log('working')
    if (options.how === 'declined') return { findings: [], text: 'not done', exitCode: 1 }
    if (options.how === 'refused') throw configError([finding])
    if (options.how === 'broken') throw new TypeError('a defect')
    if (options.how === 'long') return { findings: [], text: 'x'.repeat(1e6), data: { long: 'x'.repeat(1e6) } }
    return { findings: options.how === 'odd' ? [finding] : [], text: 'done', data: { how: options.how } }
  },
})
`,
})
const run = (...args: string[]) => runFile(path.join(LIB, 'run'), [path.join(FOLDER, 'x.mts'), ...args])

const command = suite('runCommand')

command('puts data on stdout and progress on stderr', async () => {
  assert.equal(await run(), { exitCode: 0, stdout: 'done\n', stderr: 'working\n' })
  const odd = 'done\n! it: found this, expected that [ODD]\n    → do\n'
  assert.equal(await run('--how', 'odd'), { exitCode: 0, stdout: odd, stderr: 'working\n' })
})

command('prints one JSON object from the same findings', async () => {
  const { exitCode, stdout } = await run('--json', '--how', 'odd')
  const { severity, code, subject, found, expected, hint } = JSON.parse(stdout).findings[0]
  assert.is(exitCode, 0)
  assert.equal(JSON.parse(stdout), {
    version: 1,
    command: './x.mts',
    exitCode: 0,
    how: 'odd',
    findings: [{ severity, code, subject, found, expected, hint }],
  })
  assert.equal([severity, code, hint], ['warning', 'ODD', 'do'])
})

command('uses the exit code of the command if the findings do not determine it', async () => {
  assert.equal(await run('--how', 'declined'), { exitCode: 1, stdout: 'not done\n', stderr: 'working\n' })
})

command('reports failures on stderr, with --json on stdout', async () => {
  const refused = await run('--how', 'refused')
  assert.equal([refused.exitCode, refused.stdout], [2, ''])
  assert.match(refused.stderr, 'it: found this, expected that [ODD]')
  assert.not.match(refused.stderr, /\n\s+at /)
  const json = await run('--how', 'refused', '--json')
  assert.equal([json.exitCode, json.stderr, JSON.parse(json.stdout).exitCode], [2, 'working\n', 2])
})

command('reports wrong use with exit code 2, as text and as JSON', async () => {
  const { exitCode, stdout, stderr } = await run('--bad')
  assert.equal([exitCode, stdout], [2, ''])
  assert.match(stderr, '--bad: unknown flag [USAGE]\n    → ./x.mts --help')
  assert.is(JSON.parse((await run('--bad', '--json')).stdout).findings[0].subject, '--bad')
})

command('reports an internal error as such, with the stack and exit code 3', async () => {
  const { exitCode, stderr } = await run('--how', 'broken')
  assert.is(exitCode, 3)
  assert.match(stderr, /TypeError: a defect\n\s+at /)
  assert.match(stderr, 'this is a bug in the command')
})

command('shows its help without doing anything', async () => {
  const { exitCode, stdout, stderr } = await run('--help')
  assert.equal([exitCode, stderr], [0, ''])
  assert.match(stdout, /^Usage: \.\/x\.mts \[options\]\n/)
})

command('writes long output completely', async () => {
  assert.is((await run('--how', 'long')).stdout.length, 1_000_001)
  assert.is(JSON.parse((await run('--how', 'long', '--json')).stdout).long.length, 1_000_000)
})

command('ignores a reader that closes the pipe early', async () => {
  for (const stream of ['stdout', 'stderr'] as const) {
    const child = spawn(path.join(LIB, 'run'), [path.join(FOLDER, 'x.mts'), '--how', 'long'], { stdio: 'pipe' })
    let other = ''
    child[stream === 'stdout' ? 'stderr' : 'stdout'].on('data', (chunk) => {
      other += chunk
    })
    child[stream].destroy()
    const exitCode = await new Promise((resolve) => child.once('close', resolve))
    assert.equal([exitCode, other.length], [0, stream === 'stdout' ? 'working\n'.length : 1_000_001], stream)
  }
})
command.run()
