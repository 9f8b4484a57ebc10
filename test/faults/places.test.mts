/** Places where a clone or its data may lie, and users without what is usual: every command works there, or says in a line why not. */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { isLong, judge } from '../support/faults.mts'
import { stackEnv } from '../support/stack.mts'

const base = mkdtempSync(path.join(tmpdir(), 'l2-places-'))
const cache = path.join(ROOT, '.embedded', 'cache')
process.on('exit', () => rmSync(base, { recursive: true, force: true }))

/** A clone, without its history and tests, at `name` in the folder of this file's clones. */
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

const places = suite('places')

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
  places(`a clone under ${name.slice(0, 40)} starts, serves and stops, or is refused in one line`, async () => {
    const folder = cloneAt(name)
    const env = await envIn(folder)
    const started = await run(folder, 'start.mts', ['--embedded'], env)
    if (name.includes('\\')) {
      // Node.js itself loads no package from there.
      assert.is(started.exitCode, 3)
      assert.match(started.stderr, /^Cannot run start\.mts: its path contains a backslash, .+\n$/)
      return rmSync(folder, { recursive: true })
    }
    judge('start', started, [0, 2, 3])
    if (started.exitCode === 0) {
      judge('health', await run(folder, 'health-check.mts', ['--deep'], env), [0])
      judge('schema', await run(folder, 'apply-schema.mts', ['--dry-run'], env), [0])
      judge('replay', await run(folder, 'replay.mts', ['--generate', '--fast', '--count', '100'], env), [0])
    }
    const stopped = await run(folder, 'stop.mts', [], env)
    judge('stop', stopped, [0])
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

places('without HOME, and with an empty environment', async () => {
  const { PATH, ...rest } = await envIn(base)
  const own = Object.entries(rest).filter(([name]) => !(name in process.env))
  for (const [script, ...args] of COMMANDS) {
    const env = { PATH, ...Object.fromEntries(own) }
    judge(script, await runFile(path.join(ROOT, 'scripts', script), args, { env, timeoutMs: 60_000 }), [0, 1, 3])
  }
})

places('in a deleted working directory', async () => {
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
    const own = outcome.stderr.split('\n').filter((line) => line !== '' && !/^(sh|\/bin\/sh): /.test(line))
    assert.equal(own, [`Cannot run ${script}: the working directory no longer exists`])
  }
})

places('with a missing temporary folder', async () => {
  const env = await envIn(base, { TMPDIR: '/nonexistent/tmp' })
  for (const [script, ...args] of COMMANDS)
    judge(script, await runFile(path.join(ROOT, 'scripts', script), args, { env, timeoutMs: 60_000 }), [0, 1, 3])
})

places('with a read-only clone and data folder', async () => {
  // Root may write everything: there, a file in the folder's place has the same effect.
  const folder = cloneAt('read only')
  const data = path.join(folder, 'held')
  writeFileSync(data, '')
  const env = await envIn(folder, { EMBEDDED_DATA_DIR: path.join(data, 'data') })
  for (const each of ['scripts', '.']) chmodSync(path.join(folder, each), 0o555)
  judge('start', await run(folder, 'start.mts', ['--embedded'], env), [2, 3])
  for (const [script, ...args] of COMMANDS) judge(script, await run(folder, script, args, env), [0, 1, 3])
  for (const each of ['scripts', '.']) chmodSync(path.join(folder, each), 0o755)
})

places('with too little memory for Java, and for ClickHouse', async () => {
  const folder = cloneAt('small')
  // A heap that no machine has, and one that no JVM runs in.
  for (const heap of ['9999g', '1k']) {
    const env = await envIn(folder, { KAFKA_HEAP: heap })
    const outcome = await run(folder, 'start.mts', ['--embedded'], env)
    judge(`KAFKA_HEAP=${heap}`, outcome, [1, 2, 3])
    assert.match(`${outcome.stdout}${outcome.stderr}`, /heap|memory/i)
    judge('stop', await run(folder, 'stop.mts', [], env), [0])
  }
})

places.run()
