/** Tests whether a port is free, by binding it. */
import { createSocket } from 'node:dgram'
import { createServer, isIPv6 } from 'node:net'

export type Protocol = 'tcp' | 'udp' | 'sctp'

/**
 * The result of a bind. `absent`: this machine does not have the address, or its address family is disabled. `denied`: this user may not
 * bind the port, or the protocol cannot be tested (SCTP).
 */
export type BindOutcome = 'free' | 'taken' | 'absent' | 'denied'

const OUTCOMES: Record<string, BindOutcome> = {
  EADDRINUSE: 'taken',
  EADDRNOTAVAIL: 'absent',
  EAFNOSUPPORT: 'absent',
  EACCES: 'denied',
}

/** Binds the port, for TCP also listens on it, and closes it again. */
function bind(protocol: Protocol, address: string, port: number): Promise<BindOutcome> {
  if (protocol === 'sctp') return Promise.resolve('denied')
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      const outcome = OUTCOMES[error.code ?? '']
      if (outcome) resolve(outcome)
      else reject(error)
    }
    // A dual-stack socket would also fail if only the IPv4 port is taken.
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
 * Tests `port` on a published address; an empty `hostIp` stands for all IPv4 and IPv6 addresses. Outside Linux a bind succeeds even if
 * another socket holds the port on a wider or narrower address, and either socket may then receive a connection. There the wildcard and
 * loopback addresses are tested too.
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
