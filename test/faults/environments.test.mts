/**
 * Unusual paths of a clone or its data, and users and environments that lack something: every command works there or reports a one-line
 * error.
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { expectExit, isLong } from '../support/faults.mts'
import { stackEnv } from '../support/stack.mts'

const base = mkdtempSync(path.join(tmpdir(), 'l2-unusual-'))
const cache = path.join(ROOT, '.embedded', 'cache')
process.on('exit', () => rmSync(base, { recursive: true, force: true }))

/** Creates a clone, without history and tests, at `name` in this file's folder of clones. */
function cloneAt(name: string): string {
  const folder = path.join(base, name)
  mkdirSync(folder, { recursive: true })
  for (const entry of [
    'scripts',
    'clickhouse',
    'kafka',
    'redis',
    'zookeeper',
    'embedded',
    'docker-compose.yml',
    '.env.template',
    'package.json',
  ])
    cpSync(path.join(ROOT, entry), path.join(folder, entry), { recursive: true })
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  mkdirSync(path.join(folder, '.embedded'))
  symlinkSync(cache, path.join(folder, '.embedded', 'cache'))
  return folder
}

async function envIn(folder: string, more: NodeJS.ProcessEnv = {}): Promise<NodeJS.ProcessEnv> {
  const env: NodeJS.ProcessEnv = {
    ...(await stackEnv({ EMBEDDED_DATA_DIR: path.join(folder, '.embedded', 'data') })),
    NO_COLOR: '1',
    ...more,
  }
  env.DOCKER_HOST = 'unix:///nonexistent/docker.sock'
  return env
}

const run = (folder: string, script: string, args: string[], env: NodeJS.ProcessEnv, cwd = folder) =>
  runFile(path.join(folder, 'scripts', script), args, { env, cwd, timeoutMs: 240_000 })

const unusual = suite('unusual paths and environments')

const NAMES = [
  'with spaces and (brackets)',
  `quotes ' and " and \` in it`,
  '$HOME and ${PATH} %s %41 \\n',
  'Jürgen 市場 🦊',
  'a:b;c&d|e#f',
  '-leading dash, and a comma',
  path.join('x'.repeat(100), 'y'.repeat(99)),
]

for (const name of isLong ? NAMES : NAMES.filter((_, index) => index % 2 === 1 || index === NAMES.length - 1)) {
  unusual(`a clone under ${name.slice(0, 40)} starts, serves and stops, or is refused in one line`, async () => {
    const folder = cloneAt(name)
    const env = await envIn(folder)
    const started = await run(folder, 'start.mts', ['--embedded'], env)
    if (name.includes('\\')) {
      // Node.js itself cannot load packages from such a path.
      assert.is(started.exitCode, 3)
      assert.match(started.stderr, /^Cannot run start\.mts: its path contains a backslash, .+\n$/)
      return rmSync(folder, { recursive: true })
    }
    expectExit('start', started, [0, 2, 3])
    if (started.exitCode === 0) {
      expectExit('health', await run(folder, 'health-check.mts', ['--deep'], env), [0])
      expectExit('schema', await run(folder, 'apply-schema.mts', ['--dry-run'], env), [0])
      expectExit('replay', await run(folder, 'replay.mts', ['--generate', '--fast', '--count', '100'], env), [0])
    }
    const stopped = await run(folder, 'stop.mts', [], env)
    expectExit('stop', stopped, [0])
    if (started.exitCode !== 0) assert.match(stopped.stdout, /Nothing was running/)
    rmSync(folder, { recursive: true })
  })
}

const COMMANDS: [script: string, ...args: string[]][] = [
  ['health-check.mts', '--timeout', '1'],
  ['check-ports.mts'],
  ['create-topics.mts', '--dry-run', '--timeout', '1'],
  ['apply-schema.mts', '--dry-run', '--timeout', '1'],
  ['ingest.mts', 'status', '--timeout', '1'],
  ['reset-kafka.mts', '--dry-run', '--timeout', '1'],
  ['replay.mts', '--generate', '--fast', '--count', '1', '--timeout', '1'],
  ['stop.mts'],
]

unusual('without HOME, and with an empty environment', async () => {
  const { PATH, ...rest } = await envIn(base)
  const settings = Object.entries(rest).filter(([name]) => !(name in process.env))
  for (const [script, ...args] of COMMANDS) {
    const env = { PATH, ...Object.fromEntries(settings) }
    expectExit(script, await runFile(path.join(ROOT, 'scripts', script), args, { env, timeoutMs: 60_000 }), [0, 1, 3])
  }
})

unusual('in a deleted working directory', async () => {
  const env = await envIn(base)
  for (const [script, ...args] of COMMANDS) {
    const gone = mkdtempSync(path.join(base, 'gone-'))
    const words = [path.join(ROOT, 'scripts', script), ...args].map((word) => `'${word}'`).join(' ')
    const outcome = await runFile('/bin/sh', ['-c', `rmdir '${gone}' && exec ${words}`], {
      env,
      cwd: gone,
      timeoutMs: 60_000,
    })
    assert.is(outcome.exitCode, 3)
    const lines = outcome.stderr.split('\n').filter((line) => line !== '' && !/^(sh|\/bin\/sh): /.test(line))
    assert.equal(lines, [`Cannot run ${script}: the working directory no longer exists`])
  }
})

unusual('with a missing temporary folder', async () => {
  const env = await envIn(base, { TMPDIR: '/nonexistent/tmp' })
  for (const [script, ...args] of COMMANDS)
    expectExit(script, await runFile(path.join(ROOT, 'scripts', script), args, { env, timeoutMs: 60_000 }), [0, 1, 3])
})

unusual('with a read-only clone and data folder', async () => {
  // Root can write to any folder. For root, a file at the folder's path has the same effect.
  const folder = cloneAt('read only')
  const data = path.join(folder, 'held')
  writeFileSync(data, '')
  const env = await envIn(folder, { EMBEDDED_DATA_DIR: path.join(data, 'data') })
  for (const each of ['scripts', '.']) chmodSync(path.join(folder, each), 0o555)
  expectExit('start', await run(folder, 'start.mts', ['--embedded'], env), [2, 3])
  for (const [script, ...args] of COMMANDS) expectExit(script, await run(folder, script, args, env), [0, 1, 3])
  for (const each of ['scripts', '.']) chmodSync(path.join(folder, each), 0o755)
})

unusual('with too little memory for Java, and for ClickHouse', async () => {
  const folder = cloneAt('small')
  // A heap larger than any machine's memory, and one too small for a JVM.
  for (const heap of ['9999g', '1k']) {
    const env = await envIn(folder, { KAFKA_HEAP: heap })
    const outcome = await run(folder, 'start.mts', ['--embedded'], env)
    expectExit(`KAFKA_HEAP=${heap}`, outcome, [1, 2, 3])
    assert.match(`${outcome.stdout}${outcome.stderr}`, /heap|memory/i)
    expectExit('stop', await run(folder, 'stop.mts', [], env), [0])
  }
})

unusual.run()
