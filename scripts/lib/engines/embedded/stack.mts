/** Starts and stops the embedded stack. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError } from '../../common/findings.mts'
import { exchange, zookeeperWord } from '../../common/tcp.mts'
import { waitUntil } from '../../common/wait.mts'
import { metadata } from '../../kafka/cluster-requests.mts'
import { connectWire } from '../../kafka/transport.mts'
import type { Settings } from '../../settings/settings.mts'
import { knownCause } from '../known-causes.mts'
import { lock } from './lock.mts'
import { end, isAlive, lastLines, launch, logFile, type ProcessRecord, readRecords } from './processes.mts'
import {
  archiveFile,
  type EmbeddedName,
  type EmbeddedService,
  embeddedServices,
  type Installed,
  STOP_TIMEOUT_MS,
} from './services.mts'

export interface StartedService {
  name: EmbeddedName
  state: 'started' | 'already running'
  /** From the launch to the first right answer, in ms; 0 for one that was running. */
  tookMs: number
}

/**
 * Starts what does not run or does not answer, and waits for each to answer; all services, or `only` some. All at once: Kafka's
 * own client waits for ZooKeeper, and the two Java machines take longer to come up than ZooKeeper then needs.
 * @throws {OpsError} exit code 1 with the log's last lines and known cause when a service does not come up. What this call
 *   started is stopped again; what ran before stays.
 */
export async function startEmbedded(
  settings: Settings,
  installed: Installed,
  log: (line: string) => void,
  only?: readonly EmbeddedName[],
): Promise<StartedService[]> {
  const dataDir = settings.EMBEDDED_DATA_DIR
  const unlock = lock(dataDir)
  const launched: ProcessRecord[] = []
  try {
    adoptArchives(dataDir, installed)
    const services = embeddedServices(settings, installed).filter(({ name }) => only?.includes(name) ?? true)
    const starts = services.map(async (service) => {
      const started = await startService(dataDir, service, launched)
      const seconds = (started.tookMs / 1000).toFixed(1)
      log(`  ${service.name.padEnd(10)} ${started.state === 'started' ? `ready in ${seconds} s` : started.state}`)
      return started
    })
    try {
      return await Promise.all(starts)
    } catch (error) {
      // The first failure is the cause; what the others would still wait for does not come.
      await endAll(dataDir, launched)
      await Promise.allSettled(starts)
      // One that was launched a second time in between.
      await endAll(dataDir, launched)
      // Of a life this short an archive holds next to nothing, and adopted it would never be replaced.
      for (const { name } of launched) dropArchives(dataDir, name)
      throw error
    }
  } finally {
    unlock()
  }
}

/** Class-data archives that the JVMs of this data folder wrote at their end become everyone's. */
function adoptArchives(dataDir: string, installed: Installed): void {
  const { archives } = installed
  const running = runningEmbedded(dataDir).map(({ name }) => name)
  for (const name of ['zookeeper', 'kafka']) {
    if (running.includes(name)) continue
    const archive = archiveFile(dataDir, name, installed)
    // Copied beside its place first: the data may be on another file system, and other stacks read what is in the cache.
    if (existsSync(archive)) {
      const target = path.join(archives.folder, `${name}.jsa`)
      copyFileSync(archive, `${target}.${process.pid}.tmp`)
      renameSync(`${target}.${process.pid}.tmp`, target)
      archives.existing.push(`${name}.jsa`)
    }
    // Also those that another JVM wrote, which this one would refuse.
    dropArchives(dataDir, name)
  }
}

function dropArchives(dataDir: string, name: string): void {
  const folder = path.join(dataDir, 'run')
  for (const file of readdirSync(folder)) {
    if (file.startsWith(`${name}.`) && file.endsWith('.jsa')) rmSync(path.join(folder, file))
  }
}

async function startService(
  dataDir: string,
  service: EmbeddedService,
  launched: ProcessRecord[],
): Promise<StartedService> {
  const earlier = readRecords(dataDir).find(({ name }) => name === service.name)
  if (earlier && isAlive(earlier)) {
    // It may be starting still, hang, or be about to end: it gets a fair time to answer before it is replaced.
    const outcome = async () => ((await answers(service)) ? 'answers' : !isAlive(earlier) && 'gone')
    if ((await waitUntil(outcome, { timeoutMs: 10_000, pollMs: 100 })) === 'answers') {
      return { name: service.name, state: 'already running', tookMs: 0 }
    }
    await end(dataDir, earlier, STOP_TIMEOUT_MS[service.name] ?? 10_000)
  }
  // Another stack's service would be taken for ours: it may answer before ours finds its port taken.
  if (await answers(service)) throw portHeld(service)
  prepare(service)
  const startMs = performance.now()
  let record = launch(dataDir, service)
  launched.push(record)
  const ready = await waitUntil(
    async () => {
      if (await answers(service)) return true
      if (isAlive(record)) return false
      const lines = lastLines(service.name === 'kafka' ? record.log : '', 60).join('\n')
      if (knownCause(lines)?.code !== 'KAFKA_NODE_EXISTS') throw failure(service, record, 'a process that ended')
      // After a kill, ZooKeeper keeps the old session for 6 s and the broker gives up each time it sees it.
      await delay(500)
      record = launch(dataDir, service)
      launched.push(record)
      return false
    },
    { timeoutMs: service.startTimeoutMs, pollMs: 40 },
  )
  if (!ready) throw failure(service, record, `no right answer in ${service.startTimeoutMs / 1000} s`)
  // Something else may answer on the port while ours died of finding it taken.
  if (!isAlive(record)) throw failure(service, record, 'a process that ended while another answers on its port')
  return { name: service.name, state: 'started', tookMs: performance.now() - startMs }
}

function portHeld({ name, host, port }: EmbeddedService): OpsError {
  return new OpsError(1, [
    {
      severity: 'error',
      code: 'PORT_TAKEN',
      subject: name,
      found: `a service on ${host}:${port} already, which no start with this data folder began`,
      expected: 'a free port',
      hint: 'npm run ports',
    },
  ])
}

function failure(service: EmbeddedService, record: ProcessRecord, found: string): OpsError {
  const lines = lastLines(record.log, 200)
  const cause = knownCause(lines.join('\n'), path.dirname(path.dirname(record.log)))
  const tail = lines.slice(-5).map((line) => `      ${line.slice(0, 300)}`)
  return new OpsError(1, [
    {
      severity: 'error',
      code: cause?.code ?? 'SERVICE_START',
      subject: service.name,
      found: [`${found}${cause ? `: ${cause.cause}` : ''}; ${record.log} ends with`, ...tail].join('\n'),
      expected: `a service that answers on ${service.host}:${service.port}`,
      hint: cause?.hint ?? `read ${record.log}`,
    },
  ])
}

function prepare(service: EmbeddedService): void {
  for (const folder of service.leftovers) rmSync(folder, { recursive: true, force: true })
  for (const folder of service.folders) mkdirSync(folder, { recursive: true })
  for (const [link, target] of Object.entries(service.links)) {
    rmSync(link, { force: true })
    symlinkSync(target, link)
  }
  for (const [file, { base, text }] of Object.entries(service.files)) {
    writeFileSync(file, (base ? readFileSync(base, 'utf8') : '') + text)
  }
}

/** True once the service gives the right answer; false while it refuses or gives another. */
async function answers(service: EmbeddedService): Promise<boolean> {
  const timeoutMs = 2_000
  try {
    switch (service.name) {
      case 'zookeeper':
        return (await zookeeperWord(service, 'ruok', timeoutMs)) === 'imok'
      case 'kafka':
        return await hasController(service, timeoutMs)
      case 'clickhouse': {
        const headers = {
          Authorization: service.login ?? '',
          // A connection kept for reuse would make the server wait for it when it stops.
          Connection: 'close',
        }
        const url = `http://${service.host}:${service.port}/?query=SELECT%201`
        const response = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) })
        return (await response.text()).trim() === '1'
      }
      case 'redis': {
        // NOAUTH is an answer of a server that serves; LOADING is one that does not yet.
        const answer = await exchange(service, 'PING\r\n', (received) => received.includes('\r\n'), timeoutMs)
        return /^(\+PONG|-NOAUTH)/.test(answer.toString())
      }
    }
  } catch {
    // Refused, reset or no answer in time: not yet.
    return false
  }
}

/** True once the broker knows a controller, without which nothing can be made: it answers some time before. */
async function hasController({ host, port }: EmbeddedService, timeoutMs: number): Promise<boolean> {
  const wire = await connectWire(host, port, timeoutMs)
  try {
    const { brokers, controllerId } = await wire.send(metadata, timeoutMs)
    return brokers.some(({ id }) => id === controllerId)
  } finally {
    wire.close()
  }
}

/**
 * Stops what the records name, Kafka before the ZooKeeper that it says goodbye to.
 * @returns per service how it went; empty when nothing was recorded
 */
export async function stopEmbedded(dataDir: string): Promise<{ name: string; how: Awaited<ReturnType<typeof end>> }[]> {
  if (readRecords(dataDir).length === 0) return []
  const unlock = lock(dataDir)
  try {
    const stopped = await endAll(dataDir, readRecords(dataDir))
    for (const { name, how } of stopped) if (how === 'killed') dropArchives(dataDir, name)
    return stopped
  } finally {
    unlock()
  }
}

async function endAll(dataDir: string, records: ProcessRecord[]) {
  const stop = async (record: ProcessRecord) => ({
    name: record.name,
    how: await end(dataDir, record, STOP_TIMEOUT_MS[record.name] ?? 10_000),
  })
  const first = await Promise.all(records.filter(({ name }) => name !== 'zookeeper').map(stop))
  return [...first, ...(await Promise.all(records.filter(({ name }) => name === 'zookeeper').map(stop)))]
}

/** The services of a data folder that run now, with their log files. */
export function runningEmbedded(dataDir: string): { name: string; pid: number; log: string }[] {
  return readRecords(dataDir)
    .filter(isAlive)
    .map(({ name, pid }) => ({ name, pid, log: logFile(dataDir, name) }))
}
