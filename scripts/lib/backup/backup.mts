/** A whole database through ClickHouse's own BACKUP: written by the server, read back and compared, then taken out of it to a folder. */
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
import { lockBackups, needRoom, sum } from './disk-space.mts'
import type { Manifest } from './manifest.mts'
import { nameOf } from './name.mts'
import { dropScratch, runOnServer, tidyServer, type Work } from './server.mts'
import { findPlace, type Place, refuseRemote, withFolder } from './server-dir.mts'
import { openShelf, type Shelf } from './store.mts'
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
  /** As `placeOf` has it. */
  folder: string
  dryRun: boolean
  /** Deadline of each statement, and of each table's copy. */
  timeoutMs: number
  log: (line: string) => void
}

export interface BackedUp {
  /** Of the backup; undefined with dryRun. */
  name?: string
  bytes: number
  /** Rows, and whether any came or went meanwhile, with a backup only. */
  tables: { name: string; bytes: number; rows?: number; moving?: boolean }[]
  findings: Finding[]
}

/** Of copies that are compared. Its name begins with the database's: there the login has rights. */
const scratchOf = (database: string) => `${database}_backup_proof`

/**
 * Backs the database up below `folder`, where it appears when it is proven.
 * @throws {OpsError} exit code 2 for a server that is not this machine's stack, a cluster, or an empty database; 1 when a disk has no room, the
 *   proof fails, or there is trouble with the folder; 3 when ClickHouse gives no answer, or another run is under way
 */
export async function backUp(settings: Settings, request: BackupRequest): Promise<BackedUp> {
  refuseCluster(settings, 'backup')
  await refuseRemote(settings)
  const { folder, timeoutMs, dryRun, log } = request
  const database = settings.CLICKHOUSE_DATABASE
  let asked = () => false
  const shelf = await openShelf(settings, folder, { timeoutMs, asked: () => asked() })
  return withClickHouse(settings, timeoutMs, async (client) => {
    const place = await findPlace(client, settings, timeoutMs)
    await requireRight(client, database)
    const ingest = (await readObjects(client)).map(({ name }) => name)
    const { tables, definitions, odd } = await readTables(client, database, ingest)
    if (tables.length === 0) {
      const found = `no table of database ${database}`
      throw configError([error('BACKUP_NOTHING', 'backup', { found, hint: 'npm run schema' })])
    }
    const findings = odd.map((name) => {
      const found = 'no engine whose rows could be proven, or a name with other than letters, digits and _: left out'
      return error('BACKUP_LEFT_OUT', `${database}.${name}`, {
        found,
        hint: `SHOW CREATE TABLE ${fullName(database, name)}`,
      })
    })
    if (dryRun) {
      // Whether the keys may be used shows now.
      if (shelf.folder !== shelf.address) await shelf.names()
      await withFolder(shelf.folder, () => needRoom(place, tables, shelf, request))
      return { bytes: sum(tables), tables: tables.map(({ name, bytes }) => ({ name, bytes })), findings }
    }
    const unlock = lockBackups(settings)
    const end = deferEnd()
    asked = end.asked
    try {
      const work: Work = { client, timeoutMs, log, asked: end.asked }
      await tidyUp(work, place, database, shelf)
      await withFolder(shelf.folder, () => needRoom(place, tables, shelf, request))
      const taken = await shelf.names()
      let name = nameOf(database, new Date())
      for (; taken.includes(name); name = nameOf(database, new Date())) await delay(100)
      try {
        const written = await write(work, place, { shelf, name, database, tables, definitions })
        const proven = written.tables.map(({ name, rows, bytes, partitions }) => {
          return { name, rows, bytes, moving: partitions.some(({ moving }) => moving) }
        })
        return { name, bytes: written.bytes, tables: proven, findings }
      } finally {
        await dropScratch(client, scratchOf(database))
        await place.remove(name)
      }
    } finally {
      unlock()
      end.resume()
    }
  })
}

/** @throws {OpsError} exit code 2 for a login that may not make backups */
async function requireRight(client: ClickHouseClient, database: string): Promise<void> {
  // The statement takes no FORMAT, which `query` adds.
  const { stream } = await client.exec({ query: `CHECK GRANT BACKUP ON ${database}.*` })
  if ((await text(stream)).trim() === '1') return
  const hint = 'add BACKUP to CLICKHOUSE_EXTRA_GRANTS in .env, then: npm stop && npm start'
  throw configError([
    error('BACKUP_RIGHT', 'clickhouse', { found: 'no right to make backups: it is off by default', hint }),
  ])
}

/** Removes what a killed run left: on the server, and among the backups. */
async function tidyUp(work: Work, place: Place, database: string, shelf: Shelf): Promise<void> {
  await tidyServer(work, place)
  await dropScratch(work.client, scratchOf(database))
  const left = await shelf.tidy(database)
  if (left.length > 0) work.log(`Removed what an interrupted run left: ${left.join(', ')}`)
}

interface Written {
  shelf: Shelf
  name: string
  database: string
  tables: DataTable[]
  definitions: Manifest['definitions']
}

async function write(
  work: Work,
  place: Place,
  { shelf, name, database, tables, definitions }: Written,
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
  if (!(await place.list()).includes(name)) {
    const found = 'a server that keeps its backups elsewhere than the stack of this machine'
    throw configError([error('BACKUP_TARGET', 'backup', { found, hint: 'npm run ports' })])
  }
  log('Reading it back')
  await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${scratchOf(database)}` })
  const proven: Manifest['tables'] = []
  for (const table of tables) {
    const partitions = await prove(work, { name, database }, table, before.get(table.name) ?? [])
    proven.push({ ...table, partitions, rows: partitions.reduce((total, { rows }) => total + rows, 0) })
  }
  const sha256 = await place.digest(name)
  log(`Taking it to ${shelf.address}`)
  const manifest: Manifest = {
    ...{ version: 1, name, database, server: server?.version ?? '', startedAt: server?.now ?? '' },
    ...{ provenAt: new Date().toISOString(), sha256, bytes: sum(tables), tables: proven, definitions },
  }
  const text = `${JSON.stringify(manifest, null, 1)}\n`
  await shelf.keep(name, { sha256, manifest: text }, (to) => place.take(name, to))
  return manifest
}

async function prove(
  work: Work,
  backup: { name: string; database: string },
  table: DataTable,
  before: Part[],
): Promise<Part[]> {
  const scratch = scratchOf(backup.database)
  const copy = await restoreCopy(work, backup, table, scratch)
  const quiet = JSON.stringify(copy) === JSON.stringify(before)
  const after = quiet ? before : await readParts(work.client, backup.database, table)
  const proven = compareParts(table.name, { before, after, copy })
  if (!Array.isArray(proven)) throw new OpsError(1, [proven])
  await dropTable(work.client, `${fullName(scratch, table.name)} SYNC`)
  return proven
}
