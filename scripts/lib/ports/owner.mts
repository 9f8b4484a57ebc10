/** The holder of a port of this machine: it explains a bind that failed, and never decides. Without root, as far as other users may look. */
import { run } from '../common/run.mts'
import type { Protocol } from './probe.mts'

export interface Owner {
  kind: 'container' | 'process'
  container?: string
  /** The container's compose project. */
  project?: string
  pid?: number
  name?: string
  command?: string
  user?: string
}

/** One holder of a port. An IPv6 wildcard (`::`) may serve IPv4 as well. */
export interface Holder {
  protocol: Protocol
  address: string
  port: number
  owner: Owner
}

/** True if a socket on `held` stands in the way of one on `wanted`; either may be a wildcard, and an empty one all of IPv4 and IPv6. */
export function overlaps(held: string, wanted: string): boolean {
  if (held === '::' || held === '' || wanted === '') return true
  if (held.includes(':') !== wanted.includes(':')) return false
  return held === wanted || held === '0.0.0.0' || wanted === '0.0.0.0' || wanted === '::'
}

/** The one of `holders` that stands in the way of a socket; of several the one of the same family. */
export function findHolder(holders: readonly Holder[], protocol: Protocol, address: string, port: number) {
  const near = holders.filter(
    (holder) => holder.protocol === protocol && holder.port === port && overlaps(holder.address, address),
  )
  return near.find((holder) => holder.address.includes(':') === address.includes(':')) ?? near[0]
}

/**
 * The ports that running containers publish. None where there is no docker command, no engine, no permission or no answer: the list of
 * processes still explains the port.
 * @see https://docs.docker.com/reference/cli/docker/container/ls/#format
 */
export async function readContainerPorts(): Promise<Holder[]> {
  const format = '{{.Names}}\t{{.Label "com.docker.compose.project"}}\t{{.Ports}}'
  const { ok, stdout } = await run(['docker', 'ps', '--format', format], { timeoutMs: 5_000 })
  return ok ? stdout.split('\n').flatMap(parseContainerPorts) : []
}

/** The ports in one line of `docker ps`: `NAME TAB PROJECT TAB 127.0.0.1:8000-8001->80-81/tcp, [::]:53->53/udp, 9000/tcp`. */
export function parseContainerPorts(line: string): Holder[] {
  const [container = '', project = '', ports = ''] = line.split('\t')
  return ports.split(', ').flatMap((published) => {
    const match = /^\[?([\d.]+|[\da-f:]+?)\]?:(\d+)(?:-(\d+))?->[\d-]+\/(tcp|udp|sctp)$/.exec(published)
    if (!match) return []
    const [, address = '', first, last = first, protocol] = match
    const owner: Owner = { kind: 'container', container, project }
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, offset) => ({
      protocol: protocol as Protocol,
      address,
      port: Number(first) + offset,
      owner,
    }))
  })
}

/** The owner for people. */
export function ownerText(owner: Owner | undefined): string {
  if (owner?.kind === 'container') return `container ${owner.container}`
  if (owner?.pid === undefined) {
    const who = owner?.user ? `a process of user ${owner.user}` : 'a process'
    return `${who} (owner not visible, run with sudo)`
  }
  return `${owner.name} (PID ${owner.pid}, user ${owner.user}): ${owner.command}`
}
