/** Stores backups in a folder of this machine, or below a prefix of a bucket. A backup has the same files in both. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import { publishFile } from '../archive/store.mts'
import { configError, error, OpsError, reason } from '../common/findings.mts'
import { quoted } from '../common/shell-quote.mts'
import { readTextFile } from '../common/text-file.mts'
import { isS3 } from '../s3/address.mts'
import { type Bucket, openBucket } from '../s3/bucket.mts'
import type { Settings } from '../settings/settings.mts'
import { isNameOf } from './name.mts'
import { interrupted } from './server.mts'
import { digestOf, withFolder } from './server-dir.mts'

export interface BackupStore {
  /** As given on the command line. */
  address: string
  /** Command that lists the store. */
  hint: string
  /** Local folder through which backups pass; for a store in a folder, that folder itself. */
  folder: string
  /** Returns the names of complete backups (in a folder: of all entries), sorted; includes those of other databases. */
  names: () => Promise<string[]>
  /** Returns the text of a manifest; undefined if there is none. */
  readManifest: (name: string) => Promise<string | undefined>
  /** Returns the digest of a backup's data, see {@link digestOf}. */
  digest: (name: string) => Promise<string>
  /** Passes a local folder with a backup's data to `use`, and returns its result. */
  withData: <T>(name: string, use: (data: string) => Promise<T>) => Promise<T>
  /** Removes incomplete backups that a killed run on this machine left; returns their names. */
  cleanUp: (database: string) => Promise<string[]>
  /** Stores the files that `take` puts into a folder, if they have the expected digest. The name must be new. */
  add: (
    name: string,
    verified: { sha256: string; manifest: string },
    take: (to: string) => Promise<void>,
  ) => Promise<void>
}

const MAX_BYTES = 256 * 1024 ** 2

/**
 * Opens a folder or S3 address as a store.
 * @param address as returned by `locationOf`
 * @param isInterrupted whether an interruption was requested, which stops transfers
 * @throws {OpsError} exit code 2 for an S3 address if settings are missing
 */
export async function openStore(
  settings: Settings,
  address: string,
  { timeoutMs, isInterrupted = () => false }: { timeoutMs: number; isInterrupted?: () => boolean },
): Promise<BackupStore> {
  if (!isS3(address)) return inFolder(address)
  const dataDir = settings.EMBEDDED_DATA_DIR
  return inBucket(
    address,
    await openBucket(settings, address, timeoutMs),
    path.join(dataDir, 'backup', 's3'),
    isInterrupted,
  )
}

const differs = (subject: string, from: string): OpsError => {
  const found = `files that differ from those that ${from}`
  return new OpsError(1, [error('BACKUP_PROOF', subject, { found, hint: 'the backup was discarded; run it again' })])
}

/** Suffix of incomplete backups. */
const PARTIAL = '.part'

function inFolder(folder: string): BackupStore {
  const inside = (name: string, ...parts: string[]) => path.join(folder, name, ...parts)
  const hint = `ls ${quoted(folder)}`
  return {
    ...{ address: folder, hint, folder },
    names: async () =>
      (
        await readdir(folder).catch((failure: unknown) => {
          throw configError([error('BACKUP_NOTHING', `--from ${folder}`, { found: reason(failure), hint })])
        })
      ).sort(),
    readManifest: async (name) => readTextFile(inside(name, 'manifest.json'), { maxBytes: MAX_BYTES }),
    digest: (name) => withFolder(inside(name, 'data'), () => digestOf(inside(name, 'data'))),
    withData: (name, use) => use(inside(name, 'data')),
    cleanUp: (database) =>
      withFolder(folder, async () => {
        const partials = (existsSync(folder) ? await readdir(folder) : []).filter(
          (file) => file.endsWith(PARTIAL) && isNameOf(database, file.slice(0, -PARTIAL.length)),
        )
        for (const partial of partials) await rm(inside(partial), { recursive: true })
        return partials
      }),
    add: async (name, { sha256, manifest }, take) => {
      const partial = inside(`${name}${PARTIAL}`)
      try {
        await withFolder(folder, async () => {
          await mkdir(partial)
          await take(path.join(partial, 'data'))
          if ((await digestOf(path.join(partial, 'data'), { sync: true })) !== sha256)
            throw differs(partial, 'ClickHouse wrote')
          const handle = await open(path.join(partial, 'manifest.json'), 'w')
          try {
            await handle.writeFile(manifest)
            await handle.sync()
          } finally {
            await handle.close()
          }
          await publishFile(partial, inside(name))
        })
      } finally {
        await rm(partial, { recursive: true, force: true })
      }
    },
  }
}

function inBucket(address: string, bucket: Bucket, folder: string, isInterrupted: () => boolean): BackupStore {
  const manifestOf = (name: string) => `${name}/manifest.json`
  const dataOf = (name: string) => `${name}/data/`
  /** Exists while a backup is being uploaded; names the uploader, so that no other machine removes the files. */
  const markOf = (name: string) => `${name}/unfinished`
  const owner = `${hostname()} ${folder}\n`
  const isWhole = async (name: string) => (await bucket.list(manifestOf(name))).includes(manifestOf(name))
  const digest = async (name: string) => {
    const all = createHash('sha256')
    for (const key of await bucket.list(dataOf(name)))
      all.update(`${await bucket.sha256(key)}  ./${key.slice(dataOf(name).length)}\n`)
    return all.digest('hex')
  }
  const remove = async (name: string) => {
    for (const key of await bucket.list(dataOf(name))) await bucket.remove(key)
    await bucket.remove(markOf(name))
  }
  /** Runs `use` with a path in a temporary folder of this machine, which is removed afterwards. */
  const withData = <T,>(use: (data: string) => Promise<T>) =>
    withFolder(folder, async () => {
      await rm(folder, { recursive: true, force: true })
      await mkdir(folder, { recursive: true })
      try {
        return await use(path.join(folder, 'data'))
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
  return {
    ...{ address, hint: `aws s3 ls ${quoted(address)}/`, folder },
    names: async () => {
      const whole: string[] = []
      for (const name of await bucket.names()) if (await isWhole(name)) whole.push(name)
      return whole
    },
    readManifest: (name) => bucket.read(manifestOf(name), MAX_BYTES),
    digest,
    withData: (name, use) =>
      withData(async (data) => {
        await mkdir(data)
        for (const key of await bucket.list(dataOf(name))) {
          if (isInterrupted()) throw interrupted()
          const file = path.join(data, key.slice(dataOf(name).length))
          // Others may have added keys, which must not lead outside the folder.
          if (!file.startsWith(data + path.sep) || key.endsWith('/')) continue
          await mkdir(path.dirname(file), { recursive: true })
          await bucket.fetch(key, file)
        }
        return use(data)
      }),
    cleanUp: async (database) => {
      const left: string[] = []
      for (const name of (await bucket.names()).filter((each) => isNameOf(database, each))) {
        const mark = await bucket.read(markOf(name), 10_000)
        if (mark === undefined) continue
        if (await isWhole(name)) await bucket.remove(markOf(name))
        else if (mark === owner) left.push(name)
      }
      for (const name of left) await remove(name)
      return left
    },
    add: (name, { sha256, manifest }, take) =>
      withData(async (data) => {
        await take(data)
        if ((await digestOf(data)) !== sha256) throw differs(data, 'ClickHouse wrote')
        await bucket.write(markOf(name), owner)
        try {
          for (const entry of await readdir(data, { recursive: true, withFileTypes: true })) {
            if (isInterrupted()) throw interrupted()
            const file = path.join(entry.parentPath, entry.name)
            if (entry.isFile()) await bucket.send(file, dataOf(name) + path.relative(data, file))
          }
          if ((await digest(name)) !== sha256) throw differs(`${address}/${name}`, 'were sent')
        } catch (failure) {
          await remove(name).catch(() => {
            // The next run removes them.
          })
          throw failure
        }
        await bucket.write(manifestOf(name), manifest)
        await bucket.remove(markOf(name))
      }),
  }
}
