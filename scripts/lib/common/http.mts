/**
 * HTTP requests. They do not use `fetch`: in Node.js 20, the first `fetch` of a process never settles if the server closes the connection
 * immediately, as the port of a container that is just starting does.
 */
import type { IncomingMessage } from 'node:http'
import { http, https } from './builtins.mts'

export interface HttpRequest {
  method?: string
  headers?: Record<string, string>
  body?: string | Buffer
  /** Deadline in ms, up to the end of the response body. */
  timeoutMs: number
}

/** No complete response arrived. The cause is the socket's error, or says that the request timed out. */
export class HttpFailure extends Error {
  readonly timedOut: boolean
  constructor(cause: Error) {
    super(cause.message, { cause })
    this.timedOut = cause instanceof Timeout
  }
}

class Timeout extends Error {}

export interface HttpResponse {
  status: number
  /** Undefined if the response does not have it. */
  header: (name: string) => string | undefined
  /** Must be read to its end. @throws {HttpFailure} if the connection breaks */
  body: AsyncIterable<Buffer>
}

/**
 * Sends a request. Follows no redirect: the signature or credentials are for one server.
 * @throws {HttpFailure} if no response begins
 */
export async function sendHttp(url: string | URL, request: HttpRequest): Promise<HttpResponse> {
  const { method = 'GET', headers = {}, body, timeoutMs } = request
  const { request: open } = new URL(url).protocol === 'https:' ? https() : http()
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    let received: IncomingMessage | undefined
    const sent = open(url, { method, headers }, (response) => {
      received = response
      resolve(response)
    })
    const timer = setTimeout(() => {
      const late = new Timeout(`timed out after ${timeoutMs / 1000} s`)
      received?.destroy(late)
      sent.destroy(late)
    }, timeoutMs)
    sent.on('close', () => clearTimeout(timer))
    sent.on('error', (failure) => reject(new HttpFailure(failure)))
    sent.end(body)
  })
  return {
    status: message.statusCode ?? 0,
    header: (name) => message.headersDistinct[name]?.[0],
    body: chunksOf(message),
  }
}

async function* chunksOf(message: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    yield* message
  } catch (failure) {
    throw new HttpFailure(failure as Error)
  }
}

/** Returns the body's text; of a body longer than `maxBytes`, only its beginning. @throws {HttpFailure} if the connection breaks */
export async function readText({ body }: HttpResponse, maxBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= maxBytes) break
  }
  return Buffer.concat(chunks).subarray(0, maxBytes).toString()
}

/** Bytes of a response that {@link httpText} reads. */
const MAX_BYTES = 64 * 1024

/**
 * Sends a request on a connection of its own and returns the status and the first 64 KiB of the text. A server that stops would wait for a
 * connection that stays open.
 * @throws {HttpFailure} if no complete response arrives
 */
export async function httpText(url: string | URL, request: HttpRequest): Promise<{ status: number; text: string }> {
  const response = await sendHttp(url, { ...request, headers: { ...request.headers, Connection: 'close' } })
  return { status: response.status, text: await readText(response, MAX_BYTES) }
}
