/** Fetches and caches SASL/OAUTHBEARER tokens (client-credentials grant). */
import { httpText } from '../common/http.mts'
import { registerSecret } from '../common/redact.mts'

/** Milliseconds that the token endpoint gets to answer. */
const TOKEN_MS = 5_000
/** Seconds before its expiry from which a token is not used for new connections. */
const SPARE_S = 30

/** The token endpoint refused the client, or did not answer. */
export class TokenRefused extends Error {}

/**
 * Returns a function that fetches a token from `endpoint` and reuses it while it is valid.
 * @throws {TokenRefused} from that function, if the endpoint returns no token
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 */
export function tokenProvider(endpoint: string, id: string, secret: string): () => Promise<{ value: string }> {
  let cached: { value: string; untilMs: number } | undefined
  return async () => {
    if (cached && performance.now() < cached.untilMs) return cached
    const credentials = [id, secret].map(encodeURIComponent).join(':')
    const { status, text } = await httpText(endpoint, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: 'grant_type=client_credentials',
      timeoutMs: TOKEN_MS,
    }).catch((failure: Error) => {
      throw new TokenRefused(`no answer from ${endpoint}`, { cause: failure.cause })
    })
    const { access_token: value, expires_in: seconds, error } = parsed(text)
    if (typeof value !== 'string') {
      const answer = `HTTP ${status}${typeof error === 'string' ? ` ${error}` : ''}`
      throw new TokenRefused(`${endpoint} returned no token: ${answer}`)
    }
    registerSecret(value)
    const lifeS = typeof seconds === 'number' ? seconds - SPARE_S : 0
    cached = { value, untilMs: performance.now() + lifeS * 1000 }
    return cached
  }
}

/** Returns the fields of a JSON object; none if it is not one. */
function parsed(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}
