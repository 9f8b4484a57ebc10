/** The health of the whole stack: every service probed in parallel, each against its own deadline. */

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
import { type Ask, importProbes, inTurn } from './probes.mts'

export interface ServiceHealth {
  service: ServiceName
  /** `skipped`: not part of the running mode; never counted as healthy. */
  state: 'healthy' | 'unhealthy' | 'unknown' | 'skipped'
  /** Time that the probe took, in ms. */
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

/** Deadlines of one question that a probe gets for all that it asks. A canary waits for others to carry it. */
const PATIENCE = 2
/** With `deep` one deadline more, for the writing. */
const DEEP_PATIENCE = 3
const CANARY_PATIENCE = 6
/** Milliseconds that Docker gets for each question, unless less time is left. */
const DOCKER_MS = 10_000
/** Milliseconds that one question gets however little time is left: a healthy service that is busy answers in that. */
const LEAST_MS = 500
const CANARY_LEAST_MS = 1_000

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

/** How Docker is asked; who asks often may keep its answers for a while. */
export interface HealthLook {
  readContainers: typeof readContainers
  readMachineMemory: (timeoutMs: number) => ReturnType<typeof readMachineMemory>
}

/** The health of the given services, now. Changes nothing, scratch data of `deep` aside. */
export async function readHealth(
  settings: Settings,
  only: readonly ServiceName[],
  options: ProbeOptions,
  docker: HealthLook = { readContainers, readMachineMemory },
): Promise<StackHealth> {
  const asked = SERVICES.filter((service) =>
    only.length === 0 ? options.deep || service !== 'canary' : only.includes(service),
  )
  const running = runningEmbedded(settings.EMBEDDED_DATA_DIR)
  const embedded = running.length > 0
  const present = asked.filter((service) => service !== (embedded ? 'kafka-ui' : 'ui') && isPart(service, settings))
  const asks = await importProbes(present, options.deep)
  // What asks Docker.
  if (!embedded) await import('zx/core')
  const [containers, memory, machineBytes, probed] = await Promise.all([
    embedded ? [] : docker.readContainers(Math.min(DOCKER_MS, Math.max(LEAST_MS, options.leftMs ?? DOCKER_MS))),
    // It takes 2 s, as writing does, so with `deep` it costs nothing.
    embedded || !options.deep ? undefined : readMemory(2 * options.timeoutMs),
    embedded ? undefined : docker.readMachineMemory(2 * options.timeoutMs),
    Promise.all(
      asked.map(async (service) => {
        const ask = asks.get(service)
        if (!ask) return skip(service, whyNot(service, settings))
        await inTurn(service)
        return probe(service, ask, settings, options)
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

/** False for ZooKeeper where Kafka does without, and for the page where it is left out. */
const isPart = (service: ServiceName, { KAFKA_MODE: mode, EMBEDDED_UI: ui }: Settings) =>
  (service !== 'zookeeper' || mode === 'zookeeper') && (service !== 'ui' || ui === 'on')

function whyNot(service: ServiceName, settings: Settings): string {
  if (service === 'ui') return isPart(service, settings) ? 'not running: npm run ui' : 'left out (EMBEDDED_UI=off)'
  return isPart(service, settings) ? DOCKER_ONLY : NOT_PART
}

/** Of Kafka UI and the page, the stack lists one. */
function isListed({ service, state }: ServiceHealth, mode: StackHealth['mode'], settings: Settings): boolean {
  if (service === 'ui') return state !== 'skipped'
  if (service === 'kafka-ui') return mode !== 'embedded' || settings.EMBEDDED_UI === 'off'
  // Off by default, and then no part of the stack; why ClickHouse does not say is in its own probe's findings.
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
  ask: Ask,
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
  // A probe asks several questions: together they get a multiple of the time of one.
  const patience = service === 'canary' ? CANARY_PATIENCE : options.deep ? DEEP_PATIENCE : PATIENCE
  const leastMs = service === 'canary' ? CANARY_LEAST_MS : LEAST_MS
  const questionMs = Math.min(
    options.timeoutMs,
    Math.max(leastMs, (options.leftMs ?? Number.POSITIVE_INFINITY) / patience),
  )
  const timeoutMs = questionMs * patience
  try {
    const asked = ask(settings, { ...options, timeoutMs: questionMs })
    return health(await inTime(asked, timeoutMs, `timed out after ${Math.round(timeoutMs) / 1000} s`))
  } catch (error) {
    // A mistake in our own files is no fault of the service.
    if (error instanceof OpsError && error.exitCode === 2) throw error
    return silent(error)
  }
}

const STATE_STYLES = { healthy: 'green', unhealthy: 'red', unknown: 'yellow', skipped: 'dim' } as const

/** One line a service: state, latency, essentials. */
export function renderHealth({ services }: StackHealth, paint: Paint): string {
  const rows = services.map(({ service, state, latencyMs, summary }) => {
    const latency = state === 'skipped' ? '' : `${latencyMs} ms`
    return [service, paint(STATE_STYLES[state], state), latency, summary]
  })
  return table(rows, { align: 'llr', indent: 0 })
}
