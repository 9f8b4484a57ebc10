/** Nothing that a store acknowledged is lost, whatever happens to the containers, and all of them recover without help. */
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import {
  compose,
  crash,
  healthyAgain,
  inspect,
  removeStack,
  SERVICES,
  type Service,
  up,
  VOLUMES,
  volumes,
  writeEnv,
} from './engine.mts'
import { type Note, reportedSuite } from './suite.mts'
import { prepare, readAll, STORES, startWriter, type Writer, writeSome } from './writer.mts'

const { test, run } = reportedSuite('durability')
const everything: Writer['acknowledged'] = { kafka: [], clickhouse: [], redis: [] }

function remember(acknowledged: Writer['acknowledged']): void {
  for (const store of STORES) everything[store].push(...acknowledged[store])
}

/** Checks that every number ever acknowledged is still stored. */
async function nothingLost(note: Note): Promise<void> {
  const found = await readAll()
  for (const store of STORES) {
    const lost = everything[store].filter((id) => !found[store].has(id))
    assert.equal(lost, [], `${store} lost ${lost.length} of ${everything[store].length}`)
  }
  note(
    `acknowledged and still stored: ${everything.kafka.length} records, ${everything.clickhouse.length} rows, ${everything.redis.length} keys`,
  )
}

/** Calls `disturb` during a light load, and checks that the stack recovers without help. */
async function survives(note: Note, disturb: () => Promise<Partial<Record<Service, string>>>): Promise<void> {
  const writer = startWriter()
  await delay(1_000)
  const before = await disturb()
  note(`recovered without help after ${(await healthyAgain(before)).toFixed(1)} s`)
  const counts = STORES.map((store) => writer.acknowledged[store].length)
  const silent = () => STORES.filter((store, index) => writer.acknowledged[store].length <= (counts[index] ?? 0))
  await waitUntil(async () => silent().length === 0, { timeoutMs: 30_000, pollMs: 50 })
  await writer.stop()
  assert.equal(silent(), [], 'stores that accept no writes')
  remember(writer.acknowledged)
  await nothingLost(note)
}

test('no data is lost by a `down` and an `up`', async (note) => {
  writeEnv()
  await up()
  await prepare()
  remember(await writeSome(50))
  await compose('down')
  note(`healthy ${(await up()).toFixed(1)} s after the \`up\``)
  await nothingLost(note)
})

for (const service of SERVICES) {
  test(`no data is lost by a restart of ${service}`, (note) =>
    survives(note, async () => {
      const { StartedAt } = (await inspect(service)).State
      await compose('restart', service)
      return { [service]: StartedAt }
    }))
}

for (const service of SERVICES) {
  test(`no data is lost by kill -9 of ${service}`, (note) => survives(note, () => crash(service)))
}

test('no data is lost by kill -9 of ZooKeeper and Kafka together', (note) =>
  survives(note, () => crash('zookeeper', 'kafka')))

test('no data is lost by two kill -9 of Kafka within its session timeout', (note) =>
  survives(note, async () => {
    const first = await crash('kafka')
    const startMs = Date.now()
    const again = async () => {
      const { StartedAt, Status } = (await inspect('kafka')).State
      return StartedAt !== first.kafka && Status === 'running'
    }
    assert.ok(await waitUntil(again, { timeoutMs: 30_000, pollMs: 50 }))
    const second = await crash('kafka')
    note(`second kill ${((Date.now() - startMs) / 1000).toFixed(1)} s after the first`)
    return second
  }))

test('`down -v` leaves no volume, named or anonymous', async () => {
  assert.equal(await volumes(), VOLUMES)
  await removeStack()
  assert.equal(await volumes(), [])
})

run()
