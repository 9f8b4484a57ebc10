/** Who may ask the page: programs and pages of this machine by a loopback name, never a page of another site. */

export interface Refusal {
  status: 403 | 405
  text: string
}

/** Names under which a browser reaches 127.0.0.1 that no name server gives out: a foreign name may be made to lead here (DNS rebinding). */
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]']

/** Why a request is refused; undefined for one that is not. */
export function refusalOf(
  { method = '', headers }: { method?: string | undefined; headers: NodeJS.Dict<string | string[]> },
  port: number,
): Refusal | undefined {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, text: 'This page only shows: GET' }
  const hosts = LOOPBACK.flatMap((name) => [`${name}:${port}`, ...(port === 80 ? [name] : [])])
  if (!hosts.includes(String(headers.host ?? '').toLowerCase()))
    return { status: 403, text: `Ask under a name of this machine: http://127.0.0.1:${port}` }
  const { origin } = headers
  const isForeign = origin !== undefined && !hosts.some((host) => origin === `http://${host}`)
  const site = headers['sec-fetch-site']
  // A link or bookmark may lead to the page; what other sites embed or fetch is none.
  const isCross = (site === 'cross-site' || site === 'same-site') && headers['sec-fetch-mode'] !== 'navigate'
  return isForeign || isCross ? { status: 403, text: 'Pages of other sites may not ask' } : undefined
}

/** Sent with every answer: nothing but the page's own files runs in it, nobody embeds it, nothing is kept. */
export const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cache-Control': 'no-store',
} as const
