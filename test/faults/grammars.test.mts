/** Invalid input as data: each case in cases/*.yml lists its exact messages and exit code. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { OpsError, sentence } from '../../scripts/lib/common/findings.mts'
import { parseTime } from '../../scripts/lib/common/time.mts'
import { openRecordings } from '../../scripts/lib/replay/files.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { readDeclaredTopics } from '../../scripts/lib/topics/file.mts'
import { runScript } from '../support/command.mts'
import { cleanEnv, projectFolder } from '../support/project.mts'

interface Case {
  input: string
  /** Findings as `subject: found … [CODE]`, or the error of a line. */
  says: string[]
  exitCode: number
}

interface Outcome {
  says: string[]
  exitCode: number
}

const TEMPLATE = readFileSync(path.join(ROOT, '.env.template'), 'utf8')
const SETTINGS = readSettings({})

/** Returns the findings with which `read` fails, or none if it accepts the input. */
async function outcomeOf(read: () => unknown): Promise<Outcome> {
  try {
    await read()
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    return { says: error.findings.map((each) => `${sentence(each)} [${each.code}]`), exitCode: error.exitCode }
  }
  return { says: [], exitCode: 0 }
}

/** Returns the errors of a recording's lines. `replay --strict` stops at the first of them with exit code 1. */
async function recordingOf(content: string): Promise<Outcome> {
  const file = path.join(projectFolder({ 'x.csv': content }), 'x.csv')
  const mistakes: string[] = []
  const outcome = await outcomeOf(async () => {
    for (const { entries } of await openRecordings([file], { kind: undefined, log: () => {} }, SETTINGS))
      for await (const batch of entries)
        for (const entry of batch) if ('mistake' in entry) mistakes.push(`${entry.line}: ${entry.mistake}`)
  })
  if (mistakes.length > 0) return { says: mistakes, exitCode: 1 }
  return { ...outcome, says: outcome.says.map((text) => text.replace(file, 'x.csv')) }
}

function timeOf(text: string): Outcome {
  try {
    parseTime(text)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { says: [error.message], exitCode: 1 }
  }
  return { says: [], exitCode: 0 }
}

/** Puts something other than readable text at the path of a file. */
const PLACED: Record<string, (file: string) => void> = {
  folder: (file) => mkdirSync(file),
  pipe: (file) => execFileSync('mkfifo', [file]),
  'dangling link': (file) => symlinkSync('gone', file),
  'circular link': (file) => symlinkSync(path.basename(file), file),
  'link to /dev/zero': (file) => symlinkSync('/dev/zero', file),
  '1 MiB and a byte': (file) => writeFileSync(file, 'x'.repeat(1_048_577)),
  'Latin-1': (file) => writeFileSync(file, Buffer.from('# é\n', 'latin1')),
  'UTF-16': (file) => writeFileSync(file, Buffer.from('\uFEFFREDIS_PORT=1\n', 'utf16le')),
}

/** Reads a file of a kind, given as `KIND as FILE`. */
function placedOutcome(input: string): Promise<Outcome> {
  const [kind = '', name = ''] = input.split(' as ')
  const folder = projectFolder(name === '.env' ? { '.env.template': TEMPLATE } : {})
  const file = path.join(folder, name)
  PLACED[kind]?.(file)
  return outcomeOf(() => (name === 'topics.yml' ? readDeclaredTopics(SETTINGS, file) : readSettings({}, folder))).then(
    ({ says, exitCode }) => ({ says: says.map((text) => text.replace(file, name)), exitCode }),
  )
}

/** Runs a command as typed, without quotes. */
async function commandOutcome(input: string): Promise<Outcome> {
  const [script = '', ...args] = input.split(' ')
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env: cleanEnv(), timeoutMs: 60_000 })
  const { findings } = JSON.parse(stdout) as { findings: { subject: string; found: string; code: string }[] }
  const says = findings.map((each) => `${sentence({ severity: 'error', hint: '', ...each })} [${each.code}]`)
  return { says, exitCode: exitCode ?? -1 }
}

async function settingsOutcome(input: string): Promise<Outcome> {
  const { says, exitCode } = await outcomeOf(() =>
    readSettings({}, projectFolder({ '.env': input, '.env.template': TEMPLATE })),
  )
  // Line numbers of the template do not depend on the input.
  return { says: says.map((text) => text.replace(/\.env\.template:\d+/, '.env.template:N')), exitCode }
}

const GRAMMARS: Record<string, (input: string) => Outcome | Promise<Outcome>> = {
  env: settingsOutcome,
  interpolation: settingsOutcome,
  settings: settingsOutcome,
  topics: async (input) => {
    const file = path.join(projectFolder({ 'topics.yml': input }), 'topics.yml')
    const { says, exitCode } = await outcomeOf(() => readDeclaredTopics(SETTINGS, file))
    return { says: says.map((text) => text.replaceAll(file, 'topics.yml')), exitCode }
  },
  csv: recordingOf,
  times: timeOf,
  files: placedOutcome,
  flags: commandOutcome,
}

const CASES = path.join(ROOT, 'test/faults/cases')
for (const file of readdirSync(CASES).sort()) {
  const grammar = path.basename(file, '.yml')
  const cases = suite(grammar)
  const run = GRAMMARS[grammar]
  for (const { input, ...expected } of parse(readFileSync(path.join(CASES, file), 'utf8')) as Case[]) {
    cases(JSON.stringify(input), async () => assert.equal(await run?.(input), expected))
  }
  cases.run()
}
