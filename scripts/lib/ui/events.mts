/** Who has the page open, and what is sent to them: Server-Sent Events. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { HEADERS } from './guard.mts'

const MAX_PAGES = 32
/** Bytes that a page which does not read may leave unsent before it is dropped; it connects again by itself. */
const MAX_UNSENT_BYTES = 4 * 1024 ** 2

export class Events {
  readonly #pages = new Set<ServerResponse>()

  /** Sends `first`, and then all that comes; false where too many are open. */
  open(request: IncomingMessage, response: ServerResponse, first: string): boolean {
    if (this.#pages.size >= MAX_PAGES) return false
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream; charset=utf-8' })
    if (request.method === 'HEAD') {
      response.end()
      return true
    }
    // Milliseconds after which a page tries again that has lost its connection.
    response.write(`retry: 1000\n${eventText('begin', first)}`)
    this.#pages.add(response)
    response.once('close', () => this.#pages.delete(response))
    return true
  }

  /** @param json of one line */
  send(name: string, json: string): void {
    for (const page of this.#pages) {
      if (page.writableLength > MAX_UNSENT_BYTES) page.destroy()
      else page.write(eventText(name, json))
    }
  }

  close(): void {
    for (const page of this.#pages) page.destroy()
  }
}

const eventText = (name: string, json: string): string => `event: ${name}\ndata: ${json}\n\n`
