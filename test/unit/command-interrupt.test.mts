import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from '../../scripts/lib/settings/settings.mts'

const interrupts = suite('interrupt')
const folder = mkdtempSync(path.join(tmpdir(), 'l2-interrupt-'))
const file = path.join(folder, 'tidies-up.mts')
writeFileSync(
  file,
  `import { onInterrupt } from '${ROOT}/scripts/lib/command/interrupt.mts'
setTimeout(() => process.exit(9), 20_000)
onInterrupt(() => {
  console.log('tidying up')
  setTimeout(() => process.exit(5), Number(process.env.TIDY_MS))
})
console.log('ready')
`,
)
interrupts.after(() => rmSync(folder, { recursive: true }))

/** Sends two signals with this delay between them to such a process. Returns how it exited and its output. */
async function interruptTwice(tidyMs: number, betweenMs: number) {
  const child = spawn(path.join(ROOT, 'scripts/lib/run'), [file], { env: { ...process.env, TIDY_MS: String(tidyMs) } })
  let printed = ''
  child.stdout.on('data', (chunk) => {
    printed += chunk
  })
  const seen = async (text: string) => {
    while (!printed.includes(text)) await once(child.stdout, 'data')
  }
  await seen('ready\n')
  child.kill('SIGINT')
  await seen('tidying up\n')
  await delay(betweenMs)
  child.kill('SIGINT')
  const [exitCode, signal] = await once(child, 'close')
  return { exitCode, signal, printed }
}

interrupts('treats the second signal of one Ctrl-C, which npm sends, as the same', async () => {
  const { exitCode, signal, printed } = await interruptTwice(300, 0)
  assert.equal([exitCode, signal, printed], [5, null, 'ready\ntidying up\n'])
})

interrupts('ends immediately at a later one', async () => {
  const { exitCode, signal } = await interruptTwice(15_000, 700)
  assert.equal([exitCode, signal], [null, 'SIGINT'])
})

interrupts.run()
