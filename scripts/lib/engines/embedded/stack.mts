/** Starts and stops the embedded stack. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { configError, error } from '../../common/findings.mts'
import { waitUntil } from '../../common/wait.mts'
import type { Settings } from '../../settings/settings.mts'
import { knownCause } from '../known-causes.mts'
import { EMBEDDED_SERVICES, type EmbeddedName } from '../service.mts'
import { adoptArchives, dropArchives } from './cds-archives.mts'
import { isFileError, unusable } from './data-dir.mts'
import type { EmbeddedService, Installed } from './definition.mts'
import { failure, portHeld } from './failure.mts'
import { lock } from './lock.mts'
import { isAlive, lastLines, launch, type ProcessRecord, readRecords, stopProcess } from './processes.mts'
import { answering, answersAll } from './readiness.mts'
import { embeddedServices, STOP_TIMEOUT_MS } from './services.mts'
import { formatStorage, refuseOtherMode } from './storage.mts'

export interface StartedService {
  name: EmbeddedName
  state: 'started' | 'already running'
  /** Time from the launch until it was ready, in ms; 0 for one that was already running. */
  tookMs: number
}

/**
 * Starts the services that do not run or do not answer, and waits until each is ready. Starts all at once: Kafka waits for ZooKeeper, which
 * is ready soon after its JVM is up.
 * @param only the services to start; by default all
 * @throws {OpsError} exit code 2 for Kafka data of the other KAFKA_MODE; 1 if a service does not become ready, with its log's last lines and
 *   the known cause. Then stops what this call started, but nothing that ran before.
 */
export async function startEmbedded(
  settings: Settings,
  installed: Installed,
  log: (line: string) => void,
  only?: readonly EmbeddedName[],
): Promise<StartedService[]> {
  const dataDir = settings.EMBEDDED_DATA_DIR
  refuseSeparators(dataDir, installed)
  const unlock = lock(dataDir)
  const launched: ProcessRecord[] = []
  try {
    adoptArchives(dataDir, installed)
    const services = embeddedServices(settings, installed).filter(({ name }) => only?.includes(name) ?? true)
    if (services.some(({ name }) => name === 'kafka')) refuseOtherMode(settings)
    const starts = services.map(async (service) => {
      if (service.name === 'kafka') await formatStorage(settings, installed)
      const started = await startService(dataDir, service, launched)
      const seconds = (started.tookMs / 1000).toFixed(1)
      log(`  ${service.name.padEnd(10)} ${started.state === 'started' ? `ready in ${seconds} s` : started.state}`)
      return started
    })
    try {
      return await Promise.all(starts)
    } catch (cause) {
      // The first failure is the cause. The other services may wait for one that will never be ready.
      await stopAll(dataDir, launched)
      await Promise.allSettled(starts)
      // A service may have been relaunched in between.
      await stopAll(dataDir, launched)
      // After such a short run an archive contains next to nothing, and once adopted it would never be replaced.
      for (const { name } of launched) dropArchives(dataDir, name)
      throw isFileError(cause) ? unusable(dataDir, cause) : cause
    }
  } finally {
    unlock()
  }
}

/** @throws {OpsError} exit code 2 for paths that Java or Kafka would split in two */
function refuseSeparators(dataDir: string, { jars: [jar = ''] }: Installed): void {
  const refuse = (subject: string, found: string, hint: string) => {
    throw configError([error('PATH_SEPARATOR', subject, { found, hint })])
  }
  if (jar.includes(':'))
    refuse(jar, 'a ":" in its path, at which Java splits it', 'clone the repository to a path without ":"')
  if (dataDir.includes(','))
    refuse(
      dataDir,
      'a "," in its path, at which Kafka splits it',
      'set EMBEDDED_DATA_DIR in .env to a path without ","',
    )
}

async function startService(
  dataDir: string,
  service: EmbeddedService,
  launched: ProcessRecord[],
): Promise<StartedService> {
  const earlier = readRecords(dataDir).find(({ name }) => name === service.name)
  if (earlier && isAlive(earlier)) {
    // It may still be starting, hang, or be about to exit: it gets 10 s to answer before it is replaced.
    const outcome = async () => ((await answersAll(service)) ? 'answers' : !isAlive(earlier) && 'gone')
    if ((await waitUntil(outcome, { timeoutMs: 10_000, pollMs: 100 })) === 'answers') {
      return { name: service.name, state: 'already running', tookMs: 0 }
    }
    await stopProcess(dataDir, earlier, STOP_TIMEOUT_MS[service.name] ?? 10_000)
  }
  // A service of another stack could be mistaken for ours: it may answer before ours finds out that the port is taken.
  const [held] = await answering(service)
  if (held !== undefined) throw portHeld(service, held)
  prepare(service)
  const startMs = performance.now()
  let record = launch(dataDir, service)
  launched.push(record)
  const ready = await waitUntil(
    async () => {
      if (await answersAll(service)) return true
      if (isAlive(record)) return false
      const lines = lastLines(service.name === 'kafka' ? record.log : '', 60).join('\n')
      if (knownCause(lines)?.code !== 'KAFKA_NODE_EXISTS') throw failure(record, 'its process exited')
      // After a kill, ZooKeeper keeps the broker's old session for 6 s, and the broker exits each time it finds that session.
      await delay(500)
      record = launch(dataDir, service)
      launched.push(record)
      return false
    },
    { timeoutMs: service.startTimeoutMs, pollMs: 40 },
  )
  if (!ready) throw failure(record, `no valid answer within ${service.startTimeoutMs / 1000} s`)
  // Another program may answer on the port, and ours have exited because the port was taken.
  if (!isAlive(record)) throw failure(record, 'its process exited, and another one answers on its port')
  return { name: service.name, state: 'started', tookMs: performance.now() - startMs }
}

function prepare(service: EmbeddedService): void {
  for (const folder of service.leftovers ?? []) rmSync(folder, { recursive: true, force: true })
  for (const folder of service.folders ?? []) mkdirSync(folder, { recursive: true })
  for (const [link, target] of Object.entries(service.links ?? {})) {
    rmSync(link, { force: true })
    symlinkSync(target, link)
  }
  for (const [file, { base, text }] of Object.entries(service.files ?? {})) {
    writeFileSync(file, (base ? readFileSync(base, 'utf8') : '') + text)
  }
}

const isService = ({ name }: ProcessRecord) => (EMBEDDED_SERVICES as readonly string[]).includes(name)

/**
 * Returns the result of `work`, unless a service of the data folder exits first.
 * @throws {OpsError} exit code 1 with the log of the service that exited
 */
export async function whileRunning<T>(dataDir: string, work: Promise<T>): Promise<T> {
  let done = false
  const finished = work.finally(() => {
    done = true
  })
  const watch = async (): Promise<never> => {
    while (!done) {
      const exited = readRecords(dataDir).find((record) => isService(record) && !isAlive(record))
      if (exited) throw failure(exited, 'its process exited after it was ready')
      await delay(250)
    }
    return new Promise(() => {})
  }
  return Promise.race([finished, watch()])
}

/**
 * Stops the recorded processes, ZooKeeper last, because Kafka needs it for a clean shutdown.
 * @returns how each service was stopped; empty if nothing was recorded
 */
export async function stopEmbedded(
  dataDir: string,
): Promise<{ name: string; how: Awaited<ReturnType<typeof stopProcess>> }[]> {
  if (readRecords(dataDir).length === 0) return []
  const unlock = lock(dataDir)
  try {
    const stopped = await stopAll(dataDir, readRecords(dataDir))
    for (const { name, how } of stopped) if (how === 'killed') dropArchives(dataDir, name)
    return stopped
  } finally {
    unlock()
  }
}

async function stopAll(dataDir: string, records: ProcessRecord[]) {
  const stop = async (record: ProcessRecord) => ({
    name: record.name,
    how: await stopProcess(dataDir, record, STOP_TIMEOUT_MS[record.name] ?? 10_000),
  })
  const first = await Promise.all(records.filter(({ name }) => name !== 'zookeeper').map(stop))
  return [...first, ...(await Promise.all(records.filter(({ name }) => name === 'zookeeper').map(stop)))]
}
