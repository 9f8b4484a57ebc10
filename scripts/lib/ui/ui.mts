/** The web server of the page, on the loopback address only. Changes nothing in the stack. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OpsError } from '../common/findings.mts'
import { redact } from '../common/redact.mts'
import { PAGE } from '../engines/page.mts'
import type { Settings } from '../settings/settings.mts'
import { ingestPart, readBook, tablesPart } from './clickhouse.mts'
import { Events } from './events.mts'
import { pageFile } from './files.mts'
import { HEADERS, refusalOf } from './guard.mts'
import { healthParts } from './health.mts'
import { kafkaPart } from './kafka.mts'
import { readMessages } from './messages.mts'
import { METRICS_TYPE, renderMetrics } from './metrics.mts'
import { problemOf, Sampler } from './sampler.mts'

export interface Ui {
  url: string
  close: () => Promise<void>
}

/** Maximum length of a topic or symbol name in a request; Kafka's limit for topics. */
const MAX_NAME = 249

/** Identifies the page, and the stack it shows, to programs that check whether it is served. */
export const identityOf = (settings: Settings) => ({
  ...PAGE,
  kafka: settings.KAFKA_BOOTSTRAP_SERVERS.join(','),
  clickhouse: `${settings.CLICKHOUSE_HOST}:${settings.CLICKHOUSE_PORT}/${settings.CLICKHOUSE_DATABASE}`,
})

/** Serializes to JSON with secrets redacted in all strings. */
export const safeJson = (value: unknown): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'string' ? redact(each) : each))

/**
 * Serves the page on 127.0.0.1 until it is closed.
 * @param port 0 for any free port
 * @throws {Error} with the socket's `code`, such as EADDRINUSE
 */
export async function serveUi(settings: Settings, port: number): Promise<Ui> {
  const events = new Events()
  const parts = [...healthParts(settings), kafkaPart(settings), tablesPart(settings), ingestPart(settings)]
  const sampler = new Sampler(parts, (state) => events.send('part', safeJson(state)))
  const shared = createShared()
  const server = createServer((request, response) => {
    answer(request, response).catch((failure: unknown) => {
      const status = failure instanceof OpsError && failure.exitCode === 2 ? 404 : 503
      if (response.headersSent) response.destroy()
      else json(response, status, { problem: problemOf(failure) })
    })
  })
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { port: listeningPort } = server.address() as AddressInfo
    const refusal = refusalOf(request, listeningPort)
    if (refusal) return text(response, refusal.status, refusal.text)
    const [route = '', query = ''] = (request.url ?? '').split('?')
    const name = new URLSearchParams(query).get(PARAMETERS[route] ?? '') ?? ''
    if (PARAMETERS[route] && (name === '' || name.length > MAX_NAME))
      return text(response, 400, `Missing or invalid parameter ?${PARAMETERS[route]}=`)
    switch (route) {
      case '/events': {
        const stop = sampler.watch()
        response.once('close', stop)
        if (events.open(request, response, safeJson({ states: sampler.states, history: sampler.history }))) return
        return text(response, 503, 'Too many pages are open')
      }
      case '/metrics':
        return send(response, 200, METRICS_TYPE, redact(renderMetrics(await shared('metrics', () => sampler.now()))))
      case '/api/health':
        return json(response, 200, identityOf(settings))
      case '/api/snapshot':
        return json(response, 200, { parts: await shared('metrics', () => sampler.now()) })
      case '/api/messages':
        return json(response, 200, { messages: await shared(`topic ${name}`, () => readMessages(settings, name)) })
      case '/api/book':
        return json(response, 200, await shared(`book ${name}`, () => readBook(settings, name)))
    }
    const file = pageFile(route)
    if (!file) return text(response, 404, 'Not found')
    send(response, 200, file.type, file.bytes)
  }
  await listen(server, port)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      events.close()
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/** Required query parameter by path. */
const PARAMETERS: Partial<Record<string, string>> = { '/api/messages': 'topic', '/api/book': 'symbol' }

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, { ...HEADERS, 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body)
}

const json = (response: ServerResponse, status: number, value: unknown): void =>
  send(response, status, 'application/json; charset=utf-8', safeJson(value))

function text(response: ServerResponse, status: number, line: string): void {
  if (status === 405) response.setHeader('Allow', 'GET, HEAD')
  send(response, status, 'text/plain; charset=utf-8', `${line}\n`)
}

/** Returns a function that runs `work`, or joins a running call with the same key. */
function createShared(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const running = new Map<string, Promise<unknown>>()
  return <T,>(key: string, work: () => Promise<T>) => {
    const known = running.get(key) as Promise<T> | undefined
    if (known) return known
    const working = work().finally(() => running.delete(key))
    running.set(key, working)
    return working
  }
}
