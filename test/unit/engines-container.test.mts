import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { machineFindings } from '../../scripts/lib/engines/container.mts'
import type { Container } from '../../scripts/lib/engines/inspect.mts'

const MIB = 1024 ** 2
const container = (service: string, memoryLimit: number): Container => ({
  service,
  name: `l2_${service}`,
  state: 'running',
  health: 'healthy',
  exitCode: 0,
  oomKilled: false,
  restarts: 0,
  error: '',
  healthOutput: '',
  memoryLimit,
  logSince: '',
})
const containers = [container('kafka', 560 * MIB), container('redis', 2880 * MIB)]

const machine = suite('machineFindings')

machine('warns of a machine with less memory than the sum of the limits', () => {
  assert.equal(machineFindings(containers, 3439 * MIB), [
    {
      severity: 'warning',
      code: 'MACHINE_MEMORY',
      subject: 'memory of the machine',
      found: '3439 MB',
      expected: "3440 MB, the sum of the containers' memory limits",
      hint: 'lower REDIS_MAX_MEMORY and REDIS_MEMORY_LIMIT in .env, then: docker-compose up -d; or add memory to the machine',
    },
  ])
})

machine('returns nothing for enough memory, unknown memory, or no containers', () => {
  assert.equal(machineFindings(containers, 3440 * MIB), [])
  assert.equal(machineFindings(containers, undefined), [])
  assert.equal(machineFindings([], 1), [])
})
machine.run()
