/** Backs up a whole database: ClickHouse's BACKUP writes it, a RESTORE verifies it, and it is then moved out of the server to a store. */
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { dropTable } from '../clickhouse/sql.mts'
import { deferEnd } from '../command/interrupt.mts'
import { configError, error, type Finding, OpsError } from '../common/findings.mts'
import { readObjects } from '../ingest/state.mts'
import type { Settings } from '../settings/settings.mts'
import { lockBackups, requireSpace, sum } from './disk-space.mts'
import type { Manifest } from './manifest.mts'
import { nameOf } from './name.mts'
import { cleanUpServer, dropScratch, runOnServer, type Work } from './server.mts'
import { findServerDir, refuseRemote, type ServerDir, withFolder } from './server-dir.mts'
import { type BackupStore, openStore } from './store.mts'
import {
  compareParts,
  type DataTable,
  fullName,
  type Part,
  readParts,
  readTables,
  restoreCopy,
} from './verification.mts'

export interface BackupRequest {
  /** As returned by `locationOf`. */
  folder: string
  dryRun: boolean
  /** Deadline for each statement, and for each table's restored copy. */
  timeoutMs: number
  log: (line: string) => void
}

export interface BackedUp {
  /** Name of the backup; undefined with dryRun. */
  name?: string
  bytes: number
  /** With dryRun, without rows. `moving`: rows were added or removed during the backup. */
  tables: { name: string; bytes: number; rows?: number; moving?: boolean }[]
  findings: Finding[]
}

/** Name of the scratch database. The user's privileges cover databases whose names begin with CLICKHOUSE_DB. */
const scratchOf = (database: string) => `${database}_backup_proof`

/**
 * Backs up the database below `folder`, where the backup appears only after verification.
 * @throws {OpsError} exit code 2 for a server that is not this machine's stack, a cluster, or an empty database; 1 if disk space is short,
 *   verification fails, or files cannot be written; 3 if ClickHouse does not answer, or another backup or restore is running
 */
export async function backUp(settings: Settings, request: BackupRequest): Promise<BackedUp> {
  refuseCluster(settings, 'backup')
  await refuseRemote(settings)
  const { folder, timeoutMs, dryRun, log } = request
  const database = settings.CLICKHOUSE_DATABASE
  let isInterrupted = () => false
  const store = await openStore(settings, folder, { timeoutMs, isInterrupted: () => isInterrupted() })
  return withClickHouse(settings, timeoutMs, async (client) => {
    const serverDir = await findServerDir(client, settings, timeoutMs)
    await requireBackupPrivilege(client, database)
    const ingest = (await readObjects(client)).map(({ name }) => name)
    const { tables, definitions, unsupported } = await readTables(client, database, ingest)
    if (tables.length === 0) {
      const found = `no table of database ${database}`
      throw configError([error('BACKUP_NOTHING', 'backup', { found, hint: 'npm run schema' })])
    }
    const findings = unsupported.map((name) => {
      const found = 'left out: its engine is not supported, or its name has characters other than letters, digits and _'
      return error('BACKUP_LEFT_OUT', `${database}.${name}`, {
        found,
        hint: `SHOW CREATE TABLE ${fullName(database, name)}`,
      })
    })
    if (dryRun) {
      // Checks the S3 credentials.
      if (store.folder !== store.address) await store.names()
      await withFolder(store.folder, () => requireSpace(serverDir, tables, store, request))
      return { bytes: sum(tables), tables: tables.map(({ name, bytes }) => ({ name, bytes })), findings }
    }
    const unlock = lockBackups(settings)
    const end = deferEnd()
    isInterrupted = end.isInterrupted
    try {
      const work: Work = { client, timeoutMs, log, isInterrupted: end.isInterrupted }
      await cleanUp(work, serverDir, database, store)
      await withFolder(store.folder, () => requireSpace(serverDir, tables, store, request))
      const taken = await store.names()
      let name = nameOf(database, new Date())
      for (; taken.includes(name); name = nameOf(database, new Date())) await delay(100)
      try {
        const written = await write(work, serverDir, { store, name, database, tables, definitions })
        const summaries = written.tables.map(({ name, rows, bytes, partitions }) => {
          return { name, rows, bytes, moving: partitions.some(({ moving }) => moving) }
        })
        return { name, bytes: written.bytes, tables: summaries, findings }
      } finally {
        await dropScratch(client, scratchOf(database))
        await serverDir.remove(name)
      }
    } finally {
      unlock()
      end.resume()
    }
  })
}

/** @throws {OpsError} exit code 2 if the user lacks the BACKUP privilege */
async function requireBackupPrivilege(client: ClickHouseClient, database: string): Promise<void> {
  // Not `query`, which adds a FORMAT clause that CHECK GRANT does not accept.
  const { stream } = await client.exec({ query: `CHECK GRANT BACKUP ON ${database}.*` })
  if ((await text(stream)).trim() === '1') return
  const hint = 'add BACKUP to CLICKHOUSE_EXTRA_GRANTS in .env, then: npm stop && npm start'
  throw configError([
    error('BACKUP_RIGHT', 'clickhouse', { found: 'no BACKUP privilege, which is not granted by default', hint }),
  ])
}

/** Removes what a killed run left on the server and in the store. */
async function cleanUp(work: Work, serverDir: ServerDir, database: string, store: BackupStore): Promise<void> {
  await cleanUpServer(work, serverDir)
  await dropScratch(work.client, scratchOf(database))
  const left = await store.cleanUp(database)
  if (left.length > 0) work.log(`Removed the remains of an interrupted run: ${left.join(', ')}`)
}

interface WriteRequest {
  store: BackupStore
  name: string
  database: string
  tables: DataTable[]
  definitions: Manifest['definitions']
}

async function write(
  work: Work,
  serverDir: ServerDir,
  { store, name, database, tables, definitions }: WriteRequest,
): Promise<Manifest> {
  const { client, log } = work
  const [server] = await readRows<{ version: string; now: string }>(
    client,
    "SELECT version() AS version, formatDateTime(now('UTC'), '%FT%TZ') AS now",
  )
  log('Reading the tables')
  const before = new Map<string, Part[]>()
  for (const table of tables) before.set(table.name, await readParts(client, database, table))
  log(`Writing ${name}`)
  const list = tables.map((table) => `TABLE ${fullName(database, table.name)}`).join(', ')
  await runOnServer(work, `BACKUP ${list} TO File('${name}')`, `writing ${name}`)
  if (!(await serverDir.list()).includes(name)) {
    const found = "a server that does not write its backups to the folder of this machine's stack"
    throw configError([error('BACKUP_TARGET', 'backup', { found, hint: 'npm run ports' })])
  }
  log(`Verifying ${name}`)
  await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${scratchOf(database)}` })
  const verified: Manifest['tables'] = []
  for (const table of tables) {
    const partitions = await verify(work, { name, database }, table, before.get(table.name) ?? [])
    verified.push({ ...table, partitions, rows: partitions.reduce((total, { rows }) => total + rows, 0) })
  }
  const sha256 = await serverDir.digest(name)
  log(`Storing it in ${store.address}`)
  const manifest: Manifest = {
    ...{ version: 1, name, database, server: server?.version ?? '', startedAt: server?.now ?? '' },
    ...{ provenAt: new Date().toISOString(), sha256, bytes: sum(tables), tables: verified, definitions },
  }
  const text = `${JSON.stringify(manifest, null, 1)}\n`
  await store.add(name, { sha256, manifest: text }, (to) => serverDir.moveOut(name, to))
  return manifest
}

async function verify(
  work: Work,
  backup: { name: string; database: string },
  table: DataTable,
  before: Part[],
): Promise<Part[]> {
  const scratch = scratchOf(backup.database)
  const copy = await restoreCopy(work, backup, table, scratch)
  const quiet = JSON.stringify(copy) === JSON.stringify(before)
  const after = quiet ? before : await readParts(work.client, backup.database, table)
  const verified = compareParts(table.name, { before, after, copy })
  if (!Array.isArray(verified)) throw new OpsError(1, [verified])
  await dropTable(work.client, `${fullName(scratch, table.name)} SYNC`)
  return verified
}
