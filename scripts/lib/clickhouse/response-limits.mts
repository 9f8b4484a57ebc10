/** Limits the duration and size of each HTTP exchange, and rejects servers other than ClickHouse. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { http, https } from '../common/builtins.mts'

/** Far above the size of any query result here; protects memory from a server that never stops sending. */
const MAX_RESPONSE_BYTES = 256 * 1024 ** 2
/** Milliseconds between two checks of the open exchanges. */
const CHECK_MS = 50
/** The channel on which Node.js announces a response before the client sees its headers. @see https://nodejs.org/api/diagnostics_channel.html#http */
const RESPONSE = 'http.client.response.finish'

export interface Exchanges {
  /** The agent that the client must use. */
  agent: Agent
  /** Why an exchange was aborted, such as `timed out after 5 s`; undefined if none was. `foreign`: the server is not ClickHouse. */
  ended: () => { found: string; foreign: boolean } | undefined
  close: () => void
}

/**
 * Creates an HTTP agent whose exchanges are limited.
 * @param timeoutMs deadline of a whole exchange, from the first byte sent to the last byte received
 * @param tls the CA certificate to trust, if Node.js does not know it; undefined for no TLS
 * @param maxResponseBytes limit for each response; Infinity for streams
 */
export function boundExchanges(
  timeoutMs: number,
  tls?: { ca?: Buffer },
  maxResponseBytes = MAX_RESPONSE_BYTES,
): Exchanges {
  const agent = tls ? new (https().Agent)({ keepAlive: true, ...tls }) : new (http().Agent)({ keepAlive: true })
  const open = new Map<Socket, { sinceMs: number; bytesBefore: number }>()
  let ended: { found: string; foreign: boolean } | undefined
  const end = (socket: Socket, found: string, foreign = false) => {
    ended ??= { found, foreign }
    socket.destroy()
  }
  agent.on('free', (socket: Socket) => open.delete(socket))
  const check = () => {
    for (const socket of Object.values(agent.sockets).flatMap((sockets) => sockets ?? [])) {
      const exchange = open.get(socket)
      if (!exchange) open.set(socket, { sinceMs: performance.now(), bytesBefore: socket.bytesRead })
      else if (performance.now() - exchange.sinceMs > timeoutMs) end(socket, `timed out after ${timeoutMs / 1000} s`)
      else if (socket.bytesRead - exchange.bytesBefore > maxResponseBytes)
        end(socket, `a response larger than ${maxResponseBytes / 1024 ** 2} MiB`)
    }
  }
  const onResponse = (message: unknown) => {
    const { request, response } = message as { request: ClientRequest & { agent?: Agent }; response: IncomingMessage }
    if (request.agent !== agent || !request.socket) return
    if (Object.keys(response.headers).some((name) => name.startsWith('x-clickhouse-'))) return
    const server = response.headers.server ?? 'an unnamed server'
    end(request.socket, `a server that is not ClickHouse: HTTP ${response.statusCode} from ${server}`, true)
  }
  const timer = setInterval(check, CHECK_MS).unref()
  subscribe(RESPONSE, onResponse)
  return {
    agent,
    ended: () => ended,
    close: () => {
      clearInterval(timer)
      unsubscribe(RESPONSE, onResponse)
      agent.destroy()
    },
  }
}
