/** The manifest of a backup, written last: DIR/NAME/manifest.json, beside what the server wrote in DIR/NAME/data. Without it there is no backup. */
import { configError, error, OpsError } from '../common/findings.mts'
import { isNameOf } from './name.mts'
import type { Shelf } from './store.mts'
import type { DataTable, Definition, Part } from './verification.mts'

export interface Manifest {
  version: 1
  name: string
  database: string
  /** Version of ClickHouse. */
  server: string
  /** By the server's clock, UTC. */
  startedAt: string
  provenAt: string
  /** Of the folder `data`, see digestOf. */
  sha256: string
  bytes: number
  tables: (DataTable & { rows: number; partitions: Part[] })[]
  definitions: Definition[]
}

const NAME = /^\w+-\d{8}T\d{6}Z$/

/**
 * The backup of that name, or the `latest` one of a database.
 * @throws {OpsError} exit code 2 when it is not there, or its manifest is none
 */
export async function readManifest(shelf: Shelf, wanted: string, database: string): Promise<Manifest> {
  const nothing = (subject: string, found: string) =>
    configError([error('BACKUP_NOTHING', subject, { found, hint: shelf.hint })])
  const names = await shelf.names()
  const own = names.filter((name) => isNameOf(database, name))
  const found = wanted === 'latest' ? own.at(-1) : names.find((name) => name === wanted && NAME.test(name))
  if (!found) throw nothing(`--backup ${wanted}`, `no such backup of ${database} in ${shelf.address}`)
  const file = `${shelf.address}/${found}/manifest.json`
  let manifest: unknown
  try {
    manifest = JSON.parse((await shelf.readManifest(found)) ?? '')
  } catch (failure) {
    if (failure instanceof OpsError) throw failure
    throw nothing(file, 'no manifest: not a backup that was proven')
  }
  if (!isManifest(manifest) || manifest.name !== found) throw nothing(file, 'not a manifest of this version')
  return manifest
}

function isManifest(value: unknown): value is Manifest {
  const { version, database, tables, definitions, sha256, startedAt } = (value ?? {}) as Partial<Manifest>
  const isWord = (text: unknown) => typeof text === 'string' && /^\w+$/.test(text)
  const isTable = ({ name, engine, columns, partitions }: Partial<Manifest['tables'][number]>) =>
    isWord(name) &&
    isWord(engine) &&
    Array.isArray(columns) &&
    columns.every((column) => typeof column.name === 'string' && !/[`\\]/.test(column.name)) &&
    Array.isArray(partitions) &&
    partitions.every(({ partition }) => isWord(partition?.replaceAll('-', '_')))
  return (
    version === 1 &&
    isWord(database) &&
    typeof sha256 === 'string' &&
    !Number.isNaN(Date.parse(startedAt ?? '')) &&
    Array.isArray(tables) &&
    tables.every(isTable) &&
    Array.isArray(definitions) &&
    definitions.every(({ name, sql }) => isWord(name) && /^CREATE /.test(sql ?? ''))
  )
}
