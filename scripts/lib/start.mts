/** What `npm start` does, step by step: choose Docker or embedded, start, tables, topics, health. */
import { withClickHouse } from './clickhouse/client.mts'
import { cannotTell, configError, type Finding, OpsError, type Paint } from './common/findings.mts'
import { waitUntil } from './common/wait.mts'
import { type Docker, findDocker, PROJECT, runningSince } from './engines/docker.mts'
import { install } from './engines/embedded/install.mts'
import { refuseWhileLocked } from './engines/embedded/lock.mts'
import { runningEmbedded, startEmbedded } from './engines/embedded/stack.mts'
import { mountFindings } from './engines/mounts.mts'
import { readHealth, renderHealth, type StackHealth } from './health/health.mts'
import { LAG_LIMITS } from './health/probe.mts'
import { switchOn } from './ingest/switch.mts'
import { readPortStates } from './ports/ports.mts'
import { syncSchema } from './schema/schema.mts'
import { ROOT, reachable, type Settings } from './settings/settings.mts'
import { syncTopics } from './topics/topics.mts'

export type Choice = 'docker' | 'embedded' | undefined

export interface Started {
  mode: 'docker' | 'embedded'
  /** True when everything was running before. */
  wasRunning: boolean
  tookMs: number
  health: StackHealth
  findings: Finding[]
}

/**
 * Starts the stack and waits until it is healthy. What already runs is left alone.
 * @throws {OpsError} with the finding of the step that failed; a taken port or missing tool leaves nothing running
 */
export async function startStack(settings: Settings, choice: Choice, log: (line: string) => void): Promise<Started> {
  const { mode, docker } = await chooseMode(settings, choice, log)
  const { findings } = await readPortStates(settings, { mode })
  const conflicts = findings.filter(({ severity }) => severity === 'error')
  // Processes that another start has just begun are not recorded yet, and would be called strangers.
  if (mode === 'embedded' && conflicts.length > 0) refuseWhileLocked(settings.EMBEDDED_DATA_DIR)
  if (conflicts.length > 0) throw new OpsError(1, conflicts)
  const closed = docker ? mountFindings() : []
  if (closed.length > 0) throw configError(closed)
  const installed = docker ? undefined : await install(log)
  const startMs = performance.now()
  const wasRunning = docker ? await composeUp(docker, log) : await embeddedUp(settings, installed, log)
  const [topics, schema] = await Promise.all([
    // A retention that upon its change makes the broker delete records is left to `npm run topics`.
    syncTopics(settings, { mode: 'apply', mayShorten: false, timeoutMs: 60_000, log }),
    // Rows that a retention setting gives up are deleted by `npm run schema`, which asks.
    syncSchema(settings, { mode: 'apply', timeoutMs: 60_000, log: () => {}, mayDelete: async () => false }),
  ])
  if (schema.done.length > 0) log(`  schema     ${schema.done.length} changes`)
  if (topics.done.length > 0) log(`  topics     ${topics.done.length} changes`)
  if (settings.INGEST === 'on') {
    const { before } = await withClickHouse(settings, 60_000, (client) =>
      switchOn(client, settings, { timeoutMs: 60_000, log }),
    )
    log(`  ingest     ${before === 'on' ? 'already on' : 'switched on'}`)
  }
  const health = await healthy(settings)
  const tookMs = Math.round(performance.now() - startMs)
  const told = new Set(health.findings.map(({ subject }) => subject))
  const warnings = [...findings, ...topics.findings].filter(
    (each) => each.severity === 'warning' && !told.has(each.subject),
  )
  // Why something could not be changed takes the place of the health check's word that it is not as declared.
  const reasons = [...topics.findings, ...schema.findings].filter(
    ({ severity, code, subject }) =>
      severity !== 'warning' && !health.findings.some((each) => each.code === code && each.subject === subject),
  )
  const explained = ({ code, subject }: Finding) =>
    MENDABLE.includes(code) &&
    reasons.some((each) => subject === each.subject || subject.startsWith(`${each.subject} `))
  return {
    mode,
    wasRunning,
    tookMs,
    health,
    findings: [...warnings, ...reasons, ...health.findings.filter((finding) => !explained(finding))],
  }
}

/** Codes of the health check for what a start changes, where it can. */
const MENDABLE = ['SCHEMA_MISSING', 'SCHEMA_DRIFT', 'TOPIC_MISSING', 'TOPIC_PARTITIONS', 'TOPIC_CONFIG']

async function chooseMode(
  settings: Settings,
  choice: Choice,
  log: (line: string) => void,
): Promise<{ mode: 'docker' | 'embedded'; docker?: Docker }> {
  const running = runningEmbedded(settings.EMBEDDED_DATA_DIR)
  if (choice === 'docker' && running.length > 0) {
    const found = `the embedded stack running (${running.map(({ name }) => name).join(', ')})`
    throw configError([
      { code: 'OTHER_MODE', subject: '--docker', found, expected: 'its ports to be free', hint: 'npm stop' },
    ])
  }
  if (choice === 'embedded' || running.length > 0) {
    log(
      `Starting the embedded stack (${choice ? 'asked for' : 'it is running already'}); data in ${settings.EMBEDDED_DATA_DIR}`,
    )
    return { mode: 'embedded' }
  }
  const docker = await findDocker()
  if (!('missing' in docker)) {
    log(`Starting docker-compose.yml on Docker ${docker.engineVersion}; --embedded does without`)
    return { mode: 'docker', docker }
  }
  if (choice === 'docker') {
    throw cannotTell({
      code: 'NO_DOCKER',
      subject: '--docker',
      found: docker.missing,
      expected: 'a Docker engine with Compose v2',
      hint: 'install or start Docker, or: npm start -- --embedded',
    })
  }
  log(`Starting the embedded stack (${docker.missing}); data in ${settings.EMBEDDED_DATA_DIR}`)
  return { mode: 'embedded' }
}

async function embeddedUp(
  settings: Settings,
  installed: Awaited<ReturnType<typeof install>> | undefined,
  log: (line: string) => void,
): Promise<boolean> {
  if (!installed) throw new TypeError('Cannot start the embedded stack: it is not installed')
  const services = await startEmbedded(settings, installed, log)
  return services.every(({ state }) => state === 'already running')
}

/** Longest time from the containers' start to their health, in s. Images are pulled before. */
const COMPOSE_WAIT_S = 180

/** What everything else needs. Kafka UI shows; that it fails keeps nobody from working. */
const NEEDED = ['zookeeper', 'kafka', 'clickhouse', 'redis']

/** `up -d --wait`, its progress on stderr; true if it left every container as it was. */
async function composeUp({ compose }: Docker, log: (line: string) => void): Promise<boolean> {
  const { $ } = await import('zx')
  const before = await runningSince()
  const up = async (services: readonly string[]) => {
    const out = await $({
      nothrow: true,
      quiet: true,
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })`${compose} up -d --wait --wait-timeout ${COMPOSE_WAIT_S} ${services}`
    return out.ok
  }
  if (!(await up(NEEDED))) {
    log('Not all containers became healthy')
    throw new OpsError(1, [
      {
        severity: 'error',
        code: 'COMPOSE_UP',
        subject: `compose project ${PROJECT}`,
        found: 'containers that did not become healthy',
        expected: 'all of them healthy',
        hint: './scripts/health-check.mts',
      },
    ])
  }
  // The health check at the end says why.
  if (!(await up([]))) log('Kafka UI did not become healthy; the rest goes on')
  // A setting that changed makes its container anew.
  return (await runningSince()).join() === before.join()
}

/** Codes for what no start can change: waiting does not either. */
const LASTING = [...MENDABLE, 'SCHEMA_CANNOT_CHANGE', 'TOPIC_CANNOT_SHRINK', 'TOPIC_REPLICATION']

/** The stack's health as soon as nothing is amiss but what was tried to change before, or as it is after 30 s. */
async function healthy(settings: Settings): Promise<StackHealth> {
  let health: StackHealth | undefined
  const options = { timeoutMs: 5_000, deep: false, ...LAG_LIMITS }
  const good = async () => {
    health = await readHealth(settings, [], options)
    return health.findings.every(({ severity, code }) => severity === 'warning' || LASTING.includes(code)) && health
  }
  return (await waitUntil(good, { timeoutMs: 30_000, pollMs: 500 })) || (health as StackHealth)
}

/** Where everything is and how to stop it, for people. */
export function renderStarted(settings: Settings, { mode, health, tookMs, wasRunning }: Started, paint: Paint): string {
  const host = reachable(settings.BIND_ADDRESS)
  const user = `user ${settings.CLICKHOUSE_USER}, database ${settings.CLICKHOUSE_DB}`
  const lines = [
    renderHealth(health, paint),
    '',
    wasRunning ? 'The stack was running already' : `Started in ${(tookMs / 1000).toFixed(1)} s`,
    '',
    `ClickHouse  http://${host}:${settings.CLICKHOUSE_HTTP_PORT}/play  (${user}; native protocol on port ${settings.CLICKHOUSE_TCP_PORT})`,
    `Kafka       ${settings.KAFKA_BOOTSTRAP_SERVERS.join(', ')}`,
    `Redis       redis://${host}:${settings.REDIS_PORT}`,
    `ZooKeeper   ${host}:${settings.ZOOKEEPER_CLIENT_PORT}`,
    `Kafka UI    ${mode === 'docker' ? `http://${host}:${settings.KAFKA_UI_PORT}` : 'Docker only'}`,
    `Logs        ${mode === 'docker' ? 'docker-compose logs' : `${settings.EMBEDDED_DATA_DIR}/logs`}`,
    '',
    'Stop: npm stop   Health: npm run health   Topics: npm run topics   Ports: npm run ports',
  ]
  return lines.join('\n')
}
