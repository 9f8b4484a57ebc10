/** What docker-compose.yml publishes, read as Compose reads it: with .env, COMPOSE_FILE, override files and profiles. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { configError, OpsError } from '../common/findings.mts'
import { composeLookup } from '../settings/environment.mts'
import type { Lookup } from '../settings/interpolate.mts'
import { type ComposePort, type Mistake, parseComposeFile, type Service } from './compose-document.mts'
import { parseLongPort } from './port-spec.mts'

export interface ComposeProject {
  name: string
  ports: ComposePort[]
  /** The environment of each service, by the service's name. */
  environments: Map<string, Record<string, string>>
}

/** In order of preference. @see https://github.com/compose-spec/compose-go cli/options.go (v2) */
const FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml']
const OVERRIDES = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
]

/** The files that Compose reads in `root`, absolute. @throws {OpsError} exit code 2 when one is missing */
function composeFiles(root: string, lookup: Lookup): string[] {
  const first = (names: string[]) => names.filter((name) => existsSync(path.join(root, name))).slice(0, 1)
  const named = lookup('COMPOSE_FILE')?.split(lookup('COMPOSE_PATH_SEPARATOR') || path.delimiter)
  const files = (named ?? [...first(FILES), ...first(OVERRIDES)]).map((file) => path.resolve(root, file))
  const missing = files.filter((file) => !existsSync(file))
  if (files.length > 0 && missing.length === 0) return files
  throw configError([
    {
      code: 'COMPOSE_FILE',
      subject: named ? 'COMPOSE_FILE' : root,
      found: `no ${(missing.length > 0 ? missing : FILES).join(', ')}`,
      expected: 'a compose file',
      hint: named ? 'unset COMPOSE_FILE' : 'git checkout docker-compose.yml',
    },
  ])
}

/**
 * What a plain `docker compose up` in `root` publishes, without asking Compose.
 * @param lookup what `${NAME}` stands for
 * @throws {OpsError} exit code 2 for mistakes in the files, all of them with file and line; 3 for what Compose alone follows
 */
export function readComposeFiles(root: string, lookup: Lookup): ComposeProject {
  const wrong: Mistake[] = []
  const services = new Map<string, Service>()
  let name = ''
  for (const file of composeFiles(root, lookup)) {
    const document = parseComposeFile(path.relative(root, file), readFileSync(file, 'utf8'), lookup, wrong)
    name = document.name || name
    for (const [service, part] of document.services) services.set(service, merge(services.get(service), part))
  }
  if (wrong.length > 0) throw configError(wrong)
  const wanted = (lookup('COMPOSE_PROFILES') ?? '').split(',').map((profile) => profile.trim())
  const isActive = ({ profiles }: Service) =>
    profiles.length === 0 || wanted.includes('*') || profiles.some((profile) => wanted.includes(profile))
  const active = [...services].filter(([, service]) => isActive(service))
  return {
    name:
      lookup('COMPOSE_PROJECT_NAME') ||
      name ||
      path
        .basename(root)
        .toLowerCase()
        .replace(/[^a-z0-9_-]/g, ''),
    ports: active.flatMap(([, { ports }]) => ports),
    environments: new Map(active.map(([service, { environment }]) => [service, environment])),
  }
}

/** Lists grow, mappings are overlaid; what is published twice the same way counts once. */
function merge(before: Service = { ports: [], environment: {}, profiles: [] }, part: Service): Service {
  const ports = [...before.ports, ...part.ports]
  return {
    ports: [...new Map(ports.map((port) => [keyOf(port), port])).values()],
    environment: { ...before.environment, ...part.environment },
    profiles: [...before.profiles, ...part.profiles],
  }
}

function keyOf({
  hostIp,
  first,
  last,
  target,
  protocol,
}: Omit<ComposePort, 'service' | 'variable' | 'origin'>): string {
  return [hostIp || '0.0.0.0', first, last, target, protocol].join()
}

/**
 * What a plain `docker compose up` in `root` publishes: Compose's own word (`docker compose config`) where there is a Compose v2,
 * with variables and lines from {@link readComposeFiles}, which decides alone where there is none.
 * @throws {OpsError} exit code 2 for mistakes in the files and in .env; 3 for what Compose alone follows, without Compose
 */
export async function readComposeProject(root: string, env: NodeJS.ProcessEnv): Promise<ComposeProject> {
  // Before Compose, whose message about a bad line of .env shows the line, and with it a password.
  const variables = composeLookup(env, root)
  const asking = askCompose(root, env)
  let read: ComposeProject | undefined
  let refusal: unknown
  try {
    read = readComposeFiles(root, (name) => variables(name)?.text)
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    refusal = error
  }
  const answer = await asking
  if (!answer || ('mistake' in answer && refusal instanceof OpsError && refusal.exitCode === 2)) {
    if (!read) throw refusal
    return read
  }
  if ('mistake' in answer) {
    throw configError([
      {
        code: 'COMPOSE_FILE',
        subject: 'docker compose config',
        found: answer.mistake,
        expected: 'a project that Compose accepts',
        hint: `cd ${root} && docker compose config --quiet`,
      },
    ])
  }
  const known = new Map(read?.ports.map((port) => [`${port.service} ${keyOf(port)}`, port]))
  const ports = Object.entries(answer.services).flatMap(([service, { ports: entries = [] }]) =>
    entries.flatMap(parseLongPort).map((port): ComposePort => {
      const { variable, origin } = known.get(`${service} ${keyOf(port)}`) ?? { variable: undefined, origin: service }
      return { ...port, service, variable, origin }
    }),
  )
  return { name: answer.name, ports, environments: environmentsOf(answer) }
}

/** The part of `docker compose config --format json` that is read here. */
interface Config {
  name: string
  services: Record<string, { ports?: Record<string, unknown>[]; environment?: Record<string, string | null> }>
}

function environmentsOf({ services }: Config): ComposeProject['environments'] {
  return new Map(
    Object.entries(services).map(([service, { environment = {} }]) => [
      service,
      // The output is itself a compose file: it writes a dollar sign as two.
      Object.fromEntries(
        Object.entries(environment).map(([name, value]) => [name, (value ?? '').replaceAll('$$', '$')]),
      ),
    ]),
  )
}

const COMPOSE_TIMEOUT_MS = 10_000

/** Compose's own reading of the project, why it refuses it, or undefined where there is no Compose v2. */
async function askCompose(root: string, env: NodeJS.ProcessEnv): Promise<Config | { mistake: string } | undefined> {
  const run = (command: string[], args: string[]) =>
    new Promise<{ exitCode: number | undefined; stdout: string; stderr: string }>((resolve) => {
      const [program = '', ...first] = command
      // Killed: docker ends at SIGTERM with an exit code, or 0 and half an answer, as if it had said so of itself.
      const options = { cwd: root, env, timeout: COMPOSE_TIMEOUT_MS, killSignal: 'SIGKILL' } as const
      execFile(program, [...first, ...args], options, (error, stdout, stderr) => {
        // Undefined for a program that is not there or gave no answer in time: it is of no use, and so not asked any more.
        const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined
        resolve({ exitCode, stdout, stderr })
      })
    })
  for (const compose of [['docker', 'compose'], ['docker-compose']]) {
    const config = await run(compose, ['config', '--format', 'json'])
    if (config.exitCode === 0) return JSON.parse(config.stdout) as Config
    if (config.exitCode === undefined) continue
    // Compose that refuses the project, or docker that has no Compose, or a Compose v1.
    const version = await run(compose, ['version', '--short'])
    if (version.exitCode !== 0 || !/^v?[2-9]/.test(version.stdout)) continue
    const lines = config.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('time='))
    return { mistake: lines.join(' ') }
  }
  return undefined
}
