/** The manifest of a backup: DIR/NAME/manifest.json, next to the server's files in DIR/NAME/data. Written last: without it a backup is incomplete. */
import { configError, error, OpsError } from '../common/findings.mts'
import { isNameOf, NAME } from './name.mts'
import type { BackupStore } from './store.mts'
import type { DataTable, Definition, Part } from './verification.mts'

export interface Manifest {
  version: 1
  name: string
  database: string
  /** Version of ClickHouse. */
  server: string
  /** UTC, by the server's clock. */
  startedAt: string
  /** When verification finished, UTC. */
  provenAt: string
  /** Digest of the folder `data`, see digestOf. */
  sha256: string
  bytes: number
  tables: (DataTable & { rows: number; partitions: Part[] })[]
  definitions: Definition[]
}

/**
 * Reads the manifest of a backup by name, or of the `latest` one of a database.
 * @throws {OpsError} exit code 2 if there is no such backup, or its manifest is invalid
 */
export async function readManifest(store: BackupStore, wanted: string, database: string): Promise<Manifest> {
  const nothing = (subject: string, found: string) =>
    configError([error('BACKUP_NOTHING', subject, { found, hint: store.hint })])
  const names = await store.names()
  const found =
    wanted === 'latest'
      ? names.findLast((name) => isNameOf(database, name))
      : names.find((name) => name === wanted && new RegExp(`^${NAME}$`).test(name))
  if (!found) throw nothing(`--backup ${wanted}`, `no such backup of ${database} in ${store.address}`)
  const file = `${store.address}/${found}/manifest.json`
  let manifest: unknown
  try {
    manifest = JSON.parse((await store.readManifest(found)) ?? '')
  } catch (failure) {
    if (failure instanceof OpsError) throw failure
    throw nothing(file, 'no valid manifest: not a complete backup')
  }
  if (!isManifest(manifest) || manifest.name !== found)
    throw nothing(file, 'a manifest that is invalid or of another version')
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
