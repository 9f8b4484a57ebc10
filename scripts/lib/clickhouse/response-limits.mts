/** Bounds what a server may do to a client: how long an exchange takes, how much it answers, and that it is ClickHouse that answers. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import type { Socket } from 'node:net'

/** No answer to a question of ours comes near it; a server that sends without end must not fill the memory. */
const MAX_ANSWER_BYTES = 256 * 1024 ** 2
/** Milliseconds between two looks at the open exchanges. */
const LOOK_MS = 50
/** Published by Node.js before a client sees the head of an answer. @see https://nodejs.org/api/diagnostics_channel.html#http */
const ANSWERED = 'http.client.response.finish'

export interface Exchanges {
  /** For every connection of the client. */
  agent: Agent
  /** Why an exchange was ended early, such as `timed out after 5 s`; undefined where none was. `foreign`: another server answered. */
  ended: () => { found: string; foreign: boolean } | undefined
  close: () => void
}

/**
 * @param timeoutMs for a whole exchange, from the first byte that is sent to the last one that comes back
 * @param tls the authority to trust, if it is one that Node.js does not know; undefined for no TLS
 * @param maxAnswerBytes of an answer; Infinity for who takes answers as streams
 */
export function boundExchanges(timeoutMs: number, tls?: { ca?: Buffer }, maxAnswerBytes = MAX_ANSWER_BYTES): Exchanges {
  const agent = tls ? new SecureAgent({ keepAlive: true, ...tls }) : new Agent({ keepAlive: true })
  const open = new Map<Socket, { sinceMs: number; bytesBefore: number }>()
  let ended: { found: string; foreign: boolean } | undefined
  const end = (socket: Socket, found: string, foreign = false) => {
    ended ??= { found, foreign }
    socket.destroy()
  }
  agent.on('free', (socket: Socket) => open.delete(socket))
  const look = () => {
    for (const socket of Object.values(agent.sockets).flatMap((sockets) => sockets ?? [])) {
      const begun = open.get(socket)
      if (!begun) open.set(socket, { sinceMs: performance.now(), bytesBefore: socket.bytesRead })
      else if (performance.now() - begun.sinceMs > timeoutMs) end(socket, `timed out after ${timeoutMs / 1000} s`)
      else if (socket.bytesRead - begun.bytesBefore > maxAnswerBytes)
        end(socket, `answered more than ${maxAnswerBytes / 1024 ** 2} MiB`)
    }
  }
  const answered = (message: unknown) => {
    const { request, response } = message as { request: ClientRequest & { agent?: Agent }; response: IncomingMessage }
    if (request.agent !== agent || !request.socket) return
    if (Object.keys(response.headers).some((name) => name.startsWith('x-clickhouse-'))) return
    const server = response.headers.server ?? 'a server without a name'
    end(request.socket, `answered what is not ClickHouse's protocol: HTTP ${response.statusCode} from ${server}`, true)
  }
  const timer = setInterval(look, LOOK_MS).unref()
  subscribe(ANSWERED, answered)
  return {
    agent,
    ended: () => ended,
    close: () => {
      clearInterval(timer)
      unsubscribe(ANSWERED, answered)
      agent.destroy()
    },
  }
}
