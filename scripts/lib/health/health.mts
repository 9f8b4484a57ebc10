/** The health of the stack: probes all services in parallel, each with its own deadline. */

import { exitCodeOf, type Finding, OpsError, type Paint } from '../common/findings.mts'
import { table } from '../common/table.mts'
import { inTime } from '../common/wait.mts'
import { explainByContainer, machineFindings, memoryFindings } from '../engines/container.mts'
import { explainByLog } from '../engines/embedded/failure.mts'
import { confinementFindings } from '../engines/embedded/landlock.mts'
import { runningEmbedded } from '../engines/embedded/processes.mts'
import { readContainers, readMachineMemory, readMemory } from '../engines/inspect.mts'
import { modeOf, type StackMode } from '../engines/mode.mts'
import { SERVICES, type ServiceName } from '../engines/service.mts'
import type { Settings } from '../settings/settings.mts'
import { exposure } from './exposure.mts'
import { type Probe, type ProbeOptions, unanswered } from './probe.mts'
import { importProbes, type ProbeFunction, waitTurn } from './probes.mts'

export interface ServiceHealth {
  service: ServiceName
  /** `skipped`: not part of the running stack; never counts as healthy. */
  state: 'healthy' | 'unhealthy' | 'unknown' | 'skipped'
  /** Duration of the probe in ms. */
  latencyMs: number
  summary: string
  details: Probe['details']
  findings: Finding[]
}

export interface StackHealth {
  mode: StackMode | 'unknown'
  services: ServiceHealth[]
  findings: Finding[]
}

/** Deadline of a probe, as a multiple of the deadline of one request. The canary also waits for other services. */
const DEADLINES = 2
/** With `deep`, one more for the write. */
const DEEP_DEADLINES = 3
const CANARY_DEADLINES = 6
/** Maximum deadline of a Docker command, in ms. */
const DOCKER_MS = 10_000
/** Minimum deadline of a request in ms, however little time is left: enough for a healthy service under load. */
const MIN_REQUEST_MS = 500
const CANARY_MIN_REQUEST_MS = 1_000

function addressOf(service: ServiceName, settings: Settings): string {
  return {
    zookeeper: `port ${settings.ZOOKEEPER_CLIENT_PORT}`,
    kafka: settings.KAFKA_BOOTSTRAP_SERVERS.join(', '),
    clickhouse: `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`,
    redis: `${settings.REDIS_HOST}:${settings.REDIS_PORT}`,
    'kafka-ui': `port ${settings.KAFKA_UI_PORT}`,
    ui: `port ${settings.KAFKA_UI_PORT}`,
    ingest: `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`,
    canary: 'all services',
  }[service]
}

/** Functions that query Docker; a caller that polls passes cached versions. */
export interface DockerQueries {
  readContainers: typeof readContainers
  readMachineMemory: (timeoutMs: number) => ReturnType<typeof readMachineMemory>
}

/** Returns the current health of the given services. Changes nothing, except for the scratch data of `deep`. */
export async function readHealth(
  settings: Settings,
  only: readonly ServiceName[],
  options: ProbeOptions,
  docker: DockerQueries = { readContainers, readMachineMemory },
): Promise<StackHealth> {
  const selected = SERVICES.filter((service) =>
    only.length === 0 ? options.deep || service !== 'canary' : only.includes(service),
  )
  const running = runningEmbedded(settings.EMBEDDED_DATA_DIR)
  const embedded = running.length > 0
  const present = selected.filter((service) => service !== (embedded ? 'kafka-ui' : 'ui') && isPart(service, settings))
  const probes = await importProbes(present, options.deep)
  // zx runs the Docker commands.
  if (!embedded) await import('zx/core')
  const [containers, memory, machineBytes, probed] = await Promise.all([
    embedded ? [] : docker.readContainers(Math.min(DOCKER_MS, Math.max(MIN_REQUEST_MS, options.leftMs ?? DOCKER_MS))),
    // Takes 2 s, no longer than the writes of `deep`.
    embedded || !options.deep ? undefined : readMemory(2 * options.timeoutMs),
    embedded ? undefined : docker.readMachineMemory(2 * options.timeoutMs),
    Promise.all(
      selected.map(async (service) => {
        const run = probes.get(service)
        if (!run) return skip(service, skipReason(service, settings))
        await waitTurn(service)
        return probe(service, run, settings, options)
      }),
    ),
  ])
  const mode = modeOf(containers, settings.EMBEDDED_DATA_DIR)
  const services = probed
    .map((health) =>
      mode === 'embedded' && health.service === 'kafka-ui' ? skip(health.service, DOCKER_ONLY) : health,
    )
    .filter((health) => only.includes(health.service) || isListed(health, mode, settings))
  for (const health of services) {
    const container = containers?.find(({ service }) => service === health.service)
    if (container) health.findings = await explainByContainer(health.service, container, health.findings)
    else explainByLog(health, settings.EMBEDDED_DATA_DIR)
    const used = container && memory?.get(container.name)
    if (used) {
      health.findings.push(...memoryFindings(health.service, used))
      health.details = { ...health.details, memory: used.usage, memoryPercent: used.percentOfLimit }
    }
    health.state = stateOf(health)
  }
  return {
    mode,
    services,
    findings: [
      ...services.flatMap(({ findings }) => findings),
      ...machineFindings(containers ?? [], machineBytes),
      ...(present.includes('clickhouse') ? confinementFindings(running) : []),
      ...(await exposure(settings, mode)),
    ],
  }
}

const DOCKER_ONLY = 'Docker only'
const NOT_PART = 'not part of this target (KAFKA_MODE=kraft)'

/** False for ZooKeeper in KRaft mode, and for the web page if it is disabled. */
const isPart = (service: ServiceName, { KAFKA_MODE: mode, EMBEDDED_UI: ui }: Settings) =>
  (service !== 'zookeeper' || mode === 'zookeeper') && (service !== 'ui' || ui === 'on')

function skipReason(service: ServiceName, settings: Settings): string {
  if (service === 'ui') return isPart(service, settings) ? 'not running: npm run ui' : 'disabled (EMBEDDED_UI=off)'
  return isPart(service, settings) ? DOCKER_ONLY : NOT_PART
}

/** False for services that the report omits unless they are selected. Of Kafka UI and the web page, it shows only one. */
function isListed({ service, state }: ServiceHealth, mode: StackHealth['mode'], settings: Settings): boolean {
  if (service === 'ui') return state !== 'skipped'
  if (service === 'kafka-ui') return mode !== 'embedded' || settings.EMBEDDED_UI === 'off'
  // The ingest is off by default. If ClickHouse does not answer, its own probe reports that.
  return service !== 'ingest' || state === 'healthy'
}

function skip(service: ServiceName, summary: string): ServiceHealth {
  return { service, state: 'skipped', latencyMs: 0, summary, details: {}, findings: [] }
}

function stateOf({ state, findings }: ServiceHealth): ServiceHealth['state'] {
  if (state === 'skipped') return state
  return ({ 0: 'healthy', 1: 'unhealthy', 2: 'unhealthy', 3: 'unknown' } as const)[exitCodeOf(findings)]
}

async function probe(
  service: ServiceName,
  run: ProbeFunction,
  settings: Settings,
  options: ProbeOptions,
): Promise<ServiceHealth> {
  const startMs = performance.now()
  const health = (probed: Probe): ServiceHealth => ({
    service,
    state: 'healthy',
    latencyMs: Math.round(performance.now() - startMs),
    ...probed,
  })
  const silent = (error: unknown) =>
    health({ summary: 'no answer', details: {}, findings: [unanswered(service, addressOf(service, settings), error)] })
  const deadlines = service === 'canary' ? CANARY_DEADLINES : options.deep ? DEEP_DEADLINES : DEADLINES
  const minMs = service === 'canary' ? CANARY_MIN_REQUEST_MS : MIN_REQUEST_MS
  const requestMs = Math.min(
    options.timeoutMs,
    Math.max(minMs, (options.leftMs ?? Number.POSITIVE_INFINITY) / deadlines),
  )
  const timeoutMs = requestMs * deadlines
  try {
    const probing = run(settings, { ...options, timeoutMs: requestMs })
    return health(await inTime(probing, timeoutMs, `timed out after ${Math.round(timeoutMs) / 1000} s`))
  } catch (error) {
    // An error in our configuration files is not a fault of the service.
    if (error instanceof OpsError && error.exitCode === 2) throw error
    return silent(error)
  }
}

const STATE_STYLES = { healthy: 'green', unhealthy: 'red', unknown: 'yellow', skipped: 'dim' } as const

/** Renders one line per service: state, latency and summary. */
export function renderHealth({ services }: StackHealth, paint: Paint): string {
  const rows = services.map(({ service, state, latencyMs, summary }) => {
    const latency = state === 'skipped' ? '' : `${latencyMs} ms`
    return [service, paint(STATE_STYLES[state], state), latency, summary]
  })
  return table(rows, { align: 'llr', indent: 0 })
}
