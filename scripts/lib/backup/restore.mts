/** Brings a whole database back from a backup: each table is read into a database of copies, proven there, and moved from there. */

import { withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { deferEnd } from '../command/interrupt.mts'
import { error, type Finding, OpsError } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { CLICKHOUSE_DISK, freeOf, lockBackups, roomFindings } from './disk-space.mts'
import { type Manifest, readManifest } from './manifest.mts'
import { ingestFindings, planRestore, type TablePlan } from './plan.mts'
import { dropScratch, tidyServer, type Work } from './server.mts'
import { digestOf, findPlace, type Place, refuseRemote, withFolder } from './server-dir.mts'
import { openShelf } from './store.mts'
import { fullName, type Part, restoreCopy } from './verification.mts'
import { define, settle } from './views.mts'

export interface RestoreRequest {
  /** As `placeOf` has it. */
  folder: string
  /** The name of a backup, or `latest`. */
  backup: string
  dryRun: boolean
  timeoutMs: number
  log: (line: string) => void
}

export interface RestoredTable {
  name: string
  rows: number
  /** `present` before, `restored` by this run, `due` with dryRun or where another one is refused, `refused` by a finding. */
  state: 'present' | 'restored' | 'due' | 'refused'
}

export interface Restored {
  name: string
  tables: RestoredTable[]
  findings: Finding[]
}

const scratchOf = (database: string) => `${database}_backup_restore`

/**
 * Restores into CLICKHOUSE_DATABASE, whatever its name was: tables that are absent or empty. Any other stays, and keeps all from being changed.
 * @throws {OpsError} exit code 2 for a backup that is not there, a cluster, or a server that is not this machine's stack; 1 for a damaged backup or a
 *   failed proof; 3 when ClickHouse gives no answer, or another run is under way
 */
export async function restoreDatabase(settings: Settings, request: RestoreRequest): Promise<Restored> {
  refuseCluster(settings, 'restore')
  await refuseRemote(settings)
  const { folder, timeoutMs, dryRun, log } = request
  let asked = () => false
  const shelf = await openShelf(settings, folder, { timeoutMs, asked: () => asked() })
  const manifest = await readManifest(shelf, request.backup, settings.CLICKHOUSE_DATABASE)
  const { name, sha256 } = manifest
  const requireSame = (subject: string, found: string) => {
    if (found === sha256) return
    const hint = 'nothing was changed; take it from another copy'
    throw new OpsError(1, [error('BACKUP_DAMAGED', subject, { found: 'files that differ from the manifest', hint })])
  }
  // The database itself may be missing.
  return withClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'system' }, timeoutMs, async (client) => {
    const place = await findPlace(client, settings, timeoutMs)
    log(`Comparing ${name} with its manifest`)
    const subject = `${shelf.address}/${name}/data`
    if (dryRun) {
      requireSame(subject, await shelf.digest(name))
      return restoreInto({ client, timeoutMs, log, asked }, settings, place, manifest, { data: '', dryRun })
    }
    const unlock = lockBackups(settings)
    const end = deferEnd()
    asked = end.asked
    try {
      if (shelf.folder !== shelf.address) {
        const lacking = roomFindings([
          { subject: shelf.folder, free: await freeOf(shelf.folder), need: manifest.bytes },
        ])
        if (lacking.length > 0) throw new OpsError(1, lacking)
      }
      return await shelf.withData(name, async (data) => {
        requireSame(subject, await withFolder(data, () => digestOf(data)))
        return restoreInto({ client, timeoutMs, log, asked }, settings, place, manifest, { data, dryRun })
      })
    } finally {
      unlock()
      end.resume()
    }
  })
}

async function restoreInto(
  work: Work,
  settings: Settings,
  place: Place,
  manifest: Manifest,
  { data, dryRun }: { data: string; dryRun: boolean },
): Promise<Restored> {
  const { client, timeoutMs, log } = work
  const database = settings.CLICKHOUSE_DATABASE
  const scratch = scratchOf(database)
  const { name } = manifest
  const plans = await planRestore(client, manifest, database)
  const findings = [...plans.flatMap(({ objection }) => objection ?? []), ...(await ingestFindings(client, database))]
  const tables = plans.map(({ table: { name, rows }, objection, isThere, lacking }): RestoredTable => {
    return { name, rows, state: objection ? 'refused' : isThere && lacking.length === 0 ? 'present' : 'due' }
  })
  if (findings.length > 0 || dryRun) return { name, tables, findings }
  await tidyServer(work, place)
  await dropScratch(client, scratch)
  const lacking = roomFindings([{ subject: CLICKHOUSE_DISK, free: await place.freeBytes(), need: 2 * manifest.bytes }])
  if (lacking.length > 0) throw new OpsError(1, lacking)
  await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database}` })
  await client.command({ query: `CREATE DATABASE ${scratch}` })
  try {
    if (tables.some(({ state }) => state === 'due')) {
      log('Handing it to ClickHouse')
      await place.put(data, name)
    }
    for (const [index, plan] of plans.entries()) {
      const row = tables[index]
      if (row?.state !== 'due') continue
      await restoreTable(work, manifest, database, plan)
      row.state = 'restored'
    }
  } finally {
    await dropScratch(client, scratch)
    await place.remove(name)
  }
  findings.push(...(await define(client, manifest, database)))
  await withClickHouse(settings, timeoutMs, (market) => settle(market, manifest))
  return { name, tables, findings }
}

async function restoreTable(
  work: Work,
  manifest: Manifest,
  database: string,
  { table, isThere, lacking }: TablePlan,
): Promise<void> {
  const { client, log } = work
  const scratch = scratchOf(database)
  log(`${table.name}: ${table.rows} rows`)
  const copy = await restoreCopy(work, manifest, table, scratch)
  const same =
    copy.length === table.partitions.length && table.partitions.every((part, at) => isEqual(part, copy[at] as Part))
  if (!same) {
    const found = `${copy.reduce((sum, { rows }) => sum + rows, 0)} rows that differ from the ${table.rows} of the manifest`
    const hint = 'this table was not changed; take the backup from another copy'
    throw new OpsError(1, [error('BACKUP_PROOF', table.name, { found, hint })])
  }
  const [from, to] = [fullName(scratch, table.name), fullName(database, table.name)]
  if (table.engine.endsWith('MergeTree')) await client.command({ query: `SYSTEM START MERGES ${from}` })
  if (!isThere) await client.command({ query: `RENAME TABLE ${from} TO ${to}` })
  else
    for (const { partition } of lacking)
      await client.command({ query: `ALTER TABLE ${from} MOVE PARTITION ID '${partition}' TO TABLE ${to}` })
}
