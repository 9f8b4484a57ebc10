/**
 * Copies tables, chunk by chunk, into a declared layout that ClickHouse cannot change in place. Keeps the old tables. The next run resumes
 * an interrupted one at the chunk where it stopped.
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
  haveRowsChanged,
  type Marks,
  markOf,
  type Partition,
  planChunks,
  readMarks,
  readPartitions,
  readSource,
  rowsIn,
} from './rebuild-chunks.mts'
import { copyChunks, estimate, type Work } from './rebuild-copy.mts'
import { dropStaging, moveFilled, readState, rebuildError, type State, saveState, takeOver } from './rebuild-state.mts'
import { createCopy, type Origin, readOrigin } from './rebuild-target.mts'

type RebuildOptions = Pick<Work, 'timeoutMs' | 'log'>

/**
 * Copies the named tables into the layout that clickhouse/init declares, then replaces them with the copies.
 * @returns a line for each table, with the new name of the old table
 * @throws {OpsError} exit code 2 on a cluster or for a table that needs no rebuild, 1 when rows arrive meanwhile or disk space is too low
 */
export async function rebuildTables(
  settings: Settings,
  names: readonly string[],
  options: RebuildOptions,
): Promise<string[]> {
  if (names.length === 0) return []
  refuseCluster(settings, '--rebuild')
  return withClickHouse(settings, options.timeoutMs, async (client) => {
    const finished = new Map<string, string>()
    for (const name of names) {
      // An earlier run was interrupted after it replaced the table.
      const state = await readState(client, name)
      if (state?.placing) finished.set(name, await finishSwap(client, name, state))
    }
    const { impossible } = await readSchemaPlan(client, settings)
    const possible = [...new Set(impossible.filter(({ what }) => what !== 'kind').map(({ name }) => name))]
    const wrong = names.filter((name) => !possible.includes(name) && !finished.has(name))
    if (wrong.length > 0) throw configError(wrong.map((name) => notNeeded(name, possible)))
    const rebuilt = [...finished.values()]
    for (const name of new Set(names))
      if (possible.includes(name)) rebuilt.push(await rebuild(client, settings, name, options))
    return rebuilt
  })
}

function notNeeded(name: string, possible: string[]) {
  const hint = './scripts/apply-schema.mts --dry-run'
  const expected = possible.join(' ') || 'no table: none needs a rebuild'
  return error('USAGE', `--rebuild ${name}`, { found: 'a table that needs no rebuild', expected, hint })
}

async function rebuild(client: ClickHouseClient, settings: Settings, name: string, options: RebuildOptions) {
  const copy = `${name}_rebuilt`
  const state = await openCopy(client, settings, copy, await readOrigin(client, settings, name), options.log)
  try {
    const source = await readSource(client, name, copy)
    return await copyAndSwap({ ...options, client, settings, source, copy, state })
  } catch (failure) {
    // The server still answers, and no verified rows exist only in the staging table: clean up. Keep a copy that the next run can resume.
    if (failure instanceof OpsError && failure.exitCode === 1 && Object.keys(state.filled).length === 0) {
      await dropStaging(client, state)
      const isOwner = async () => (await readState(client, copy))?.run === state.run
      if (Object.keys(state.done).length === 0 && (await isOwner())) await dropTable(client, copy)
    }
    throw failure
  }
}

/** Creates the copy, or takes over the one that an interrupted run left and completes its last step. */
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
    const found = 'a table that was not created by a rebuild of this version'
    throw rebuildError(copy, found, 'no such table', `compare it with ${name}, then: DROP TABLE ${copy}`)
  }
  if (state && state.from === origin.hash) {
    // If the staging table is gone, its partitions are copied again.
    if ((await readState(client, state.staging)) === undefined) state.filled = {}
    await moveFilled(client, copy, state)
    await dropStaging(client, state)
    await takeOver(client, copy, state)
    return state
  }
  if (state) {
    if (state.from !== '') log(`${name}: the table or its declaration changed since the interrupted run; starting over`)
    await dropStaging(client, state)
    await dropTable(client, copy)
  }
  return createCopy(client, settings, copy, origin)
}

async function copyAndSwap(work: Work): Promise<string> {
  const { client, settings, source, copy, state, timeoutMs } = work
  const { name } = source
  const command = `./scripts/apply-schema.mts --rebuild ${name}`
  const refuseArrivals = async () => {
    if (!haveRowsChanged(await readMarks(client, name), marks)) return
    const copied = `${Object.keys(state.done).length} of ${partitions.length} partitions`
    const found = `rows that arrived or changed during the copy; ${copied} are copied and current`
    throw rebuildError(name, found, 'no writes to the table', `stop its writers, then resume: ${command}`)
  }
  await client.command({ query: `SYSTEM STOP MERGES ${copy}` })
  const marks = await readMarks(client, name)
  const partitions = await readPartitions(settings, source, { timeoutMs })
  const chunks = planChunks(await keepVerified(work, partitions, marks))
  if (chunks.length > 0) await estimate(work, chunks)
  await copyChunks(work, chunks, marks)
  await dropStaging(client, state)
  await refuseArrivals()
  const rows = await rowsIn(client, copy)
  const wrong = partitions.find(({ id }) => state.done[id] === undefined || rows.get(id) !== state.done[id][0])
  if (wrong) {
    const found = `${rows.get(wrong.id) ?? 0} rows of partition ${wrong.id} in its copy`
    throw rebuildError(name, found, `${wrong.rows}, as in the table`, command)
  }
  const digits = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
  state.placing = { old: `${name}_before_${digits}`, blocks: blocksOf(marks) }
  await saveState(client, copy, state)
  await client.command({ query: `SYSTEM START MERGES ${copy}` })
  await refuseArrivals()
  await client.command({ query: `EXCHANGE TABLES ${name} AND ${copy}` })
  return finishSwap(client, name, state)
}

/** Completes the swap after EXCHANGE TABLES: renames the old table and clears the state. */
async function finishSwap(client: ClickHouseClient, name: string, { placing, done }: State): Promise<string> {
  const { old, blocks } = placing as NonNullable<State['placing']>
  const copy = `${name}_rebuilt`
  // Before this RENAME, the old table has the name of the copy.
  if ((await readState(client, copy)) !== undefined) await client.command({ query: `RENAME TABLE ${copy} TO ${old}` })
  const exists = (await readState(client, old)) !== undefined
  const isLate = exists && blocksOf(await readMarks(client, old)) > blocks
  await client.command({ query: `ALTER TABLE ${name} MODIFY COMMENT ''` })
  if (isLate) {
    const hint = `insert these rows again, or copy them from ${old}`
    throw rebuildError(old, 'rows that arrived during the exchange', `all rows in ${name}`, hint)
  }
  const rows = Object.values(done).reduce((total, [rows]) => total + rows, 0)
  return `${name}: ${rows} rows copied, old table kept as ${old}`
}

/**
 * Drops outdated partitions from the copy: those whose rows have changed since, and those that the table does not have.
 * @returns the partitions still to copy
 */
async function keepVerified(
  { client, copy, state }: Work,
  partitions: Partition[],
  marks: Marks,
): Promise<Partition[]> {
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
