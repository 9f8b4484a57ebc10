/** Restores a whole database from a backup: each table is restored to a scratch database, verified there, and then moved. */
import { withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { isEqual } from '../clickhouse/fingerprint.mts'
import { deferEnd } from '../command/interrupt.mts'
import { error, type Finding, OpsError } from '../common/findings.mts'
import type { Settings } from '../settings/settings.mts'
import { CLICKHOUSE_DISK, freeBytesAt, lockBackups, spaceFindings } from './disk-space.mts'
import { type Manifest, readManifest } from './manifest.mts'
import { ingestFindings, planRestore, type TablePlan } from './restore-plan.mts'
import { cleanUpServer, dropScratch, type Work } from './server.mts'
import { digestOf, findServerDir, refuseRemote, type ServerDir, withFolder } from './server-dir.mts'
import { openStore } from './store.mts'
import { fullName, type Part, restoreCopy } from './verification.mts'
import { createDefinitions, invalidateRollups } from './views.mts'

export interface RestoreRequest {
  /** As returned by `locationOf`. */
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
  /** `present` before, `restored` by this run, `due` with dryRun or if another table is refused, `refused` with a finding. */
  state: 'present' | 'restored' | 'due' | 'refused'
}

export interface Restored {
  name: string
  tables: RestoredTable[]
  findings: Finding[]
}

const scratchOf = (database: string) => `${database}_backup_restore`

/**
 * Restores missing and empty tables of CLICKHOUSE_DATABASE, whatever the name of the backed-up database. Changes nothing if any table has
 * other rows.
 * @throws {OpsError} exit code 2 for a missing backup, a cluster, or a server that is not this machine's stack; 1 for a damaged backup or
 *   failed verification; 3 if ClickHouse does not answer, or another backup or restore is running
 */
export async function restoreDatabase(settings: Settings, request: RestoreRequest): Promise<Restored> {
  refuseCluster(settings, 'restore')
  await refuseRemote(settings)
  const { folder, timeoutMs, dryRun, log } = request
  let isInterrupted = () => false
  const store = await openStore(settings, folder, { timeoutMs, isInterrupted: () => isInterrupted() })
  const manifest = await readManifest(store, request.backup, settings.CLICKHOUSE_DATABASE)
  const { name, sha256 } = manifest
  const requireSame = (subject: string, found: string) => {
    if (found === sha256) return
    const hint = 'nothing was changed; use another copy of the backup'
    throw new OpsError(1, [error('BACKUP_DAMAGED', subject, { found: 'files that differ from the manifest', hint })])
  }
  // Connects to `system`, because the database itself may be missing.
  return withClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'system' }, timeoutMs, async (client) => {
    const serverDir = await findServerDir(client, settings, timeoutMs)
    log(`Comparing ${name} with its manifest`)
    const subject = `${store.address}/${name}/data`
    if (dryRun) {
      requireSame(subject, await store.digest(name))
      return restoreInto({ client, timeoutMs, log, isInterrupted }, settings, serverDir, manifest, { data: '', dryRun })
    }
    const unlock = lockBackups(settings)
    const end = deferEnd()
    isInterrupted = end.isInterrupted
    try {
      if (store.folder !== store.address) {
        const missing = spaceFindings([
          { subject: store.folder, free: await freeBytesAt(store.folder), need: manifest.bytes },
        ])
        if (missing.length > 0) throw new OpsError(1, missing)
      }
      return await store.withData(name, async (data) => {
        requireSame(subject, await withFolder(data, () => digestOf(data)))
        return restoreInto({ client, timeoutMs, log, isInterrupted }, settings, serverDir, manifest, { data, dryRun })
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
  serverDir: ServerDir,
  manifest: Manifest,
  { data, dryRun }: { data: string; dryRun: boolean },
): Promise<Restored> {
  const { client, timeoutMs, log } = work
  const database = settings.CLICKHOUSE_DATABASE
  const scratch = scratchOf(database)
  const { name } = manifest
  const plans = await planRestore(client, manifest, database)
  const findings = [...plans.flatMap(({ refusal }) => refusal ?? []), ...(await ingestFindings(client, database))]
  const tables = plans.map(({ table: { name, rows }, refusal, exists, missing }): RestoredTable => {
    return { name, rows, state: refusal ? 'refused' : exists && missing.length === 0 ? 'present' : 'due' }
  })
  if (findings.length > 0 || dryRun) return { name, tables, findings }
  await cleanUpServer(work, serverDir)
  await dropScratch(client, scratch)
  const missing = spaceFindings([
    { subject: CLICKHOUSE_DISK, free: await serverDir.freeBytes(), need: 2 * manifest.bytes },
  ])
  if (missing.length > 0) throw new OpsError(1, missing)
  await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${database}` })
  await client.command({ query: `CREATE DATABASE ${scratch}` })
  try {
    if (tables.some(({ state }) => state === 'due')) {
      log('Copying it to ClickHouse')
      await serverDir.copyIn(data, name)
    }
    for (const [index, plan] of plans.entries()) {
      const row = tables[index]
      if (row?.state !== 'due') continue
      await restoreTable(work, manifest, database, plan)
      row.state = 'restored'
    }
  } finally {
    await dropScratch(client, scratch)
    await serverDir.remove(name)
  }
  findings.push(...(await createDefinitions(client, manifest, database)))
  await withClickHouse(settings, timeoutMs, (market) => invalidateRollups(market, manifest))
  return { name, tables, findings }
}

async function restoreTable(
  work: Work,
  manifest: Manifest,
  database: string,
  { table, exists, missing }: TablePlan,
): Promise<void> {
  const { client, log } = work
  const scratch = scratchOf(database)
  log(`${table.name}: ${table.rows} rows`)
  const copy = await restoreCopy(work, manifest, table, scratch)
  const same =
    copy.length === table.partitions.length && table.partitions.every((part, at) => isEqual(part, copy[at] as Part))
  if (!same) {
    const found = `${copy.reduce((sum, { rows }) => sum + rows, 0)} rows that do not match the ${table.rows} in the manifest`
    const hint = 'this table was not changed; use another copy of the backup'
    throw new OpsError(1, [error('BACKUP_PROOF', table.name, { found, hint })])
  }
  const [from, to] = [fullName(scratch, table.name), fullName(database, table.name)]
  if (table.engine.endsWith('MergeTree')) await client.command({ query: `SYSTEM START MERGES ${from}` })
  if (!exists) await client.command({ query: `RENAME TABLE ${from} TO ${to}` })
  else
    for (const { partition } of missing)
      await client.command({ query: `ALTER TABLE ${from} MOVE PARTITION ID '${partition}' TO TABLE ${to}` })
}
