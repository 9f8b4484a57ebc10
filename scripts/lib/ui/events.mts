/** Server-Sent Events to the open pages. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { HEADERS } from './guard.mts'

const MAX_PAGES = 32
/** Unsent bytes above which a slow page is disconnected; it reconnects by itself. */
const MAX_UNSENT_BYTES = 4 * 1024 ** 2

export class Events {
  readonly #pages = new Set<ServerResponse>()

  /** Sends `first`, then all further events. Returns false if too many pages are open. */
  open(request: IncomingMessage, response: ServerResponse, first: string): boolean {
    if (this.#pages.size >= MAX_PAGES) return false
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream; charset=utf-8' })
    if (request.method === 'HEAD') {
      response.end()
      return true
    }
    // `retry`: reconnection delay in ms.
    response.write(`retry: 1000\n${eventText('begin', first)}`)
    this.#pages.add(response)
    response.once('close', () => this.#pages.delete(response))
    return true
  }

  /** Sends an event to all open pages. @param json must be a single line */
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
