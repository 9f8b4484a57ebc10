/**
 * Copies tables into a declared layout that ClickHouse cannot change in place, a piece at a time. The old tables are kept. A run that was
 * interrupted is gone on with by the next, from the piece that it was at.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { ANY_SIZE, dropTable } from '../clickhouse/sql.mts'
import { configError, error, OpsError } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { readSchemaPlan } from './read.mts'
import {
  blocksOf,
  isOther,
  type Marks,
  markOf,
  type Partition,
  planPieces,
  readMarks,
  readPartitions,
  readSource,
  rowsIn,
} from './rebuild-chunks.mts'
import { createCopy, type Origin, readOrigin } from './rebuild-copy.mts'
import { copyPieces, estimate, type Work } from './rebuild-fill.mts'
import { dropStaging, moveFilled, readState, rebuildError, type State, saveState, takeOver } from './rebuild-state.mts'

type RebuildOptions = Pick<Work, 'timeoutMs' | 'log'>

/**
 * Copies the named tables into the layout that clickhouse/init declares and puts the copies in their place.
 * @returns a line for each, with where its old table is
 * @throws {OpsError} exit code 2 for a table that needs no rebuild, and on a cluster, 1 when rows arrived meanwhile or the disk is too small
 */
export async function rebuildTables(
  settings: Settings,
  names: readonly string[],
  options: RebuildOptions,
): Promise<string[]> {
  if (names.length === 0) return []
  refuseCluster(settings, '--rebuild')
  return withClickHouse(settings, options.timeoutMs, async (client) => {
    const placed = new Map<string, string>()
    for (const name of names) {
      // The copy is in place, and what follows was cut off.
      const state = await readState(client, name)
      if (state?.placing) placed.set(name, await finishPlacing(client, name, state))
    }
    const { impossible } = await readSchemaPlan(client, settings)
    const possible = [...new Set(impossible.filter(({ what }) => what !== 'kind').map(({ name }) => name))]
    const wrong = names.filter((name) => !possible.includes(name) && !placed.has(name))
    if (wrong.length > 0) throw configError(wrong.map((name) => notNeeded(name, possible)))
    const rebuilt = [...placed.values()]
    for (const name of new Set(names))
      if (possible.includes(name)) rebuilt.push(await rebuild(client, settings, name, options))
    return rebuilt
  })
}

function notNeeded(name: string, possible: string[]) {
  const hint = './scripts/apply-schema.mts --dry-run'
  const expected = possible.join(' ') || 'no table: none needs it'
  return error('USAGE', `--rebuild ${name}`, { found: 'a table that needs no rebuild', expected, hint })
}

async function rebuild(client: ClickHouseClient, settings: Settings, name: string, options: RebuildOptions) {
  const copy = `${name}_rebuilt`
  const state = await openCopy(client, settings, copy, await readOrigin(client, settings, name), options.log)
  try {
    const source = await readSource(client, name, copy)
    return await copyAndPlace({ ...options, client, settings, source, copy, state })
  } catch (failure) {
    // The server is there, and nothing that a next run could go on with.
    if (failure instanceof OpsError && failure.exitCode === 1 && Object.keys(state.filled).length === 0) {
      await dropStaging(client, state)
      const isOurs = async () => (await readState(client, copy))?.run === state.run
      if (Object.keys(state.done).length === 0 && (await isOurs())) await dropTable(client, copy)
    }
    throw failure
  }
}

/** The copy as this run begins with it: new, or as far as an interrupted run has come, whose last step is finished. */
async function openCopy(
  client: ClickHouseClient,
  settings: Settings,
  copy: string,
  origin: Origin,
  log: (line: string) => void,
): Promise<State> {
  const { name } = origin.live
  const state = await readState(client, copy)
  if (state === null) {
    const found = 'a table that no rebuild of this version has left'
    throw rebuildError(copy, found, 'no such table', `compare it with ${name}, then: DROP TABLE ${copy}`)
  }
  if (state && state.from === origin.hash) {
    // Without its table, what was filled is filled again.
    if ((await readState(client, state.staging)) === undefined) state.filled = {}
    await moveFilled(client, copy, state)
    await dropStaging(client, state)
    await takeOver(client, copy, state)
    return state
  }
  if (state) {
    if (state.from !== '') log(`${name}: it or its declaration has changed since the interrupted run: from the start`)
    await dropStaging(client, state)
    await dropTable(client, copy)
  }
  return createCopy(client, settings, copy, origin)
}

async function copyAndPlace(work: Work): Promise<string> {
  const { client, settings, source, copy, state, timeoutMs } = work
  const { name } = source
  const again = `./scripts/apply-schema.mts --rebuild ${name}`
  const refuseArrivals = async () => {
    if (!isOther(await readMarks(client, name), marks)) return
    const copied = `${Object.keys(state.done).length} of ${partitions.length} partitions`
    const found = `rows that arrived during the copy, or changed; ${copied} are copied as they are now`
    throw rebuildError(name, found, 'a table that nobody writes to', `stop its writers, then: ${again}, which goes on`)
  }
  await client.command({ query: `SYSTEM STOP MERGES ${copy}` })
  const marks = await readMarks(client, name)
  const partitions = await readPartitions(settings, source, { timeoutMs })
  const pieces = planPieces(await keepProven(work, partitions, marks))
  if (pieces.length > 0) await estimate(work, pieces)
  await copyPieces(work, pieces, marks)
  await dropStaging(client, state)
  await refuseArrivals()
  const rows = await rowsIn(client, copy)
  const wrong = partitions.find(({ id }) => state.done[id] === undefined || rows.get(id) !== state.done[id][0])
  if (wrong) {
    const found = `${rows.get(wrong.id) ?? 0} rows of partition ${wrong.id} in its copy`
    throw rebuildError(name, found, `${wrong.rows}, as many as were read`, again)
  }
  const digits = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
  state.placing = { old: `${name}_before_${digits}`, blocks: blocksOf(marks) }
  await saveState(client, copy, state)
  await client.command({ query: `SYSTEM START MERGES ${copy}` })
  await refuseArrivals()
  await client.command({ query: `EXCHANGE TABLES ${name} AND ${copy}` })
  return finishPlacing(client, name, state)
}

/** What is left to do once the copy has the table's name. */
async function finishPlacing(client: ClickHouseClient, name: string, { placing, done }: State): Promise<string> {
  const { old, blocks } = placing as NonNullable<State['placing']>
  const copy = `${name}_rebuilt`
  // Cut off between EXCHANGE and RENAME, the old table still has the name of the copy.
  if ((await readState(client, copy)) !== undefined) await client.command({ query: `RENAME TABLE ${copy} TO ${old}` })
  const isThere = (await readState(client, old)) !== undefined
  const isLate = isThere && blocksOf(await readMarks(client, old)) > blocks
  await client.command({ query: `ALTER TABLE ${name} MODIFY COMMENT ''` })
  if (isLate) {
    const hint = `insert them again, or copy them from ${old}`
    throw rebuildError(old, 'rows that arrived at the last moment', `all rows in ${name}`, hint)
  }
  const rows = Object.values(done).reduce((total, [rows]) => total + rows, 0)
  return `${name}: ${rows} rows copied, the old table is ${old}`
}

/**
 * Drops from the copy what is not, or no longer, the table's: partitions in which rows have come or gone since, and those of no piece.
 * @returns the partitions to be copied
 */
async function keepProven({ client, copy, state }: Work, partitions: Partition[], marks: Marks): Promise<Partition[]> {
  const rows = await rowsIn(client, copy)
  const kept = partitions.filter((each) => {
    const [copied, mark] = state.done[each.id] ?? []
    return mark === markOf(each, marks) && copied === rows.get(each.id)
  })
  state.done = Object.fromEntries(kept.map(({ id }) => [id, state.done[id]])) as State['done']
  await saveState(client, copy, state)
  for (const id of rows.keys())
    if (!state.done[id])
      await client.command({ query: `ALTER TABLE ${copy} DROP PARTITION ID '${id}'`, clickhouse_settings: ANY_SIZE })
  return partitions.filter((each) => !kept.includes(each))
}
