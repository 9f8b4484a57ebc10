import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readTextFile } from '../../scripts/lib/common/text-file.mts'
import { projectFolder } from '../support/project.mts'

const folder = projectFolder({ plain: 'A=é\r\n', empty: '', 'latin-1': '', utf16: '', exact: 'x'.repeat(1_048_576) })
const at = (name: string) => path.join(folder, name)
writeFileSync(at('latin-1'), Buffer.from('é', 'latin1'))
writeFileSync(at('utf16'), Buffer.from('\uFEFFA=1', 'utf16le'))
writeFileSync(at('large'), 'x'.repeat(1_048_577))
execFileSync('mkfifo', [at('pipe')])
mkdirSync(at('folder'))
symlinkSync('plain', at('link'))
symlinkSync('gone', at('dangling'))
symlinkSync('circle', at('circle'))
symlinkSync('pipe', at('link-to-pipe'))

const reading = suite('readTextFile')

reading('returns the text, through links too', () => {
  assert.is(readTextFile(at('plain')), 'A=é\r\n')
  assert.is(readTextFile(at('link')), 'A=é\r\n')
  assert.is(readTextFile(at('empty')), '')
  assert.is(readTextFile(at('exact'))?.length, 1_048_576)
  assert.match(readTextFile('/proc/self/status') ?? '', /^Name:/)
})

reading('returns undefined if there is nothing', () => {
  assert.is(readTextFile(at('gone')), undefined)
  assert.is(readTextFile(at('gone/too')), undefined)
})

const REFUSED: [string, string][] = [
  ['folder', 'a folder'],
  ['pipe', 'a named pipe'],
  ['link-to-pipe', 'a named pipe'],
  ['dangling', 'a symbolic link to a file that does not exist'],
  ['circle', 'a symbolic link that points to itself'],
  ['plain/too', 'a path with a component that is not a folder'],
  ['x'.repeat(300), 'a name that is too long'],
  ['large', 'more than 1048576 bytes'],
  ['latin-1', 'bytes that are not UTF-8'],
  ['utf16', 'bytes that are not UTF-8'],
]
for (const [name, message] of REFUSED) {
  reading(`refuses ${message}: ${name.slice(0, 20)}`, () => {
    assert.throws(
      () => readTextFile(at(name)),
      (error: Error) => error.message === message,
    )
  })
}

reading('refuses devices, including endless ones', () => {
  for (const device of ['/dev/zero', '/dev/null']) assert.throws(() => readTextFile(device), /^a device$/)
})

reading('refuses a socket', async () => {
  const server = createServer().listen(at('socket'))
  await new Promise((resolve) => server.once('listening', resolve))
  assert.throws(() => readTextFile(at('socket')), /^a socket or a device$/)
  server.close()
})

const asRoot = process.getuid?.() === 0 ? reading : reading.skip
asRoot('refuses what its user may not read', () => {
  chmodSync(folder, 0o755)
  writeFileSync(at('secret'), 'x', { mode: 0o600 })
  process.seteuid?.(65_534)
  try {
    assert.throws(() => readTextFile(at('secret')), /^a file that this user may not read$/)
  } finally {
    process.seteuid?.(0)
  }
})
reading.run()
