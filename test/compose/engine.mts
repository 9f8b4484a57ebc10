/** The Docker engine, and the working copy of the stack that the compose tests use. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { type Outcome, runFile } from '../support/command.mts'

/** The compose project's name, as declared in docker-compose.yml. */
export const PROJECT = 'l2'

export const SERVICES = ['zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui'] as const
export type Service = (typeof SERVICES)[number]

/** The ports that docker-compose.yml publishes by default. */
export const DEFAULT_PORTS = [2181, 6380, 8080, 8123, 9000, 9092]

/** Label of the helper containers that tests start beside the stack. */
export const HELPER = 'l2.compose-test'

/** Returns the documented container name of a service. */
export const containerOf = (service: Service) => `l2_${service.replace('-', '_')}`

export const VOLUMES = ['clickhouse_data', 'kafka_data', 'redis_data', 'zookeeper_data', 'zookeeper_logs'].map(
  (volume) => `${PROJECT}_${volume}`,
)

const FOREIGN_VOLUMES: readonly string[] = JSON.parse(process.env.L2_COMPOSE_FOREIGN_VOLUMES ?? '[]')

/** Lists the engine's volumes, named and anonymous, except those that existed before the run. */
export async function volumes(): Promise<string[]> {
  const all = (await docker('volume', 'ls', '-q')).split('\n')
  return all.filter((name) => name && !FOREIGN_VOLUMES.includes(name)).sort()
}

/** Folder of the runner's copy of the shipped files. Tests change nothing in the user's own folder. */
export const TREE = process.env.L2_COMPOSE_TREE ?? ''

/** Variables that every .env of a test contains: the image variables and the machine's limits. */
export const BASE_ENV: Record<string, string> = JSON.parse(process.env.L2_COMPOSE_ENV ?? '{}')

/** The environment without the stack's variables, which would override .env. */
export const CLEAN_ENV: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => /^(PATH|HOME|LANG|TMPDIR|DOCKER_.*|XDG_RUNTIME_DIR)$/.test(name)),
)

/** Writes the working copy's .env: the images in use, and `changes`. */
export function writeEnv(changes: Record<string, string> = {}): void {
  const lines = Object.entries({ ...BASE_ENV, ...changes }).map(([name, value]) => `${name}=${value}\n`)
  writeFileSync(path.join(TREE, '.env'), lines.join(''))
}

/** Maximum duration of one command in ms, slightly longer than that of a pull. */
const COMMAND_TIMEOUT_MS = 960_000

export function run(command: string[], options: { stdin?: string; cwd?: string } = {}): Promise<Outcome> {
  const [file = '', ...args] = command
  return runFile(file, args, {
    cwd: TREE || process.cwd(),
    env: CLEAN_ENV,
    timeoutMs: COMMAND_TIMEOUT_MS,
    ...options,
  })
}

/** Returns the standard output of a command. @throws {Error} if it fails */
export async function output(command: string[], options: { stdin?: string; cwd?: string } = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command, options)
  if (exitCode !== 0)
    throw new Error(`${command.join(' ')}: exit code ${exitCode}\n${stderr.slice(-3000)}${stdout.slice(-500)}`)
  return stdout
}

export const docker = (...args: string[]) => output(['docker', ...args])
export const compose = (...args: string[]) => output(['docker', 'compose', ...args])

/** Runs a line of a document as a reader would, pasted into a shell in the stack's folder. */
export const shell = (line: string) => run(['bash', '-c', line])

/** Runs a script of the working copy. */
export const script = (name: string, ...args: string[]) => run([path.join(TREE, 'scripts', name), ...args])

/** The part of `docker inspect` that the tests read. @see https://docs.docker.com/reference/api/engine/ */
export interface Inspected {
  Name: string
  Path: string
  Args: string[]
  RestartCount: number
  Config: { Cmd: string[] | null; Entrypoint: string[] | null; Healthcheck?: { Test: string[] } }
  HostConfig: { Memory: number; SecurityOpt: string[] | null }
  Mounts: { Type: string; Name?: string; Destination: string }[]
  State: {
    Status: string
    Pid: number
    StartedAt: string
    OOMKilled: boolean
    ExitCode: number
    Health?: { Status: string }
  }
}

export async function inspect(service: Service): Promise<Inspected> {
  return (JSON.parse(await docker('inspect', containerOf(service))) as [Inspected])[0]
}

/** Starts services that are not running and waits until all are healthy, as the README says. Returns the seconds it took. */
export async function up(): Promise<number> {
  const startMs = performance.now()
  try {
    await compose('up', '-d', '--wait', '--wait-timeout', '180')
  } catch (error) {
    throw new Error(`${(error as Error).message.split('\n').at(-2)}\n${await symptoms()}`)
  }
  return (performance.now() - startMs) / 1000
}

/** Describes every container that is not healthy: state, last health check output and last log lines. */
async function symptoms(): Promise<string> {
  const parts: string[] = []
  for (const service of SERVICES) {
    const { stdout } = await run(['docker', 'inspect', containerOf(service), '--format', '{{json .State}}'])
    if (stdout.includes('"Status":"healthy"')) continue
    const log = await shell(`docker logs --tail 8 ${containerOf(service)} 2>&1`)
    parts.push(`${service}: ${stdout.slice(0, 1500)}\n${log.stdout}`)
  }
  return parts.join('\n')
}

/** Returns the seconds until every service is healthy again, in a process started after `since` (State.StartedAt by service). */
export async function healthyAgain(since: Partial<Record<Service, string>>, timeoutMs = 120_000): Promise<number> {
  const startMs = performance.now()
  let last = ''
  const healthy = await waitUntil(
    async () => {
      const states = await Promise.all(
        SERVICES.map(async (service) => [service, (await inspect(service)).State] as const),
      )
      last = states.map(([service, { Status, Health }]) => `${service} ${Status} ${Health?.Status}`).join(', ')
      return states.every(
        ([service, { Status, StartedAt, Health }]) =>
          Status === 'running' && Health?.Status === 'healthy' && StartedAt !== since[service],
      )
    },
    { timeoutMs, pollMs: 250 },
  )
  if (!healthy) throw new Error(`Not healthy within ${timeoutMs / 1000} s: ${last}`)
  return (performance.now() - startMs) / 1000
}

/**
 * Kills the first process of each container from outside, as a crash or the kernel would. `docker kill` would count as the user's decision,
 * to which the restart policy does not apply. Uses a helper container, so that no root is needed on the host.
 */
export async function crash(...services: Service[]): Promise<Partial<Record<Service, string>>> {
  const states = await Promise.all(services.map(async (service) => [service, (await inspect(service)).State] as const))
  const pids = states.map(([, { Pid }]) => Pid).join(' ')
  const image = BASE_ENV.REDIS_IMAGE ?? 'redis:8.10.1-alpine'
  await docker('run', '--rm', '--pid=host', '--privileged', '--entrypoint', 'sh', image, '-c', `kill -9 ${pids}`)
  return Object.fromEntries(states.map(([service, { StartedAt }]) => [service, StartedAt]))
}

export interface EngineEvent {
  time: number
  action: string
  name: string
}

/** Returns the stack's container events between two moments (ms since the epoch), without health probes. Times are in ms. */
export async function events(sinceMs: number): Promise<EngineEvent[]> {
  const text = await docker(
    'events',
    ...['--since', (sinceMs / 1000).toFixed(3), '--until', (Date.now() / 1000).toFixed(3)],
    ...[
      '--filter',
      `label=com.docker.compose.project=${PROJECT}`,
      '--filter',
      'type=container',
      '--format',
      '{{json .}}',
    ],
  )
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { timeNano: number; Action: string; Actor: { Attributes: { name: string } } })
    .map(({ timeNano, Action, Actor }) => ({ time: timeNano / 1e6, action: Action, name: Actor.Attributes.name }))
    .filter(({ action }) => !action.startsWith('exec_'))
}

/** Removes the stack with its volumes, whatever its state. */
export async function removeStack(): Promise<void> {
  await compose('down', '-v', '--remove-orphans', '--timeout', '10')
}
