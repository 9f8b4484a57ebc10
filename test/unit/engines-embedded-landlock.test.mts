import { spawn } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { confinementFindings } from '../../scripts/lib/engines/embedded/landlock.mts'

const confinement = suite('confinementFindings')

for (const [files, codes] of [
  ['own', ['EMBEDDED_UNCONFINED']],
  ['confined', []],
  ['all', []],
] as const) {
  confinement(`a process launched with "${files}" files: ${codes[0] ?? 'nothing'}`, () => {
    const { pid = 0 } = spawn('sleep', ['60'], { env: { ...process.env, L2_CLICKHOUSE_FILES: files } })
    try {
      assert.equal(
        confinementFindings([{ name: 'clickhouse', pid }]).map(({ code }) => code),
        codes,
      )
    } finally {
      process.kill(pid)
    }
  })
}

confinement('a process that has ended, and a stack without ClickHouse, give nothing', () => {
  assert.equal(confinementFindings([{ name: 'clickhouse', pid: 2 ** 22 + 1 }]), [])
  assert.equal(confinementFindings([]), [])
})
confinement.run()
