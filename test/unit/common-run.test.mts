import { chmodSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findCommand, run } from '../../scripts/lib/common/run.mts'
import { bornAt } from '../../scripts/lib/engines/embedded/processes.mts'
import { projectFolder } from '../support/project.mts'

const running = suite('run')

running('returns exit code and both outputs, and passes arguments unchanged', async () => {
  const odd = ['a b', '$HOME', '*', "'", '"', '']
  const { ok, exitCode, stdout, stderr } = await run([
    'sh',
    '-c',
    'printf "<%s>" "$@"; echo no >&2; exit 3',
    '',
    ...odd,
  ])
  assert.equal([ok, exitCode, stdout.trim(), stderr], [false, 3, odd.map((arg) => `<${arg}>`).join(''), 'no\n'])
  assert.equal(await run(['true']), { ok: true, exitCode: 0, stdout: '', stderr: '' })
})

running('passes no input, and the given folder and variables', async () => {
  const folder = projectFolder()
  const { stdout } = await run(['sh', '-c', 'cat; pwd -P; echo "$A"'], { cwd: folder, env: { ...process.env, A: 'x' } })
  assert.equal(stdout, `${folder}\nx\n`)
})

running('returns 127 for a missing program', async () => {
  const { ok, exitCode } = await run(['no-such-program'])
  assert.equal([ok, exitCode], [false, 127])
})

running('kills a program that takes too long, with its children, even if it ends well at SIGTERM', async () => {
  const script = 'trap "exit 0" TERM; sleep 60 & echo $!; wait'
  const { ok, exitCode, stdout, stderr } = await run(['sh', '-c', script], { timeoutMs: 500 })
  assert.equal([ok, exitCode, stderr], [false, null, 'no answer within 0.5 s'])
  assert.is(bornAt(Number(stdout)), undefined)
})

running('kills a program that prints too much', async () => {
  const { ok, exitCode, stderr } = await run(['yes'], { maxBytes: 1000, timeoutMs: 60_000 })
  assert.equal([ok, exitCode, stderr], [false, null, 'more than 1000 bytes of output'])
})
running.run()

const finding = suite('findCommand')

finding('searches the PATH that it is given', async () => {
  const folder = projectFolder({ tool: '#!/bin/sh\n' })
  assert.is(await findCommand('tool', { PATH: folder }), undefined)
  chmodSync(path.join(folder, 'tool'), 0o755)
  assert.is(await findCommand('tool', { PATH: `/nonexistent:${folder}` }), path.join(folder, 'tool'))
  assert.is(await findCommand('tool', {}), undefined)
})
finding.run()
