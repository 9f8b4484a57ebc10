import { lookup } from 'node:dns/promises'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { reason } from './findings.mts'

/**
 * Sends `request` to a TCP port and returns the bytes received until `complete` accepts them or the peer closes the connection.
 * @throws {Error} when nothing listens, the connection breaks or `timeoutMs` passes; the message says which
 */
export function exchange(
  address: { host: string; port: number },
  request: string | Uint8Array,
  complete: (received: Buffer) => boolean,
  timeoutMs: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    const socket = connect(address, () => socket.write(request))
    const timer = setTimeout(() => socket.destroy(new Error(`timed out after ${timeoutMs} ms`)), timeoutMs)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (complete(received)) socket.end()
    })
    socket.on('error', reject)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(received)
    })
  })
}

/** Returns ZooKeeper's answer to a four-letter word. @throws {Error} as {@link exchange} */
export async function zookeeperWord(
  address: { host: string; port: number },
  word: 'ruok' | 'srvr' | 'mntr',
  timeoutMs: number,
): Promise<string> {
  return (await exchange(address, word, () => false, timeoutMs)).toString()
}

/** Removes the brackets that URLs put around an IPv6 address; returns any other host unchanged. */
export const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1')

/** Reports whether a host name or address (brackets allowed) resolves only to addresses of this machine. False if it does not resolve. */
export async function isThisMachine(host: string): Promise<boolean> {
  const local = new Set(
    Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address)),
  )
  try {
    const found = await lookup(withoutBrackets(host), { all: true })
    return found.every(({ address }) => local.has(address) || /^(127\.|::1$|0\.0\.0\.0$|::$)/.test(address))
  } catch {
    return false
  }
}

/** Returns those of `hosts` that are not this machine. */
export async function otherMachines(hosts: readonly string[]): Promise<string[]> {
  const isLocal = await Promise.all(hosts.map(isThisMachine))
  return hosts.filter((_, index) => !isLocal[index])
}

/** Splits `host:port`; an IPv6 address loses its brackets. */
export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: withoutBrackets(address.slice(0, colon)), port: Number(address.slice(colon + 1)) }
}

const CAUSES: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was closed',
  EPIPE: 'the connection was closed',
  ENOTFOUND: 'unknown host name',
  EAI_AGAIN: 'unknown host name',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'timed out',
}

/** Returns why a connection or request failed: a short phrase for a known cause, such as "connection refused", else the error's text. */
export function networkCause(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    const first = at instanceof AggregateError ? at.errors[0] : at
    const code = (first as { code?: unknown }).code
    if (typeof code === 'string' && CAUSES[code]) return CAUSES[code]
  }
  const text = reason(error)
  return /\b(timed out|due to timeout|connection timeout|timeout error)\b/i.test(text) ? 'timed out' : text
}
