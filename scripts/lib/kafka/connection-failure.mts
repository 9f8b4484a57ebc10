/** Finds out why a reachable broker rejects our connections: TLS, credentials, or the SASL mechanism. */
import { error, type Finding, reason } from '../common/findings.mts'
import { tlsMistake, withoutTls } from '../common/tls.mts'
import { errorName } from './cluster-requests.mts'
import { TokenRefused } from './oauth-token.mts'
import type { Servers } from './options.mts'
import { connectWire, type Request } from './transport.mts'

/** Asks a broker for the SASL mechanisms it offers; none if it does not use SASL. Only valid before authentication. */
const offered: Request<{ error: string; mechanisms: string[] }> = {
  key: 17,
  version: 1,
  write: (to) => to.writeString('NONE'),
  read: (from) => ({
    error: errorName(from.readInt16()),
    mechanisms: from.readArray((each) => each.readString() ?? ''),
  }),
}

/**
 * Reports settings that keep the broker at `address` from accepting connections, as a finding for exit code 2; undefined if the settings are
 * not the cause. Connects to the broker again to find out.
 */
export async function connectionMistake(
  address: { host: string; port: number },
  settings: Servers,
  failure: unknown,
  timeoutMs: number,
): Promise<Finding | undefined> {
  const { KAFKA_SECURITY_PROTOCOL: protocol = 'PLAINTEXT', KAFKA_SASL_MECHANISM: mechanism } = settings
  const secure = protocol.endsWith('SSL')
  const isSasl = protocol.startsWith('SASL')
  const inTls = (yes: boolean) => `KAFKA_SECURITY_PROTOCOL=${isSasl ? 'SASL_' : ''}${yes ? 'SSL' : 'PLAINTEXT'}`
  const target = {
    ...{ service: 'kafka' as const, ...address, secure, on: inTls(true), off: inTls(false) },
    ...{ hostVariable: 'KAFKA_BOOTSTRAP_SERVERS', caVariable: 'KAFKA_SSL_CA_LOCATION' },
    certificateVariable: 'KAFKA_SSL_CERTIFICATE_LOCATION',
  }
  const subject = `kafka ${address.host}:${address.port}`
  if (failure instanceof TokenRefused) {
    const hint = 'check KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD in .env'
    return error('KAFKA_TOKEN', subject, { found: reason(failure), hint })
  }
  const { name = '', code, type } = failure as { name?: string; code?: unknown; type?: unknown }
  if (name === 'KafkaJSSASLAuthenticationError') {
    const hint = 'check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM in .env'
    const found = `login as ${settings.KAFKA_SASL_USERNAME} with ${mechanism} refused`
    return error('KAFKA_AUTH', subject, { found, hint })
  }
  const wrong = await tlsMistake(target, failure, timeoutMs)
  if (wrong) return wrong
  const unoffered = type === 'UNSUPPORTED_SASL_MECHANISM'
  // A broker that requires authentication closes the connection at the first request without it.
  if (!unoffered && type !== 'ILLEGAL_SASL_STATE' && code !== 'ECONNRESET') return undefined
  const ask = (open: 'SSL' | 'PLAINTEXT') =>
    connectWire(address, { ...settings, KAFKA_SECURITY_PROTOCOL: open }, timeoutMs).then(
      (wire) => wire.send(offered, timeoutMs).finally(wire.close),
      () => undefined,
    )
  const answer = await ask(secure ? 'SSL' : 'PLAINTEXT')
  // A listener without TLS takes the first TLS bytes for a length and closes the connection.
  if (!answer) return secure && (await ask('PLAINTEXT')) ? withoutTls(target) : undefined
  const offers = answer.mechanisms.join(', ')
  if (unoffered && offers) {
    const found = `the broker does not offer SASL mechanism ${mechanism}, only ${offers}`
    return error('KAFKA_MECHANISM', subject, { found, hint: 'edit .env: KAFKA_SASL_MECHANISM=…' })
  }
  if (!isSasl && offers) {
    const hint = `edit .env: KAFKA_SECURITY_PROTOCOL=SASL_${secure ? 'SSL' : 'PLAINTEXT'}, with KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`
    return error('KAFKA_AUTH', subject, {
      found: `the broker requires SASL authentication; mechanisms: ${offers}`,
      hint,
    })
  }
  if (isSasl && answer.error === 'ILLEGAL_SASL_STATE') {
    const hint = `edit .env: KAFKA_SECURITY_PROTOCOL=${secure ? 'SSL' : 'PLAINTEXT'}`
    return error('KAFKA_AUTH', subject, { found: 'this listener does not support SASL authentication', hint })
  }
  return undefined
}
