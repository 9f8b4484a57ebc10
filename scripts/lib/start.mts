/** The steps of `npm start`: choose Docker or embedded, start the services, sync topics and schema, check health. */
import { withClickHouse } from './clickhouse/client.mts'
import { foreignTargets, strayClients } from './command/target.mts'
import { configError, error, type Finding, OpsError, type Paint } from './common/findings.mts'
import { run } from './common/run.mts'
import { table } from './common/table.mts'
import { waitUntil } from './common/wait.mts'
import { type Docker, PROJECT, runningSince } from './engines/docker.mts'
import { install } from './engines/embedded/install.mts'
import { refuseWhileLocked } from './engines/embedded/lock.mts'
import { startEmbedded, whileRunning } from './engines/embedded/stack.mts'
import { chooseMode, refuseOtherComposeFiles, refuseProduction, type StackMode } from './engines/mode.mts'
import { mountFindings } from './engines/mounts.mts'
import { dataServicesOf } from './engines/service.mts'
import { readHealth, renderHealth, type StackHealth } from './health/health.mts'
import { switchOn } from './ingest/switch.mts'
import { LAG_LIMITS } from './kafka/lag-limits.mts'
import { readPortStates } from './ports/ports.mts'
import { syncSchema } from './schema/schema.mts'
import { ROOT, reachable, type Settings } from './settings/settings.mts'
import { syncTopics } from './topics/topics.mts'

export interface Started {
  mode: StackMode
  /** True if everything was already running. */
  wasRunning: boolean
  tookMs: number
  health: StackHealth
  findings: Finding[]
}

/**
 * Starts the stack and waits until it is healthy. Leaves services that already run untouched.
 * @throws {OpsError} with the finding of the failed step; if a port is taken or a tool is missing, nothing is started
 */
export async function startStack(
  settings: Settings,
  choice: StackMode | undefined,
  log: (line: string) => void,
): Promise<Started> {
  const stray = [...strayClients(settings), ...(await foreignTargets(settings))]
  if (stray.length > 0) throw configError(stray)
  const chosen = await chooseMode(settings.EMBEDDED_DATA_DIR, choice)
  const { mode } = chosen
  log(
    chosen.mode === 'docker'
      ? `Starting docker-compose.yml on Docker ${chosen.docker.engineVersion} (to start without it: --embedded)`
      : `Starting the embedded stack (${chosen.because}); data in ${settings.EMBEDDED_DATA_DIR}`,
  )
  if (mode === 'docker') refuseOtherComposeFiles(settings)
  else refuseProduction()
  const { findings } = await readPortStates(settings, mode)
  const conflicts = findings.filter(({ severity }) => severity === 'error')
  // A concurrent start may not have recorded its processes yet, which makes them look foreign.
  if (mode === 'embedded' && conflicts.length > 0) refuseWhileLocked(settings.EMBEDDED_DATA_DIR)
  if (conflicts.length > 0) throw new OpsError(1, conflicts)
  const docker = chosen.mode === 'docker' ? chosen.docker : undefined
  const unreadable = docker ? mountFindings() : []
  if (unreadable.length > 0) throw configError(unreadable)
  const installed = docker ? undefined : await install(settings.KAFKA_MODE, log)
  const startMs = performance.now()
  const wasRunning = installed
    ? (await startEmbedded(settings, installed, log)).every(({ state }) => state === 'already running')
    : await composeUp(settings, docker as Docker, log)
  const changes = Promise.all([
    // Shortening a retention makes the broker delete records, so it is left to `npm run topics`.
    syncTopics(settings, { mode: 'apply', mayShorten: false, timeoutMs: 60_000, log }),
    // Deleting rows older than a retention setting is left to `npm run schema`, which asks first.
    syncSchema(settings, { mode: 'apply', timeoutMs: 60_000, log: () => {}, mayDelete: async () => false }),
  ])
  const [topics, schema] = await (installed ? whileRunning(settings.EMBEDDED_DATA_DIR, changes) : changes)
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
  const reported = new Set(health.findings.map(({ subject }) => subject))
  const warnings = [...findings, ...topics.findings].filter(
    (each) => each.severity === 'warning' && !reported.has(each.subject),
  )
  // The reason why a change failed replaces the health check's finding that the object differs from its declaration.
  const reasons = [...topics.findings, ...schema.findings].filter(
    ({ severity, code, subject }) =>
      severity !== 'warning' &&
      !health.findings.some((each) => sameMatter(each.code, code) && each.subject === subject),
  )
  const explained = ({ code, subject }: Finding) =>
    CHANGEABLE.includes(code) &&
    reasons.some((each) => subject === each.subject || subject.startsWith(`${each.subject} `))
  return {
    mode,
    wasRunning,
    tookMs,
    health,
    findings: [...warnings, ...reasons, ...health.findings.filter((finding) => !explained(finding))],
  }
}

/** True for codes of the same problem: the health check names the cause where the topic check sees only the effect. */
const sameMatter = (healthCode: string, code: string): boolean =>
  healthCode === code || (healthCode === 'KAFKA_OLDER_ZOOKEEPER' && code === 'KAFKA_NOT_SERVED')

/** Health check codes for differences that a start fixes if it can. */
const CHANGEABLE = ['SCHEMA_MISSING', 'SCHEMA_DRIFT', 'TOPIC_MISSING', 'TOPIC_PARTITIONS', 'TOPIC_CONFIG']

/** Seconds that containers have to become healthy once they are started, image pulls not included. */
const COMPOSE_WAIT_S = 180

/** Runs `up -d --wait`, with its progress on stderr. Returns true if no container was started or recreated. */
async function composeUp(settings: Settings, { compose }: Docker, log: (line: string) => void): Promise<boolean> {
  const before = await runningSince()
  const up = async (services: readonly string[]) => {
    const options = ['--wait', '--wait-timeout', String(COMPOSE_WAIT_S)]
    return (await run([...compose, 'up', '-d', ...options, ...services], { cwd: ROOT, progress: true })).ok
  }
  // Kafka UI is started last, because nothing depends on it.
  if (!(await up(dataServicesOf(settings)))) {
    const found = 'some containers did not become healthy'
    throw new OpsError(1, [
      error('COMPOSE_UP', `compose project ${PROJECT}`, { found, hint: './scripts/health-check.mts' }),
    ])
  }
  // The health check at the end finds the reason.
  if (!(await up([]))) log('Kafka UI did not become healthy; continuing without it')
  // A changed setting recreates its container.
  return (await runningSince()).join() === before.join()
}

/** Codes of problems that waiting does not fix. */
const LASTING = [
  ...CHANGEABLE,
  'SCHEMA_CANNOT_CHANGE',
  'TOPIC_CANNOT_SHRINK',
  'TOPIC_REPLICATION',
  'KAFKA_OLDER_ZOOKEEPER',
]

/** Returns the stack's health as soon as only {@link LASTING} problems are left, or else after 30 s. */
async function healthy(settings: Settings): Promise<StackHealth> {
  let health: StackHealth | undefined
  const options = { timeoutMs: 5_000, deep: false, ...LAG_LIMITS }
  const good = async () => {
    health = await readHealth(settings, [], options)
    return health.findings.every(({ severity, code }) => severity === 'warning' || LASTING.includes(code)) && health
  }
  return (await waitUntil(good, { timeoutMs: 30_000, pollMs: 500 })) || (health as StackHealth)
}

/** Renders the health, the addresses of the services and the commands to use next. */
export function renderStarted(settings: Settings, { mode, health, tookMs, wasRunning }: Started, paint: Paint): string {
  const host = reachable(settings.BIND_ADDRESS)
  const hasPage = mode === 'embedded' && settings.EMBEDDED_UI === 'on'
  const user = `user ${settings.CLICKHOUSE_USER}, database ${settings.CLICKHOUSE_DB}`
  const places = [
    [
      'ClickHouse',
      `http://${host}:${settings.CLICKHOUSE_HTTP_PORT}/play  (${user}; native protocol on port ${settings.CLICKHOUSE_TCP_PORT})`,
    ],
    ['Kafka', settings.KAFKA_BOOTSTRAP_SERVERS.join(', ')],
    ['Redis', `redis://${host}:${settings.REDIS_PORT}`],
    ...(settings.KAFKA_MODE === 'zookeeper' ? [['ZooKeeper', `${host}:${settings.ZOOKEEPER_CLIENT_PORT}`]] : []),
    ...(mode === 'docker' ? [['Kafka UI', `http://${host}:${settings.KAFKA_UI_PORT}`]] : []),
    ['Page', hasPage ? `http://127.0.0.1:${settings.KAFKA_UI_PORT}` : 'npm run ui'],
    ['Logs', mode === 'docker' ? 'docker-compose logs' : `${settings.EMBEDDED_DATA_DIR}/logs`],
  ]
  return [
    renderHealth(health, paint),
    '',
    wasRunning ? 'The stack was already running' : `Started in ${(tookMs / 1000).toFixed(1)} s`,
    '',
    table(places, { indent: 0 }),
    '',
    'Stop: npm stop   Health: npm run health   Topics: npm run topics   Ports: npm run ports',
  ].join('\n')
}
