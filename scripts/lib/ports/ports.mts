/** Whether the ports of the stack can be had, and who holds those that cannot. */
import { setTimeout as delay } from 'node:timers/promises'
import { configError, type Finding } from '../common/findings.mts'
import { findDocker } from '../engines/docker.mts'
import { isAlive, readRecords } from '../engines/embedded/processes.mts'
import type { EmbeddedName } from '../engines/embedded/services.mts'
import { ROOT, type Settings } from '../settings/settings.mts'
import type { ComposePort } from './compose-document.mts'
import { findHolder, type Owner, overlaps, readContainerPorts } from './owner.mts'
import type { Protocol } from './port-spec.mts'
import { probe } from './probe.mts'
import { type ComposeProject, readComposeProject } from './published.mts'
import { exposedFindings, setHint, stateFindings } from './report.mts'
import { readSockets } from './sockets.mts'

export type StackMode = 'docker' | 'embedded'

export interface PortState extends Pick<ComposePort, 'service' | 'variable' | 'protocol' | 'origin'> {
  /** Address on this machine; empty means all, IPv4 and IPv6. */
  address: string
  port: number
  /**
   * `absent`: this machine does not have the address. `unknown`: this user may not try, or may not see whether who holds it is this
   * stack, whose process runs.
   */
  state: 'free' | 'ours' | 'taken' | 'absent' | 'unknown'
  /** Who holds it, as far as this user may see. */
  owner?: Owner
  /** Who holds the port on ::1 instead of the stack, which is not listening there. */
  localhostOwner?: Owner
  /** For a taken port that a variable sets: the next one that is free. */
  next?: number
}

export interface PortReport {
  mode: StackMode
  ports: PortState[]
  findings: Finding[]
}

const EMBEDDED: readonly string[] = ['zookeeper', 'kafka', 'clickhouse', 'redis'] satisfies EmbeddedName[]

/**
 * The state of every port that the stack opens, and what stands in the way of a start: errors, and warnings that do not. What Docker
 * opens is what docker-compose.yml publishes. The embedded stack opens those of its services that a variable sets, and
 * KAFKA_INTERNAL_PORT, which containers keep to their own network.
 * @param options.mode left out: embedded if that stack runs, else Docker if its engine answers and has a Compose v2, else embedded
 * @throws {OpsError} exit code 2 for mistakes in the compose files or .env, with file and line
 */
export async function readPortStates(
  settings: Settings,
  options: { mode?: StackMode; root?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<PortReport> {
  const { root = ROOT, env = process.env } = options
  const [project, containers] = await Promise.all([readComposeProject(root, env), readContainerPorts(env)])
  // Read at each look: a start at the same time opens ports meanwhile, and records each process before.
  const alive = () => readRecords(settings.EMBEDDED_DATA_DIR).filter(isAlive)
  const byDocker = async () => containers !== undefined && alive().length === 0 && !('missing' in (await findDocker()))
  const mode = options.mode ?? ((await byDocker()) ? 'docker' : 'embedded')
  const wanted = wantedPorts(project, settings, mode)
  refuseTwins(wanted, env)
  // Undefined where the service runs and this user may not see whether it is the owner.
  const isOurs = (owner: Owner | undefined, service: string): boolean | undefined => {
    if (owner?.kind === 'container') return owner.project === project.name
    if (owner?.pid === undefined && alive().some(({ name }) => name === service)) return undefined
    return alive().some(({ pid }) => pid === owner?.pid)
  }
  const look: Look = async (protocol, address, port) => {
    const place = [protocol, address, port] as const
    const holder = findHolder(containers ?? [], ...place) ?? findHolder(await readSockets(new Set([port])), ...place)
    return holder?.owner
  }
  const ports = await Promise.all(wanted.map((port) => readState(port, look, isOurs)))
  // Some of the numbers are no ports, which does no harm.
  const reserved = new Set(Object.values(settings).filter((value) => typeof value === 'number'))
  for (const { first } of project.ports) reserved.add(first)
  for (const state of ports) {
    if (state.state !== 'taken' || !state.variable) continue
    const next = await nextFree(state, reserved)
    if (next === undefined) continue
    state.next = next
    reserved.add(next)
  }
  return { mode, ports, findings: [...stateFindings(ports, mode, env), ...exposedFindings(wanted, project, root, env)] }
}

function wantedPorts(project: ComposeProject, settings: Settings, mode: StackMode): ComposePort[] {
  if (mode === 'docker') return project.ports
  const [first, variable] = [settings.KAFKA_INTERNAL_PORT, 'KAFKA_INTERNAL_PORT']
  return [
    ...project.ports.filter((port) => EMBEDDED.includes(port.service) && port.variable !== undefined),
    {
      ...{ service: 'kafka', hostIp: settings.BIND_ADDRESS, first, last: first, target: first, protocol: 'tcp' },
      ...{ variable, origin: `.env (${variable})` },
    },
  ]
}

/** @throws {OpsError} exit code 2 when two services publish the same port */
function refuseTwins(wanted: readonly ComposePort[], env: NodeJS.ProcessEnv): void {
  const mistakes = wanted.flatMap((port, index) => {
    const twin = wanted.slice(0, index).find((other) => isTwin(port, other))
    if (!twin) return []
    const found = `port ${port.first} for ${port.service}, which ${twin.service} publishes at ${twin.origin}`
    const hint = port.variable ? setHint(port.variable, '…', env) : `edit ${port.origin}`
    return [{ code: 'PORT_TWICE', subject: port.origin, found, expected: 'a port of its own', hint }]
  })
  if (mistakes.length > 0) throw configError(mistakes)
}

function isTwin(a: ComposePort, b: ComposePort): boolean {
  const single = a.first === a.last && a.first === b.first && b.first === b.last
  return single && a.protocol === b.protocol && overlaps(a.hostIp, b.hostIp)
}

type Look = (protocol: Protocol, address: string, port: number) => Promise<Owner | undefined>

async function readState(
  { service, variable, protocol, origin, hostIp: address, first, last }: ComposePort,
  look: Look,
  isOurs: (owner: Owner | undefined, service: string) => boolean | undefined,
): Promise<PortState> {
  const { outcome, port } = await probeRange(protocol, address, first, last)
  const base = { service, variable, protocol, origin, address, port }
  if (outcome === 'absent') return { ...base, state: 'absent' }
  const owner = outcome === 'free' ? undefined : await look(protocol, address, port)
  const ours = outcome !== 'free' && isOurs(owner, service)
  if (outcome !== 'free' && !ours) {
    if (outcome === 'denied' && !owner) return { ...base, state: 'unknown' }
    // Another look at the same moment, such as a start next door, binds too: whoever holds the port still holds it later.
    await delay(100)
    if ((await probe(protocol, address, port)) !== 'free') {
      if (ours === undefined) return { ...base, state: 'unknown', owner: owner ?? { kind: 'process' } }
      return { ...base, state: 'taken', ...(owner && { owner }) }
    }
  }
  const state: PortState = { ...base, state: ours ? 'ours' : 'free', ...(ours && owner && { owner }) }
  const alsoLocalhost = protocol === 'tcp' && (address === '127.0.0.1' || address === '0.0.0.0')
  if (!alsoLocalhost || (await probe('tcp', '::1', port, 'linux')) !== 'taken') return state
  const localhostOwner = await look('tcp', '::1', port)
  return isOurs(localhostOwner, service) ? state : { ...state, localhostOwner: localhostOwner ?? { kind: 'process' } }
}

/** The first port of a range that is not taken, as the engine takes it; the first of all if every one is. */
async function probeRange(protocol: Protocol, address: string, first: number, last: number) {
  for (let port = first; port <= last; port++) {
    const outcome = await probe(protocol, address, port)
    if (outcome !== 'taken') return { outcome, port }
  }
  return { outcome: 'taken' as const, port: first }
}

/** The first port above a taken one that is free, on ::1 too, and not `reserved`. */
async function nextFree(
  { protocol, address, port }: PortState,
  reserved: ReadonlySet<number>,
): Promise<number | undefined> {
  for (let next = port + 1; next <= 65_535; next++) {
    if (reserved.has(next) || (await probe(protocol, address, next)) !== 'free') continue
    if ((await probe(protocol, '::1', next)) !== 'taken') return next
  }
  return undefined
}
