/** Nothing that a store acknowledged is lost, whatever happens to the containers, and every one of them comes back by itself. */
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
import { type Note, proof } from './proof.mts'
import { prepare, readAll, STORES, startWriter, type Writer, writeSome } from './writer.mts'

const { test, run } = proof('data survives')
const everything: Writer['acknowledged'] = { kafka: [], clickhouse: [], redis: [] }

function remember(acknowledged: Writer['acknowledged']): void {
  for (const store of STORES) everything[store].push(...acknowledged[store])
}

/** Every number that was ever acknowledged is still there. */
async function nothingLost(note: Note): Promise<void> {
  const found = await readAll()
  for (const store of STORES) {
    const lost = everything[store].filter((id) => !found[store].has(id))
    assert.equal(lost, [], `${store} lost ${lost.length} of ${everything[store].length}`)
  }
  note(
    `acknowledged and still there: ${everything.kafka.length} records, ${everything.clickhouse.length} rows, ${everything.redis.length} keys`,
  )
}

/** Runs `disturb` in the middle of a light load and checks that the stack heals by itself. */
async function survives(note: Note, disturb: () => Promise<Partial<Record<Service, string>>>): Promise<void> {
  const writer = startWriter()
  await delay(1_000)
  const before = await disturb()
  note(`healthy again by itself after ${(await healthyAgain(before)).toFixed(1)} s`)
  const counts = STORES.map((store) => writer.acknowledged[store].length)
  const silent = () => STORES.filter((store, index) => writer.acknowledged[store].length <= (counts[index] ?? 0))
  await waitUntil(async () => silent().length === 0, { timeoutMs: 30_000, pollMs: 50 })
  await writer.stop()
  assert.equal(silent(), [], 'each takes writes again')
  remember(writer.acknowledged)
  await nothingLost(note)
}

test('a `down` and an `up`', async (note) => {
  writeEnv()
  await up()
  await prepare()
  remember(await writeSome(50))
  await compose('down')
  note(`healthy ${(await up()).toFixed(1)} s after the \`up\``)
  await nothingLost(note)
})

for (const service of SERVICES) {
  test(`a restart of ${service}`, (note) =>
    survives(note, async () => {
      const { StartedAt } = (await inspect(service)).State
      await compose('restart', service)
      return { [service]: StartedAt }
    }))
}

for (const service of SERVICES) {
  test(`kill -9 of ${service}`, (note) => survives(note, () => crash(service)))
}

test('kill -9 of ZooKeeper and Kafka together', (note) => survives(note, () => crash('zookeeper', 'kafka')))

test('kill -9 of Kafka twice within its session time-out', (note) =>
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
