/** Checks whether the ports of the stack are free, and finds out who holds those that are not. */
import { setTimeout as delay } from 'node:timers/promises'
import { configError, error, type Finding } from '../common/findings.mts'
import { PROJECT } from '../engines/docker.mts'
import { runningEmbedded } from '../engines/embedded/processes.mts'
import { chooseMode, type StackMode } from '../engines/mode.mts'
import { embeddedServicesOf } from '../engines/service.mts'
import { isProduction } from '../settings/production.mts'
import type { Settings } from '../settings/settings.mts'
import { findHolder, type Owner, overlaps, readContainerPorts } from './owner.mts'
import { type Protocol, probe } from './probe.mts'
import { type ComposeProject, knownPorts, type PublishedPort, portOf, readProject } from './published.mts'
import { composeHint, exposedFindings, setHint, stateFinding } from './report.mts'
import { readSockets } from './sockets.mts'
import type { PortState } from './state.mts'

export interface PortReport {
  mode: StackMode
  ports: PortState[]
  findings: Finding[]
}

/**
 * Returns the state of every port that the stack opens, with errors for what blocks a start and warnings for what does not. Docker opens
 * the ports that the compose file publishes. The embedded stack opens the ports of its services, KAFKA_INTERNAL_PORT and, with KRaft,
 * KAFKA_CONTROLLER_PORT, which containers use only inside their network; on KAFKA_UI_PORT it serves its page.
 * @param choice by default the mode that a start would choose
 * @throws {OpsError} exit code 2 if Compose rejects the compose files, or two services publish the same port; 3 if Compose does not answer
 */
export async function readPortStates(settings: Settings, choice?: StackMode): Promise<PortReport> {
  const mode = choice ?? (await chooseMode(settings.EMBEDDED_DATA_DIR)).mode
  const [project, containers] = await Promise.all([projectOf(settings, mode), readContainerPorts()])
  refuseDuplicates(project.ports)
  // Read again for every port: a concurrent start may open ports meanwhile, and records each process before its ports open.
  const alive = () => runningEmbedded(settings.EMBEDDED_DATA_DIR)
  // Undefined if the service runs and this user cannot see whether it is the owner.
  const isOurs = (owner: Owner | undefined, service: string): boolean | undefined => {
    if (owner?.kind === 'container') return owner.project === project.name
    if (owner?.pid === undefined && alive().some(({ name }) => name === service)) return undefined
    return alive().some(({ pid }) => pid === owner?.pid)
  }
  const findOwner: FindOwner = async (protocol, address, port) => {
    const socket = [protocol, address, port] as const
    const holder = findHolder(containers, ...socket) ?? findHolder(await readSockets(new Set([port])), ...socket)
    return holder?.owner
  }
  const ports = await Promise.all(project.ports.map((port) => readState(port, findOwner, isOurs)))
  // Some of these numbers are not ports, which does no harm.
  const reserved = new Set(Object.values(settings).filter((value) => typeof value === 'number'))
  for (const { first } of project.ports) reserved.add(first)
  for (const state of ports) {
    if (state.state !== 'taken' || !state.variable) continue
    const next = await nextFree(state, reserved)
    if (next === undefined) continue
    state.next = next
    reserved.add(next)
  }
  return {
    mode,
    ports,
    findings: [
      ...ports.flatMap((port) => stateFinding(port, mode, settings) ?? []),
      ...exposedFindings(project.ports, settings, mode === 'docker' && isProduction()),
    ],
  }
}

async function projectOf(settings: Settings, mode: StackMode): Promise<ComposeProject> {
  if (mode === 'docker') return readProject(settings)
  const services: readonly string[] = embeddedServicesOf(settings)
  const ports = knownPorts(settings, false).filter(({ service }) => services.includes(service))
  const internal = portOf(settings, 'kafka', 'KAFKA_INTERNAL_PORT')
  const controller = { ...portOf(settings, 'kafka', 'KAFKA_CONTROLLER_PORT'), hostIp: '127.0.0.1' }
  const page = { ...portOf(settings, 'ui', 'KAFKA_UI_PORT'), hostIp: '127.0.0.1' }
  const embeddedOnly = [
    internal,
    ...(settings.KAFKA_MODE === 'kraft' ? [controller] : []),
    ...(services.includes('ui') ? [page] : []),
  ]
  return { name: PROJECT, ports: [...ports, ...embeddedOnly] }
}

/** @throws {OpsError} exit code 2 if two services publish the same port */
function refuseDuplicates(ports: readonly PublishedPort[]): void {
  const mistakes = ports.flatMap((port, index) => {
    const duplicate = ports.slice(0, index).find((other) => isSamePort(port, other))
    if (!duplicate) return []
    const found = `port ${port.first}, which ${duplicate.service} also publishes`
    const hint = port.variable ? setHint(port.variable, '…') : composeHint(port.service)
    return [error('PORT_TWICE', port.origin, { found, hint })]
  })
  if (mistakes.length > 0) throw configError(mistakes)
}

function isSamePort(a: PublishedPort, b: PublishedPort): boolean {
  const single = a.first === a.last && a.first === b.first && b.first === b.last
  return single && a.protocol === b.protocol && overlaps(a.hostIp, b.hostIp)
}

type FindOwner = (protocol: Protocol, address: string, port: number) => Promise<Owner | undefined>

async function readState(
  { service, variable, protocol, origin, hostIp: address, first, last }: PublishedPort,
  findOwner: FindOwner,
  isOurs: (owner: Owner | undefined, service: string) => boolean | undefined,
): Promise<PortState> {
  const { outcome, port } = await probeRange(protocol, address, first, last)
  const base = { service, variable, protocol, origin, address, port }
  if (outcome === 'absent') return { ...base, state: 'absent' }
  const owner = outcome === 'free' ? undefined : await findOwner(protocol, address, port)
  const ours = outcome !== 'free' && isOurs(owner, service)
  if (outcome !== 'free' && !ours) {
    if (outcome === 'denied' && !owner) return { ...base, state: 'unknown' }
    // A concurrent check or start also binds the port, but only for a moment.
    await delay(100)
    if ((await probe(protocol, address, port)) !== 'free') {
      if (ours === undefined) return { ...base, state: 'unknown', owner: owner ?? { kind: 'process' } }
      return { ...base, state: 'taken', ...(owner && { owner }) }
    }
  }
  const state: PortState = { ...base, state: ours ? 'ours' : 'free', ...(ours && owner && { owner }) }
  const alsoLocalhost = protocol === 'tcp' && (address === '127.0.0.1' || address === '0.0.0.0')
  if (!alsoLocalhost || (await probe('tcp', '::1', port, 'linux')) !== 'taken') return state
  const localhostOwner = await findOwner('tcp', '::1', port)
  return isOurs(localhostOwner, service) ? state : { ...state, localhostOwner: localhostOwner ?? { kind: 'process' } }
}

/** Returns the first port of the range that is not taken, which is the one the engine uses; the first of the range if all are taken. */
async function probeRange(protocol: Protocol, address: string, first: number, last: number) {
  for (let port = first; port <= last; port++) {
    const outcome = await probe(protocol, address, port)
    if (outcome !== 'taken') return { outcome, port }
  }
  return { outcome: 'taken' as const, port: first }
}

/** Returns the first port above a taken one that is free, also on ::1, and not `reserved`. */
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
