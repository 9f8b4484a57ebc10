/** The launcher of every command: works from any folder and for any user, with a cache in which no other user can place code. */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { projectFolder } from '../support/project.mts'

/** Creates a clone with the files that `--help` needs, readable by every user. */
function clone(): string {
  const root = projectFolder()
  chmodSync(root, 0o755)
  for (const part of [
    'scripts',
    ...['jiti', 'zx', 'dotenv', 'fastest-levenshtein'].map((name) => `node_modules/${name}`),
  ])
    cpSync(path.join(ROOT, part), path.join(root, part), { recursive: true, dereference: true })
  return root
}

/** Creates an empty folder that every user may write to, like the system's temporary folder. */
function temporaryFolder(): string {
  const folder = projectFolder()
  chmodSync(folder, 0o1777)
  return folder
}

const NOBODY = { uid: 65_534, gid: 65_534 }
/** Whether this process may switch to another user who may run this Node.js. */
const canSwitch = process.getuid?.() === 0 && spawnSync(process.execPath, ['-e', '0'], NOBODY).status === 0
const HELP = /^Usage: \.\/scripts\/health-check\.mts \[options\]\n/

const runner = suite('scripts/lib/run')

runner('keeps its cache inside node_modules, from any folder', async () => {
  const [root, temporary] = [clone(), temporaryFolder()]
  const script = path.join(root, 'scripts/health-check.mts')
  const { exitCode, stdout, stderr } = await runFile(script, ['--help'], {
    cwd: '/',
    env: { ...process.env, TMPDIR: temporary },
  })
  assert.equal([exitCode, stderr], [0, ''])
  assert.match(stdout, HELP)
  assert.equal(readdirSync(temporary), [])
  assert.ok(existsSync(path.join(root, 'node_modules/.cache')))
})

runner('keeps nothing in a read-only clone', async () => {
  const [root, temporary] = [clone(), temporaryFolder()]
  mkdirSync(path.join(root, 'node_modules/.cache'))
  for (const folder of ['node_modules/.cache', 'node_modules', '.']) chmodSync(path.join(root, folder), 0o555)
  const { status, stdout, stderr } = spawnSync(path.join(root, 'scripts/health-check.mts'), ['--help'], {
    cwd: '/',
    env: { PATH: process.env.PATH, TMPDIR: temporary },
    encoding: 'utf8',
    ...(canSwitch ? NOBODY : {}),
  })
  assert.equal([status, stderr], [0, ''])
  assert.match(stdout, HELP)
  // Root can write even to read-only folders.
  if (canSwitch || process.getuid?.() !== 0) assert.equal(readdirSync(path.join(root, 'node_modules/.cache')), [])
  assert.equal(readdirSync(temporary), [])
  for (const folder of ['.', 'node_modules', 'node_modules/.cache']) chmodSync(path.join(root, folder), 0o755)
})

runner('exits 3 with one line if nothing can be written', async () => {
  const script = path.join(ROOT, 'scripts/health-check.mts')
  const run = (redirection: string) => runFile('/bin/sh', ['-c', `'${script}' --help ${redirection}`])
  const closed = await run('>&-')
  assert.equal([closed.exitCode, closed.stderr], [3, 'Cannot run health-check.mts: standard output is closed\n'])
  if (!existsSync('/dev/full')) return
  const full = await run('>/dev/full')
  assert.is(full.exitCode, 3)
  assert.match(full.stderr, /^Cannot write to standard output: ENOSPC.*\n$/)
  assert.is((await run('2>/dev/full')).exitCode, 0)
})

runner('exits 3 with the reason in a deleted folder', async () => {
  const folder = projectFolder()
  const script = path.join(ROOT, 'scripts/health-check.mts')
  const { exitCode, stdout, stderr } = await runFile('/bin/sh', ['-c', `rmdir "$PWD" && '${script}' --help`], {
    cwd: folder,
  })
  assert.equal([exitCode, stdout], [3, ''])
  // The shell prints its own message first.
  assert.match(stderr, /Cannot run health-check\.mts: the working directory no longer exists\n$/)
})

runner('exits 3 with one line if a script waits for something that never happens', async () => {
  const folder = projectFolder({
    'waits.mts': 'await new Promise(() => {})\n',
    'ends.mts': 'await Promise.resolve()\n',
  })
  const run = (file: string) => runFile(path.join(ROOT, 'scripts/lib/run'), [path.join(folder, file)])
  const waits = await run('waits.mts')
  assert.equal([waits.exitCode, waits.stdout], [3, ''])
  assert.match(waits.stderr, /^Cannot finish waits\.mts: it waits for something that never happens.*\n$/)
  assert.equal(await run('ends.mts'), { exitCode: 0, stdout: '', stderr: '' })
})

runner.run()
