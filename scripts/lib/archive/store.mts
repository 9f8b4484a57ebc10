/** Stores an archive in a local folder or under a prefix of an S3 bucket, with the same files and manifest in both. */
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
  /** Returns the file of a day, as findings name it. */
  nameOf: (table: TableName, day: string) => string
  /** Returns the local temporary file to which a day is written before it is published. */
  tempFileOf: (table: TableName, day: string) => string
  /** Makes the temporary file the file of the day. Resolves when it is stored durably. */
  publish: (table: TableName, day: string, sha256: string) => Promise<void>
  /** Returns the SHA-256 of the file of a day; undefined if there is none. */
  sha256: (table: TableName, day: string) => Promise<string | undefined>
  /** Runs `use` with a local copy of the file of a day. Returns its result; undefined if there is no file. */
  withFile: <T>(
    table: TableName,
    day: string,
    use: (file: string, sha256: string) => Promise<T>,
  ) => Promise<T | undefined>
  /** Returns the text of the manifest; empty if there is none. */
  readManifest: (table: TableName) => Promise<string>
  /** Appends a line to the manifest. Resolves when it is stored durably. */
  addLine: (table: TableName, line: string) => Promise<void>
}

/** Maximum size of a manifest in a bucket. */
const MAX_MANIFEST_BYTES = 256 * 1024 ** 2

/**
 * @param location an absolute path, or an S3 address without a trailing slash
 * @throws {OpsError} exit code 2 for an S3 address without the settings that it needs
 */
export async function openStore(settings: Settings, location: string, timeoutMs: number): Promise<Store> {
  if (!isS3(location)) return inFolder(location)
  return inBucket(
    location,
    await openBucket(settings, location, timeoutMs),
    path.join(settings.EMBEDDED_DATA_DIR, 'archive'),
  )
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
    tempFileOf: (table, day) => `${nameOf(table, day)}.tmp`,
    publish: (table, day) => publishFile(`${nameOf(table, day)}.tmp`, nameOf(table, day)),
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
        const isTruncated = size > 0 && last.toString() !== '\n'
        await handle.appendFile(`${isTruncated ? '\n' : ''}${line}\n`)
        await handle.sync()
      } finally {
        await handle.close()
      }
    },
  }
}

/** @param folder the local folder for temporary files, one at a time */
function inBucket(address: string, bucket: Bucket, folder: string): Store {
  const keyOf = (table: TableName, day: string) => `${table}/${day}.parquet`
  const tempFileOf = (table: TableName, day: string) => fileOf(folder, table, day)
  const manifestOf = (table: TableName) => `${table}/manifest.jsonl`
  const readManifest = async (table: TableName) => (await bucket.read(manifestOf(table), MAX_MANIFEST_BYTES)) ?? ''
  const nameOf = (table: TableName, day: string) => `${address}/${keyOf(table, day)}`
  return {
    nameOf,
    tempFileOf,
    publish: async (table, day, sha256) => {
      const file = tempFileOf(table, day)
      await bucket.send(file, keyOf(table, day))
      if ((await bucket.sha256(keyOf(table, day))) !== sha256) {
        const hint = 'nothing was dropped; run it again'
        throw new OpsError(1, [
          error('ARCHIVE_PROOF', nameOf(table, day), { found: 'content that differs from what was sent', hint }),
        ])
      }
      await rm(file)
    },
    sha256: (table, day) => bucket.sha256(keyOf(table, day)),
    withFile: async (table, day, use) => {
      const file = tempFileOf(table, day)
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
      // An object is replaced atomically, so no line is ever truncated.
      await bucket.write(manifestOf(table), `${await readManifest(table)}${line}\n`)
    },
  }
}

/** Renames a finished file and syncs the folder to disk. */
export async function publishFile(from: string, to: string): Promise<void> {
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
