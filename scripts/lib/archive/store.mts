/** Where an archive is: a folder of this machine, or below a prefix of a bucket. The files and the manifest are the same in both. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { configError, error, OpsError, reason } from '../common/findings.mts'
import { isS3 } from '../s3/address.mts'
import { type Bucket, openBucket } from '../s3/bucket.mts'
import type { Settings } from '../settings/settings.mts'
import type { TableName } from './table.mts'

export interface Store {
  /** The file of a day, as findings name it. */
  nameOf: (table: TableName, day: string) => string
  /** A file of this machine, for what becomes the file of a day. */
  halfOf: (table: TableName, day: string) => string
  /** Gives that file its name, and returns when it is there, whole. */
  keep: (table: TableName, day: string, sha256: string) => Promise<void>
  /** Undefined when there is no file of the day. */
  sha256: (table: TableName, day: string) => Promise<string | undefined>
  /** What `use` makes of the file of a day, on this machine meanwhile; undefined when there is none. */
  withFile: <T>(
    table: TableName,
    day: string,
    use: (file: string, sha256: string) => Promise<T>,
  ) => Promise<T | undefined>
  /** Empty when there is none. */
  readManifest: (table: TableName) => Promise<string>
  /** Adds a line to the manifest, and returns when it is there. */
  addLine: (table: TableName, line: string) => Promise<void>
}

/** Of a manifest in a bucket. */
const MAX_BYTES = 256 * 1024 ** 2

/**
 * @param place as `placeOf` has it
 * @throws {OpsError} exit code 2 for an address of S3 without the settings that it needs
 */
export async function openStore(settings: Settings, place: string, timeoutMs: number): Promise<Store> {
  if (!isS3(place)) return inFolder(place)
  return inBucket(place, await openBucket(settings, place, timeoutMs), path.join(settings.EMBEDDED_DATA_DIR, 'archive'))
}

const fileOf = (folder: string, table: TableName, day: string): string => path.join(folder, table, `${day}.parquet`)

function inFolder(folder: string): Store {
  const nameOf = (table: TableName, day: string) => fileOf(folder, table, day)
  const manifestOf = (table: TableName) => path.join(folder, table, 'manifest.jsonl')
  const sha256 = async (table: TableName, day: string) => {
    const file = nameOf(table, day)
    return existsSync(file) ? sha256Of(file) : undefined
  }
  return {
    nameOf,
    halfOf: (table, day) => `${nameOf(table, day)}.tmp`,
    keep: (table, day) => nameFile(`${nameOf(table, day)}.tmp`, nameOf(table, day)),
    sha256,
    withFile: async (table, day, use) => {
      const found = await sha256(table, day)
      return found === undefined ? undefined : use(nameOf(table, day), found)
    },
    readManifest: async (table) => {
      const file = manifestOf(table)
      if (!existsSync(file)) return ''
      return readFile(file, 'utf8').catch((failure: unknown) => {
        const hint = `ls -l ${path.dirname(file)}`
        throw configError([error('ARCHIVE_FILE', file, { found: reason(failure), hint })])
      })
    },
    addLine: async (table, line) => {
      const file = manifestOf(table)
      await mkdir(path.dirname(file), { recursive: true })
      const handle = await open(file, 'a+')
      try {
        const { size } = await handle.stat()
        const last = Buffer.alloc(1)
        if (size > 0) await handle.read(last, 0, 1, size - 1)
        const cut = size > 0 && last.toString() !== '\n'
        await handle.appendFile(`${cut ? '\n' : ''}${line}\n`)
        await handle.sync()
      } finally {
        await handle.close()
      }
    },
  }
}

/** `folder`: of this machine, for one file at a time. */
function inBucket(address: string, bucket: Bucket, folder: string): Store {
  const keyOf = (table: TableName, day: string) => `${table}/${day}.parquet`
  const halfOf = (table: TableName, day: string) => fileOf(folder, table, day)
  const manifestOf = (table: TableName) => `${table}/manifest.jsonl`
  const readManifest = async (table: TableName) => (await bucket.read(manifestOf(table), MAX_BYTES)) ?? ''
  const nameOf = (table: TableName, day: string) => `${address}/${keyOf(table, day)}`
  return {
    nameOf,
    halfOf,
    keep: async (table, day, sha256) => {
      const half = halfOf(table, day)
      await bucket.send(half, keyOf(table, day))
      if ((await bucket.sha256(keyOf(table, day))) !== sha256) {
        const hint = 'nothing was dropped; run it again'
        throw new OpsError(1, [
          error('ARCHIVE_PROOF', nameOf(table, day), { found: 'other bytes than were sent', hint }),
        ])
      }
      await rm(half)
    },
    sha256: (table, day) => bucket.sha256(keyOf(table, day)),
    withFile: async (table, day, use) => {
      const file = halfOf(table, day)
      await mkdir(path.dirname(file), { recursive: true })
      try {
        const sha256 = await bucket.fetch(keyOf(table, day), file)
        return sha256 === undefined ? undefined : await use(file, sha256)
      } finally {
        await rm(file, { force: true })
      }
    },
    readManifest,
    addLine: async (table, line) => {
      // An object is replaced as a whole: no line is ever cut.
      await bucket.write(manifestOf(table), `${await readManifest(table)}${line}\n`)
    },
  }
}

/** Gives a finished file its name, and returns when that is on disk. */
export async function nameFile(from: string, to: string): Promise<void> {
  await rename(from, to)
  const folder = await open(path.dirname(to))
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
