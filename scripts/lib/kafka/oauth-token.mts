/** Tokens for SASL/OAUTHBEARER, got with a client's id and secret. */
import { keepSecret } from '../common/secrets.mts'

/** Milliseconds for the endpoint to answer. */
const TOKEN_MS = 5_000
/** Seconds before its end from which a token is not used for a new connection. */
const SPARE_S = 30

/** What one token endpoint says to a refused client. */
export class TokenRefused extends Error {}

/**
 * Gives tokens of an endpoint that takes the grant type client_credentials; each is used again for as long as it holds.
 * @throws {TokenRefused} when the endpoint gives none
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 */
export function tokenProvider(endpoint: string, id: string, secret: string): () => Promise<{ value: string }> {
  let held: { value: string; untilMs: number } | undefined
  return async () => {
    if (held && performance.now() < held.untilMs) return held
    const login = [id, secret].map(encodeURIComponent).join(':')
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(login).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
      signal: AbortSignal.timeout(TOKEN_MS),
    }).catch((failure: Error) => {
      throw new TokenRefused(`no answer from ${endpoint}`, { cause: failure.cause ?? failure })
    })
    const body = (await response.json().catch(() => ({}))) as Record<string, unknown>
    const { access_token: value, expires_in: seconds, error } = body
    if (typeof value !== 'string') {
      const answer = `HTTP ${response.status}${typeof error === 'string' ? ` ${error}` : ''}`
      throw new TokenRefused(`${endpoint} gives no token: ${answer}`)
    }
    keepSecret(value)
    const lifeS = typeof seconds === 'number' ? seconds - SPARE_S : 0
    held = { value, untilMs: performance.now() + lifeS * 1000 }
    return held
  }
}
