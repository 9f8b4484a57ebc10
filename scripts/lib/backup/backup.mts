/** A whole database through ClickHouse's own BACKUP: written by the server, read back and compared, then taken out of it to a folder. */
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import { nameFile } from '../archive/parquet.mts'
import { readRows, withClickHouse } from '../clickhouse/client.mts'
import { refuseCluster } from '../clickhouse/cluster.mts'
import { dropTable } from '../clickhouse/sql.mts'
import { deferEnd } from '../command/interrupt.mts'
import { configError, error, type Finding, OpsError } from '../common/findings.mts'
import { readObjects } from '../ingest/state.mts'
import type { Settings } from '../settings/settings.mts'
import { isNameOf, type Manifest, nameOf } from './manifest.mts'
import { digestOf, findPlace, type Place, refuseRemote, withFolder } from './place.mts'
import { compareParts, type DataTable, fullName, type Part, readParts, readTables, restoreCopy } from './proof.mts'
import { lockBackups, needRoom, sum } from './room.mts'
import { dropScratch, runOnServer, tidyServer, type Work } from './server.mts'

export interface BackupRequest {
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
 * Backs the database up to a folder below `folder`, which appears there when it is proven.
 * @throws {OpsError} exit code 2 for a server that is not this machine's stack, a cluster, or an empty database; 1 when a disk has no room, the
 *   proof fails, or there is trouble with the folder; 3 when ClickHouse gives no answer, or another run is under way
 */
export async function backUp(settings: Settings, request: BackupRequest): Promise<BackedUp> {
  refuseCluster(settings, 'backup')
  await refuseRemote(settings)
  const { folder, timeoutMs, dryRun, log } = request
  const database = settings.CLICKHOUSE_DATABASE
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
      await withFolder(folder, () => needRoom(place, tables, request))
      return { bytes: sum(tables), tables: tables.map(({ name, bytes }) => ({ name, bytes })), findings }
    }
    const unlock = lockBackups(settings)
    const end = deferEnd()
    try {
      const work: Work = { client, timeoutMs, log, asked: end.asked }
      await tidyUp(work, place, database, folder)
      await withFolder(folder, () => needRoom(place, tables, request))
      let name = nameOf(database, new Date())
      for (; existsSync(path.join(folder, name)); name = nameOf(database, new Date())) await delay(100)
      try {
        const written = await write(work, place, { folder, name, database, tables, definitions })
        const proven = written.tables.map(({ name, rows, bytes, partitions }) => {
          return { name, rows, bytes, moving: partitions.some(({ moving }) => moving) }
        })
        return { name, bytes: written.bytes, tables: proven, findings }
      } finally {
        await dropScratch(client, scratchOf(database))
        await place.remove(name)
        await rm(halfOf(folder, name), { recursive: true, force: true })
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

/** What the name of a backup that is not proven yet ends with. */
const HALF = '.part'
const halfOf = (folder: string, name: string) => path.join(folder, `${name}${HALF}`)

/** Removes what a killed run left: on the server, and in the folder. */
async function tidyUp(work: Work, place: Place, database: string, folder: string): Promise<void> {
  await tidyServer(work, place)
  await dropScratch(work.client, scratchOf(database))
  await withFolder(folder, async () => {
    const halves = (existsSync(folder) ? await readdir(folder) : []).filter(
      (file) => file.endsWith(HALF) && isNameOf(database, file.slice(0, -HALF.length)),
    )
    if (halves.length > 0) work.log(`Removing what an interrupted run left: ${halves.join(', ')}`)
    for (const half of halves) await rm(path.join(folder, half), { recursive: true })
  })
}

interface Written {
  folder: string
  name: string
  database: string
  tables: DataTable[]
  definitions: Manifest['definitions']
}

async function write(
  work: Work,
  place: Place,
  { folder, name, database, tables, definitions }: Written,
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
  const half = halfOf(folder, name)
  log(`Taking it to ${folder}`)
  return withFolder(folder, async () => {
    await mkdir(half)
    await place.take(name, path.join(half, 'data'))
    const taken = await digestOf(path.join(half, 'data'), { sync: true })
    if (taken !== sha256) {
      const found = 'files that differ from those that ClickHouse wrote'
      throw new OpsError(1, [error('BACKUP_PROOF', half, { found, hint: 'no backup was kept; run it again' })])
    }
    const manifest: Manifest = {
      ...{ version: 1, name, database, server: server?.version ?? '', startedAt: server?.now ?? '' },
      ...{ provenAt: new Date().toISOString(), sha256, bytes: sum(tables), tables: proven, definitions },
    }
    const handle = await open(path.join(half, 'manifest.json'), 'w')
    try {
      await handle.writeFile(`${JSON.stringify(manifest, null, 1)}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await nameFile(half, path.join(folder, name))
    return manifest
  })
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
