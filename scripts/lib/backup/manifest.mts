/** The manifest of a backup, written last: DIR/NAME/manifest.json, beside what the server wrote in DIR/NAME/data. Without it there is no backup. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { configError, error, reason } from '../common/findings.mts'
import { quoted } from '../common/quote.mts'
import { readTextFile } from '../common/text-file.mts'
import type { DataTable, Definition, Part } from './proof.mts'

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

export const dataOf = (folder: string, name: string): string => path.join(folder, name, 'data')
export const manifestOf = (folder: string, name: string): string => path.join(folder, name, 'manifest.json')

export const nameOf = (database: string, at: Date): string =>
  `${database}-${at.toISOString().replace(/[-:]|\.\d+/g, '')}`
export const isNameOf = (database: string, name: string): boolean =>
  name.startsWith(`${database}-`) && /^\d{8}T\d{6}Z$/.test(name.slice(database.length + 1))

const NAME = /^\w+-\d{8}T\d{6}Z$/
const MAX_BYTES = 256 * 1024 ** 2

/**
 * The backup of that name in a folder, or the `latest` one of a database.
 * @throws {OpsError} exit code 2 when it is not there, or its manifest is none
 */
export async function readManifest(folder: string, wanted: string, database: string): Promise<Manifest> {
  const nothing = (subject: string, found: string) =>
    configError([error('BACKUP_NOTHING', subject, { found, hint: `ls ${quoted(folder)}` })])
  const names = await readdir(folder).catch((failure: unknown) => {
    throw nothing(`--from ${folder}`, reason(failure))
  })
  const own = names.filter((name) => isNameOf(database, name)).sort()
  const found = wanted === 'latest' ? own.at(-1) : names.find((name) => name === wanted && NAME.test(name))
  if (!found) throw nothing(`--backup ${wanted}`, `no such backup of ${database} in ${folder}`)
  const file = manifestOf(folder, found)
  let manifest: unknown
  try {
    manifest = JSON.parse(readTextFile(file, { maxBytes: MAX_BYTES }) ?? '')
  } catch {
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
