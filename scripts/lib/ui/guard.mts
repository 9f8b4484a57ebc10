/** Request filter: allows programs and the page itself under a loopback name, and refuses pages of other sites. */

export interface Refusal {
  status: 403 | 405
  text: string
}

/** Host names accepted. Any other name could be a foreign site that resolves to 127.0.0.1 (DNS rebinding). */
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]']

/** Returns the reason to refuse a request; undefined to allow it. */
export function refusalOf(
  { method = '', headers }: { method?: string | undefined; headers: NodeJS.Dict<string | string[]> },
  port: number,
): Refusal | undefined {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, text: 'Only GET and HEAD are allowed' }
  const hosts = LOOPBACK.flatMap((name) => [`${name}:${port}`, ...(port === 80 ? [name] : [])])
  if (!hosts.includes(String(headers.host ?? '').toLowerCase()))
    return { status: 403, text: `Invalid Host header: use http://127.0.0.1:${port}` }
  const { origin } = headers
  const isForeign = origin !== undefined && !hosts.some((host) => origin === `http://${host}`)
  const site = headers['sec-fetch-site']
  // Navigation from another site is allowed; embedding and fetching is not.
  const isCross = (site === 'cross-site' || site === 'same-site') && headers['sec-fetch-mode'] !== 'navigate'
  return isForeign || isCross ? { status: 403, text: 'Cross-site requests are not allowed' } : undefined
}

/** Headers of every response: the page loads only its own files, cannot be embedded, and is not cached. */
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
