/** Whether a port can be had: a real bind decides. */
import { createSocket } from 'node:dgram'
import { createServer, isIPv6 } from 'node:net'

export type Protocol = 'tcp' | 'udp' | 'sctp'

/**
 * How a bind goes: `free`; `taken`; `absent` for an address that this machine does not have, or whose family is off; `denied` for one that
 * this user may not try, or no program here can (SCTP).
 */
export type BindOutcome = 'free' | 'taken' | 'absent' | 'denied'

const OUTCOMES: Record<string, BindOutcome> = {
  EADDRINUSE: 'taken',
  EADDRNOTAVAIL: 'absent',
  EAFNOSUPPORT: 'absent',
  EACCES: 'denied',
}

/** Binds, and listens with TCP, for a moment. */
function bind(protocol: Protocol, address: string, port: number): Promise<BindOutcome> {
  if (protocol === 'sctp') return Promise.resolve('denied')
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      const outcome = OUTCOMES[error.code ?? '']
      if (outcome) resolve(outcome)
      else reject(error)
    }
    // An IPv6 socket that takes IPv4 along would fail for what holds the IPv4 port.
    const ipv6Only = isIPv6(address)
    if (protocol === 'tcp') {
      const server = createServer().once('error', failed)
      server.listen({ host: address, port, ipv6Only, exclusive: true }, () => server.close(() => resolve('free')))
    } else {
      const socket = createSocket({ type: ipv6Only ? 'udp6' : 'udp4', ipv6Only }).once('error', failed)
      socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve('free')))
    }
  })
}

/**
 * How a bind of `port` on a published address goes; an empty `hostIp` is all of IPv4 and IPv6. Outside Linux a bind succeeds beside
 * another socket whose address is wider or narrower, and either may get a connection: there wildcard and loopback are tried as well.
 */
export async function probe(
  protocol: Protocol,
  hostIp: string,
  port: number,
  platform = process.platform,
): Promise<BindOutcome> {
  if (hostIp === '') {
    const [ipv4, ipv6] = [await probe(protocol, '0.0.0.0', port, platform), await probe(protocol, '::', port, platform)]
    return ipv4 === 'free' && ipv6 !== 'absent' ? ipv6 : ipv4
  }
  const [wildcard, loopback] = isIPv6(hostIp) ? ['::', '::1'] : ['0.0.0.0', '127.0.0.1']
  const others = platform === 'linux' ? [] : [wildcard, ...(hostIp === wildcard ? [loopback] : [])]
  let outcome: BindOutcome = 'free'
  for (const address of new Set([hostIp, ...others])) {
    outcome = await bind(protocol, address, port)
    if (outcome !== 'free') break
  }
  return outcome
}
