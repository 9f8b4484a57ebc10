/** The `ports` of a Compose service, short and long syntax. */
import { isIP } from 'node:net'

export type Protocol = 'tcp' | 'udp' | 'sctp'

export interface PublishedPort {
  /** Address on the host; empty means all, IPv4 and IPv6. */
  hostIp: string
  /** First and last port on the host. The engine takes the first free one of a range. */
  first: number
  last: number
  /** Port in the container. */
  target: number
  protocol: Protocol
}

/** Port or range, `80` or `8000-8010`, as first and last. @throws {RangeError} for anything else */
function parseRange(text: string, what: string): [number, number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text)
  const first = Number(match?.[1])
  const last = Number(match?.[2] ?? match?.[1])
  if (!(first >= 0 && first <= last && last <= 65_535)) throw new RangeError(`${what} "${text}"`)
  return [first, last]
}

function parseProtocol(text: string): Protocol {
  const protocol = text.toLowerCase()
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') throw new RangeError(`protocol "${text}"`)
  return protocol
}

function parseHostIp(text: string): string {
  const hostIp = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  // Compose takes IPv6 in brackets only, since its colons would be read as separators.
  if (hostIp !== '' && isIP(hostIp) !== (hostIp === text ? 4 : 6)) throw new RangeError(`IP address "${text}"`)
  return hostIp
}

/**
 * The published ports of one entry in short syntax, `[HOST_IP:][HOST_PORT:]PORT[/PROTOCOL]`, with or without ranges. None when the
 * entry leaves the host's port to the engine.
 * @throws {RangeError} naming the part that is wrong
 * @see https://docs.docker.com/reference/compose-file/services/#ports
 */
export function parseShortPort(text: string): PublishedPort[] {
  const [, address = '', protocolText = 'tcp'] = /^([^/]*)(?:\/(.*))?$/s.exec(text) ?? []
  const { hostIp: hostIpText, published, target } = splitShortPort(address)
  const [firstTarget, lastTarget] = parseRange(target, 'container port')
  const protocol = parseProtocol(protocolText)
  const hostIp = parseHostIp(hostIpText)
  if (published === '') return []
  const [first, last] = parseRange(published, 'host port')
  if (firstTarget === lastTarget) return first === 0 ? [] : [{ hostIp, first, last, target: firstTarget, protocol }]
  if (last - first !== lastTarget - firstTarget) throw new RangeError(`host ports "${published}" for "${target}"`)
  return Array.from({ length: last - first + 1 }, (_, offset) => ({
    hostIp,
    first: first + offset,
    last: first + offset,
    target: firstTarget + offset,
    protocol,
  }))
}

/** The parts of a short entry without its protocol. Colons inside `${…}` and `[…]` separate nothing. */
export function splitShortPort(text: string): { hostIp: string; published: string; target: string } {
  const parts = text.match(/(?:\$\{[^}]*(?:\}|$)|\[[^\]]*(?:\]|$)|\$(?!\{)|[^:$[])+|(?<=:|^)(?=:|$)/g) ?? ['']
  return { target: parts.at(-1) ?? '', published: parts.at(-2) ?? '', hostIp: parts.slice(0, -2).join(':') }
}

/**
 * The published port of one entry in long syntax; none when it leaves the host's port to the engine.
 * @throws {RangeError} naming the part that is wrong
 */
export function parseLongPort(entry: Record<string, unknown>): PublishedPort[] {
  const { target, published = '', host_ip: hostIp = '', protocol = 'tcp' } = entry
  if (target === undefined) throw new RangeError('no target')
  const [container, end] = parseRange(String(target), 'target')
  if (container !== end) throw new RangeError(`target "${target}"`)
  if (hostIp !== '' && isIP(String(hostIp)) === 0) throw new RangeError(`IP address "${hostIp}"`)
  if (String(published) === '') return []
  const [first, last] = parseRange(String(published), 'published port')
  if (first === 0) return []
  return [{ hostIp: String(hostIp), first, last, target: container, protocol: parseProtocol(String(protocol)) }]
}
