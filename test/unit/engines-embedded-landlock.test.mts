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
  confinement(`reports ${codes[0] ?? 'nothing'} for a process started with "${files}" files`, () => {
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

confinement('reports nothing for an ended process and for a stack without ClickHouse', () => {
  assert.equal(confinementFindings([{ name: 'clickhouse', pid: 2 ** 22 + 1 }]), [])
  assert.equal(confinementFindings([]), [])
})
confinement.run()
