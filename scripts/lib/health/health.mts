/** The health of the whole stack: every service probed in parallel, each against its own deadline. */
import { containerLog, readContainers, readMemory } from '../docker.mts'
import { isAlive, lastLines, readRecords } from '../embedded/processes.mts'
import { exitCodeOf, type Finding, OpsError, type Paint } from '../findings.mts'
import { knownCause } from '../known-causes.mts'
import type { Settings } from '../settings.mts'
import { inTime } from '../wait.mts'
import { explainByContainer, memoryFindings } from './container.mts'
import { type Probe, type ProbeOptions, SERVICES, type ServiceName, unanswered } from './probe.mts'

export type Mode = 'docker' | 'embedded' | 'unknown'

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
  mode: Mode
  services: ServiceHealth[]
  findings: Finding[]
}

type Ask = (settings: Settings, options: ProbeOptions) => Promise<Probe>

/** Probes are imported when they are run: a client costs up to 0.1 s. */
const PROBES: Record<ServiceName, () => Promise<Ask>> = {
  zookeeper: async () => (await import('./zookeeper.mts')).probeZookeeper,
  kafka: async () => (await import('./kafka.mts')).probeKafka,
  clickhouse: async () => (await import('./clickhouse.mts')).probeClickHouse,
  redis: async () => (await import('./redis.mts')).probeRedis,
  'kafka-ui': async () => (await import('./kafka-ui.mts')).probeKafkaUi,
  ingest: async () => (await import('./ingest.mts')).probeIngest,
  canary: async () => (await import('./canary.mts')).probeCanary,
}

let imported: Promise<unknown> = Promise.resolve()

/** Imports one probe after the other: of two imported at once, jiti 2.7 gives one the modules they share before these are run. */
function importProbe(service: ServiceName): Promise<Ask> {
  const ask = imported.then(PROBES[service])
  imported = ask.catch(() => {})
  return ask
}

/** Deadlines of one question that a probe gets for all that it asks. A canary waits for others to carry it. */
const PATIENCE = 2
/** With `deep` one deadline more, for the writing. */
const DEEP_PATIENCE = 3
const CANARY_PATIENCE = 6

function addressOf(service: ServiceName, settings: Settings): string {
  return {
    zookeeper: `port ${settings.ZOOKEEPER_CLIENT_PORT}`,
    kafka: settings.KAFKA_BOOTSTRAP_SERVERS.join(', '),
    clickhouse: `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`,
    redis: `${settings.REDIS_HOST}:${settings.REDIS_PORT}`,
    'kafka-ui': `port ${settings.KAFKA_UI_PORT}`,
    ingest: `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}`,
    canary: 'all services',
  }[service]
}

/** The health of the given services, now. Changes nothing, scratch data of `deep` aside. */
export async function readHealth(
  settings: Settings,
  only: readonly ServiceName[],
  options: ProbeOptions,
): Promise<StackHealth> {
  const records = readRecords(settings.EMBEDDED_DATA_DIR)
  const asked = SERVICES.filter((service) =>
    only.length === 0 ? options.deep || service !== 'canary' : only.includes(service),
  )
  const embedded = records.some(isAlive)
  const [containers, memory, probed] = await Promise.all([
    embedded ? [] : readContainers(),
    // It takes 2 s, as writing does, so with `deep` it costs nothing.
    embedded || !options.deep ? undefined : readMemory(2 * options.timeoutMs),
    Promise.all(
      asked.map((service) => (embedded && service === 'kafka-ui' ? skip(service) : probe(service, settings, options))),
    ),
  ])
  // An embedded stack that was killed as a whole has left its records.
  const mode: Mode = containers.length > 0 ? 'docker' : records.length > 0 ? 'embedded' : 'unknown'
  const services = probed
    .map((health) => (mode === 'embedded' && health.service === 'kafka-ui' ? skip(health.service) : health))
    // Off by default, and then no part of the stack.
    .filter(({ service, state }) => service !== 'ingest' || state !== 'skipped' || only.includes('ingest'))
  for (const health of services) {
    const container = containers.find(({ service }) => service === health.service)
    if (container) health.findings = await explainByContainer(health.service, container, health.findings)
    else explain(health, settings)
    const used = container && memory?.get(container.name)
    if (used) {
      health.findings.push(...memoryFindings(health.service, used))
      health.details = { ...health.details, memory: used.usage, memoryPercent: used.percentOfLimit }
    }
    health.state = stateOf(health)
  }
  return { mode, services, findings: services.flatMap(({ findings }) => findings) }
}

function skip(service: ServiceName): ServiceHealth {
  return { service, state: 'skipped', latencyMs: 0, summary: 'Docker only', details: {}, findings: [] }
}

function stateOf({ state, findings }: ServiceHealth): ServiceHealth['state'] {
  if (state === 'skipped') return state
  return ({ 0: 'healthy', 1: 'unhealthy', 2: 'unhealthy', 3: 'unknown' } as const)[exitCodeOf(findings)]
}

async function probe(service: ServiceName, settings: Settings, options: ProbeOptions): Promise<ServiceHealth> {
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
  const timeoutMs =
    options.timeoutMs * (service === 'canary' ? CANARY_PATIENCE : options.deep ? DEEP_PATIENCE : PATIENCE)
  try {
    const probed = importProbe(service).then((ask) => ask(settings, options))
    return health(await inTime(probed, timeoutMs, `timed out after ${timeoutMs / 1000} s`))
  } catch (error) {
    // Mistakes in our own files are the user's to mend, not the service's.
    if (error instanceof OpsError && error.exitCode === 2) throw error
    return silent(error)
  }
}

/** Adds to the finding of an embedded service that gives no answer what its log says: a known cause, or the last line. */
function explain(health: ServiceHealth, settings: Settings): void {
  const silent = health.findings.find(({ code, severity }) => code === 'NO_ANSWER' && severity === 'error')
  if (!silent) return
  // Without a record it was stopped in good order, and its log is of an earlier life.
  const record = readRecords(settings.EMBEDDED_DATA_DIR).find(({ name }) => name === health.service)
  const log = record ? lastLines(record.log, 1000) : []
  const cause = knownCause(log.join('\n'), settings.EMBEDDED_DATA_DIR)
  if (cause) {
    silent.code = cause.code
    silent.found += `; its log tells of ${cause.cause}`
    silent.hint = cause.hint
  } else if (log.length > 0) {
    silent.found += `; its log ends with "${log.at(-1)?.slice(0, 200)}"`
  }
}

/** Lines of a log that are shown of a service that is not healthy. */
const LAST_LINES = 5

/** The ends of the logs of services that are not healthy, for people; empty for none. */
export async function renderLogs(settings: Settings, { mode, services }: StackHealth): Promise<string> {
  const containers = mode === 'docker' ? await readContainers() : []
  const records = readRecords(settings.EMBEDDED_DATA_DIR)
  const ends = services.map(async ({ service, state }) => {
    if (state === 'healthy' || state === 'skipped') return ''
    const container = containers.find((each) => each.service === service)
    const record = records.find(({ name }) => name === service)
    const lines = container
      ? await containerLog(container.name, LAST_LINES)
      : record
        ? lastLines(record.log, LAST_LINES)
        : []
    const shown = lines.filter(Boolean).map((line) => `  ${line.slice(0, 300)}`)
    return shown.length > 0 ? [`The log of ${service} ends with`, ...shown].join('\n') : ''
  })
  return (await Promise.all(ends)).filter(Boolean).join('\n')
}

const STATE_STYLES = { healthy: 'green', unhealthy: 'red', unknown: 'yellow', skipped: 'dim' } as const

/** One line a service: state, latency, essentials. */
export function renderHealth({ services }: StackHealth, paint: Paint): string {
  return services
    .map(({ service, state, latencyMs, summary }) => {
      const latency = state === 'skipped' ? '' : `${latencyMs} ms`
      return `${service.padEnd(10)}  ${paint(STATE_STYLES[state], state.padEnd(9))}  ${latency.padStart(8)}  ${summary}`
    })
    .join('\n')
}
