/**
 * Finds the holder of a port on this machine. It only explains a failed bind; it never decides whether a port is taken. Without root,
 * processes of other users are only partly visible.
 */
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

/** One holder of a port. A holder on the IPv6 wildcard (`::`) may also hold the IPv4 port. */
export interface Holder {
  protocol: Protocol
  address: string
  port: number
  owner: Owner
}

/** Reports whether a socket on `held` blocks one on `wanted`. Either may be a wildcard; an empty address means all of IPv4 and IPv6. */
export function overlaps(held: string, wanted: string): boolean {
  if (held === '::' || held === '' || wanted === '') return true
  if (held.includes(':') !== wanted.includes(':')) return false
  return held === wanted || held === '0.0.0.0' || wanted === '0.0.0.0' || wanted === '::'
}

/** Returns the holder that blocks a socket, preferably one of the same address family. */
export function findHolder(holders: readonly Holder[], protocol: Protocol, address: string, port: number) {
  const blocking = holders.filter(
    (holder) => holder.protocol === protocol && holder.port === port && overlaps(holder.address, address),
  )
  return blocking.find((holder) => holder.address.includes(':') === address.includes(':')) ?? blocking[0]
}

/**
 * Returns the ports that running containers publish. Empty if Docker is not installed, does not answer or denies access: the list of
 * processes then still explains a port.
 * @see https://docs.docker.com/reference/cli/docker/container/ls/#format
 */
export async function readContainerPorts(): Promise<Holder[]> {
  const format = '{{.Names}}\t{{.Label "com.docker.compose.project"}}\t{{.Ports}}'
  const { ok, stdout } = await run(['docker', 'ps', '--format', format], { timeoutMs: 5_000 })
  return ok ? stdout.split('\n').flatMap(parseContainerPorts) : []
}

/** Parses one line of `docker ps`: `NAME TAB PROJECT TAB 127.0.0.1:8000-8001->80-81/tcp, [::]:53->53/udp, 9000/tcp`. */
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

/** Describes the owner for messages. */
export function ownerText(owner: Owner | undefined): string {
  if (owner?.kind === 'container') return `container ${owner.container}`
  if (owner?.pid === undefined) {
    const who = owner?.user ? `a process of user ${owner.user}` : 'a process'
    return `${who} (owner not visible, run with sudo)`
  }
  return `${owner.name} (PID ${owner.pid}, user ${owner.user}): ${owner.command}`
}
