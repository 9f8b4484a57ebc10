import { lookup } from 'node:dns/promises'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { reason } from './findings.mts'

/**
 * Sends `request` to a TCP port and returns what comes back, up to the first moment `complete` accepts it or the peer
 * closes. The connection is closed either way.
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

/** ZooKeeper's answer to a four-letter word. @throws {Error} as {@link exchange} */
export async function zookeeperWord(
  address: { host: string; port: number },
  word: 'ruok' | 'srvr' | 'mntr',
  timeoutMs: number,
): Promise<string> {
  return (await exchange(address, word, () => false, timeoutMs)).toString()
}

/** An IPv6 address without the brackets of a URL; any other host as it is. */
export const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1')

/** Whether every address of a host name, or of an address with or without brackets, is this machine's own. A name that cannot be looked up is not. */
export async function isThisMachine(host: string): Promise<boolean> {
  const own = new Set(
    Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address)),
  )
  try {
    const found = await lookup(withoutBrackets(host), { all: true })
    return found.every(({ address }) => own.has(address) || /^(127\.|::1$|0\.0\.0\.0$|::$)/.test(address))
  } catch {
    // Unknown host name.
    return false
  }
}

/** Those of `hosts` that are not this machine. */
export async function otherMachines(hosts: readonly string[]): Promise<string[]> {
  const own = await Promise.all(hosts.map(isThisMachine))
  return hosts.filter((_, index) => !own[index])
}

/** Host and port of `host:port`, the host of an IPv6 address without its brackets. */
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

/** Why a connection or request failed, in words: the cause's name where it is known, such as "connection refused". */
export function networkCause(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    const first = at instanceof AggregateError ? at.errors[0] : at
    const code = (first as { code?: unknown }).code
    if (typeof code === 'string' && CAUSES[code]) return CAUSES[code]
  }
  const text = reason(error)
  return /\b(timed out|due to timeout|connection timeout|timeout error)\b/i.test(text) ? 'timed out' : text
}
