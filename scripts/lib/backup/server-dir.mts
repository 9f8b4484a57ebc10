/** The server's folder for BACKUP and RESTORE, in the container or embedded stack on this machine; remote servers are not supported. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { sha256Of } from '../archive/store.mts'
import { readRows } from '../clickhouse/client.mts'
import { cannotTell, configError, error, OpsError, reason, unknown } from '../common/findings.mts'
import { type Outcome, run } from '../common/run.mts'
import { otherMachines } from '../common/tcp.mts'
import { askDocker } from '../engines/docker.mts'
import { runningEmbedded } from '../engines/embedded/processes.mts'
import { findContainers } from '../engines/inspect.mts'
import type { Settings } from '../settings/settings.mts'

/** The folder's entries are backups, whose names have only letters, digits, `_` and `-`. */
export interface ServerDir {
  list: () => Promise<string[]>
  /** Returns the digest of a backup, see {@link digestOf}. */
  digest: (name: string) => Promise<string>
  /** Moves or copies a backup to a folder that does not exist yet. */
  moveOut: (name: string, to: string) => Promise<void>
  /** Copies a folder into this one. */
  copyIn: (from: string, name: string) => Promise<void>
  remove: (name: string) => Promise<void>
  /** Returns the free bytes on the server's disk. */
  freeBytes: () => Promise<number>
}

/** The server's data folder in the container. */
const CONTAINER_DATA = '/var/lib/clickhouse'
/** Shell script that computes {@link digestOf}. */
const DIGEST = 'cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum'

/** @throws {OpsError} exit code 2 if CLICKHOUSE_HOST is another machine */
export async function refuseRemote({ CLICKHOUSE_HOST: host, CLICKHOUSE_PORT: port }: Settings): Promise<void> {
  if ((await otherMachines([host])).length > 0) throw notThisStack(`${host}:${port}`)
}

function notThisStack(address: string): OpsError {
  const found = "not this machine's stack, so its folders cannot be accessed"
  const hint = 'run it on the machine of the stack; npm run archive does not need access to folders of the server'
  return configError([error('BACKUP_TARGET', `clickhouse ${address}`, { found, hint })])
}

/**
 * Finds the server's folder from the data path that the server reports.
 * @throws {OpsError} exit code 2 if the server is not part of this machine's stack; 3 if Docker does not answer
 */
export async function findServerDir(
  client: ClickHouseClient,
  settings: Settings,
  timeoutMs: number,
): Promise<ServerDir> {
  const { CLICKHOUSE_HOST: host, CLICKHOUSE_PORT: port, EMBEDDED_DATA_DIR: dataDir } = settings
  const readDisk = async () => {
    const query = "SELECT path, toFloat64(free_space) AS free FROM system.disks WHERE name = 'default'"
    return (await readRows<{ path: string; free: number }>(client, query))[0]
  }
  const data = (await readDisk())?.path ?? ''
  const freeBytes = async () => (await readDisk())?.free ?? 0
  const isEmbedded = runningEmbedded(dataDir).some(({ name }) => name === 'clickhouse')
  if (isEmbedded && path.resolve(data) === path.resolve(dataDir, 'clickhouse'))
    return { ...inFolder(path.join(data, 'backups')), freeBytes }
  const containers = path.resolve(data) === CONTAINER_DATA ? await findContainers() : []
  const container = containers.find(({ service, state }) => service === 'clickhouse' && state === 'running')
  if (!container) throw notThisStack(`${host}:${port}`)
  return { ...inContainer(container.name, timeoutMs), freeBytes }
}

function inFolder(folder: string): Omit<ServerDir, 'freeBytes'> {
  const inside = (name: string) => path.join(folder, name)
  const copy = async (from: string, to: string) => {
    done('cp', await run(['cp', '-R', from, to]))
  }
  return {
    list: () => withFolder(folder, async () => (existsSync(folder) ? readdir(folder) : [])),
    digest: (name) => withFolder(folder, () => digestOf(inside(name))),
    moveOut: (name, to) =>
      withFolder(to, () =>
        rename(inside(name), to).catch((failure: NodeJS.ErrnoException) => {
          // The target is on another disk.
          if (failure.code === 'EXDEV') return copy(inside(name), to)
          throw failure
        }),
      ),
    copyIn: (from, name) =>
      withFolder(folder, async () => {
        await mkdir(folder, { recursive: true })
        await copy(from, inside(name))
      }),
    remove: (name) => withFolder(folder, () => rm(inside(name), { recursive: true, force: true })),
  }
}

function inContainer(container: string, timeoutMs: number): Omit<ServerDir, 'freeBytes'> {
  const folder = `${CONTAINER_DATA}/backups`
  const inside = (name: string) => `${folder}/${name}`
  const exec = async (script: string, name = '') => {
    const command = ['docker', 'exec', '-u', '0', container, 'sh', '-c', script, 'sh', name && inside(name)]
    return done(`docker exec ${container}`, await askDocker(command, timeoutMs)).stdout
  }
  const copy = async (from: string, to: string) =>
    done('docker cp', await askDocker(['docker', 'cp', from, to], timeoutMs))
  return {
    list: async () => (await exec(`ls ${folder} 2>/dev/null || true`)).split('\n').filter(Boolean),
    digest: async (name) => (await exec(DIGEST, name)).split(' ')[0] ?? '',
    moveOut: async (name, to) => {
      await copy(`${container}:${inside(name)}`, to)
    },
    copyIn: async (from, name) => {
      await exec(`mkdir -p ${folder}`)
      await copy(from, `${container}:${inside(name)}`)
      // Files that `docker cp` creates belong to root, but the server runs as another user.
      await exec(`chown -R --reference=${CONTAINER_DATA} ${folder}`)
    },
    remove: async (name) => {
      await exec('rm -rf "$1"', name)
    },
  }
}

function done(subject: string, outcome: Outcome): Outcome {
  if (outcome.ok) return outcome
  const found = outcome.stderr.trim().split('\n').at(-1) || 'it failed without an error message'
  throw cannotTell(unknown('BACKUP_COPY', subject, { found, hint: 'df -h; docker ps' }))
}

/**
 * Returns the SHA-256 of a folder: the hash of the lines that `sha256sum` prints for its files, sorted by path.
 * @param options.sync flushes each file to disk
 */
export async function digestOf(folder: string, { sync = false } = {}): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => `./${path.relative(folder, path.join(entry.parentPath, entry.name))}`)
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const all = createHash('sha256')
  for (const file of files) {
    all.update(`${await sha256Of(path.join(folder, file))}  ${file}\n`)
    if (!sync) continue
    const handle = await open(path.join(folder, file))
    await handle.sync().finally(() => handle.close())
  }
  return all.digest('hex')
}

/** Runs `use`, and turns file system errors into a finding about `folder`, exit code 1. */
export async function withFolder<T>(folder: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (failure) {
    const { code = '', syscall } = failure as NodeJS.ErrnoException
    if (syscall === undefined || syscall === 'connect' || !/^E[A-Z]+$/.test(code)) throw failure
    const hint = `df -h ${folder}; ls -ld ${folder}`
    throw new OpsError(1, [error('BACKUP_FILE', folder, { found: reason(failure), hint })], failure)
  }
}
