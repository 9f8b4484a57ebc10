/** Where backups are kept: a folder of this machine, or below a prefix of a bucket. A backup has the same files in both. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import { nameFile } from '../archive/store.mts'
import { configError, error, OpsError, reason } from '../common/findings.mts'
import { quoted } from '../common/shell-quote.mts'
import { readTextFile } from '../common/text-file.mts'
import { isS3 } from '../s3/address.mts'
import { type Bucket, openBucket } from '../s3/bucket.mts'
import type { Settings } from '../settings/settings.mts'
import { isNameOf } from './name.mts'
import { interrupted } from './server.mts'
import { digestOf, withFolder } from './server-dir.mts'

export interface Shelf {
  /** As the command line names it. */
  address: string
  /** What shows what is there. */
  hint: string
  /** Folder of this machine that a backup passes through on its way; that of the backups itself where it is one. */
  folder: string
  /** Names of what is there, in order, of other databases too. */
  names: () => Promise<string[]>
  /** The text of a manifest; undefined when there is none. */
  readManifest: (name: string) => Promise<string | undefined>
  /** As {@link digestOf}, of the data of a backup. */
  digest: (name: string) => Promise<string>
  /** What `use` makes of a folder of this machine with the data of a backup. */
  withData: <T>(name: string, use: (data: string) => Promise<T>) => Promise<T>
  /** Removes what a killed run of this machine left; returns the names. */
  tidy: (database: string) => Promise<string[]>
  /** Keeps what `take` brings to a folder, once it has that digest; nothing is there under the name before. */
  keep: (
    name: string,
    proven: { sha256: string; manifest: string },
    take: (to: string) => Promise<void>,
  ) => Promise<void>
}

const MAX_BYTES = 256 * 1024 ** 2

/**
 * @param place as `placeOf` has it
 * @param asked whether Ctrl-C came: nothing more is sent
 * @throws {OpsError} exit code 2 for an address of S3 without the settings that it needs
 */
export async function openShelf(
  settings: Settings,
  place: string,
  { timeoutMs, asked = () => false }: { timeoutMs: number; asked?: () => boolean },
): Promise<Shelf> {
  if (!isS3(place)) return inFolder(place)
  const dataDir = settings.EMBEDDED_DATA_DIR
  return inBucket(place, await openBucket(settings, place, timeoutMs), path.join(dataDir, 'backup', 's3'), asked)
}

const differs = (subject: string, from: string): OpsError => {
  const found = `files that differ from those that ${from}`
  return new OpsError(1, [error('BACKUP_PROOF', subject, { found, hint: 'no backup was kept; run it again' })])
}

/** What the name of a backup that is not proven yet ends with. */
const HALF = '.part'

function inFolder(folder: string): Shelf {
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
    tidy: (database) =>
      withFolder(folder, async () => {
        const halves = (existsSync(folder) ? await readdir(folder) : []).filter(
          (file) => file.endsWith(HALF) && isNameOf(database, file.slice(0, -HALF.length)),
        )
        for (const half of halves) await rm(inside(half), { recursive: true })
        return halves
      }),
    keep: async (name, { sha256, manifest }, take) => {
      const half = inside(`${name}${HALF}`)
      try {
        await withFolder(folder, async () => {
          await mkdir(half)
          await take(path.join(half, 'data'))
          if ((await digestOf(path.join(half, 'data'), { sync: true })) !== sha256)
            throw differs(half, 'ClickHouse wrote')
          const handle = await open(path.join(half, 'manifest.json'), 'w')
          try {
            await handle.writeFile(manifest)
            await handle.sync()
          } finally {
            await handle.close()
          }
          await nameFile(half, inside(name))
        })
      } finally {
        await rm(half, { recursive: true, force: true })
      }
    },
  }
}

function inBucket(address: string, bucket: Bucket, folder: string, asked: () => boolean): Shelf {
  const manifestOf = (name: string) => `${name}/manifest.json`
  const dataOf = (name: string) => `${name}/data/`
  /** There while a backup is being sent: whose it is, so that no other machine takes it for its own leftover. */
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
  /** What `use` makes of a folder of this machine, empty at first and removed at the end. */
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
          if (asked()) throw interrupted()
          const file = path.join(data, key.slice(dataOf(name).length))
          // Keys may be of anybody.
          if (!file.startsWith(data + path.sep) || key.endsWith('/')) continue
          await mkdir(path.dirname(file), { recursive: true })
          await bucket.fetch(key, file)
        }
        return use(data)
      }),
    tidy: async (database) => {
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
    keep: (name, { sha256, manifest }, take) =>
      withData(async (data) => {
        await take(data)
        if ((await digestOf(data)) !== sha256) throw differs(data, 'ClickHouse wrote')
        await bucket.write(markOf(name), owner)
        try {
          for (const entry of await readdir(data, { recursive: true, withFileTypes: true })) {
            if (asked()) throw interrupted()
            const file = path.join(entry.parentPath, entry.name)
            if (entry.isFile()) await bucket.send(file, dataOf(name) + path.relative(data, file))
          }
          if ((await digest(name)) !== sha256) throw differs(`${address}/${name}`, 'were sent')
        } catch (failure) {
          await remove(name).catch(() => {
            // The next run does it.
          })
          throw failure
        }
        await bucket.write(manifestOf(name), manifest)
        await bucket.remove(markOf(name))
      }),
  }
}
