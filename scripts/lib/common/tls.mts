/** Explains TLS failures between a client and a server, and names the setting that fixes each. */
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import { error, type Finding } from './findings.mts'
import { networkCause } from './tcp.mts'

/** Error codes of Node.js and OpenSSL, by meaning. @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const KINDS = {
  authority:
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT|VERIFY_LEAF)\w*|CERT_SIGNATURE_FAILURE)$/,
  expired: /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
  host: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
  plain: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/,
  client: /^ERR_SSL_[A-Z0-9]+_ALERT_(BAD_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|HANDSHAKE_FAILURE)$/,
}
type Kind = keyof typeof KINDS

/** Returns the kind of the first TLS error among `failure` and its causes. */
function kindOf(failure: unknown): Kind | undefined {
  for (let at = failure; at instanceof Error; at = at.cause) {
    const { code = '', message } = at as NodeJS.ErrnoException
    const kind = Object.entries(KINDS).find(([, codes]) => codes.test(code))?.[0]
    if (kind) return kind as Kind
    // The code depends on the version of Node.js and on how far the handshake got.
    if (/before secure TLS connection|:wrong version number:/.test(message)) return 'plain'
  }
  return undefined
}

/** A server to connect to, and the settings that apply to it. */
export interface TlsTarget {
  service: 'kafka' | 'clickhouse' | 'redis'
  host: string
  port: number
  /** Whether the settings require TLS. */
  secure: boolean
  /** Assignments for .env that switch TLS on and off. */
  on: string
  off: string
  /** Variables of the host, of the CA certificate, and of the client certificate if the service supports one. */
  hostVariable: string
  caVariable: string
  certificateVariable?: string
}

const findingOf = ({ service, host, port }: TlsTarget, found: string, hint: string): Finding =>
  error(`${service.toUpperCase()}_TLS`, `${service} ${isIP(host) === 6 ? `[${host}]` : host}:${port}`, { found, hint })

/** Returns the finding for a server without TLS when the settings require it. */
export const withoutTls = (target: TlsTarget) =>
  findingOf(target, 'the server does not use TLS, but the settings require it', `edit .env: ${target.off}`)

/** Returns a finding (exit code 2) if `failure` is a TLS misconfiguration, else undefined. Connects to the server again to find the cause. */
export async function tlsMistake(target: TlsTarget, failure: unknown, timeoutMs: number): Promise<Finding | undefined> {
  const { host, secure } = target
  const finding = (found: string, hint: string) => findingOf(target, found, hint)
  if (!secure) {
    if (NOT_REACHED.includes(networkCause(failure)) || !(await greet(target, timeoutMs))) return undefined
    return finding('the server uses TLS, but the settings do not', `edit .env: ${target.on}`)
  }
  const kind = kindOf(failure)
  if (!kind) return undefined
  if (kind === 'plain') return withoutTls(target)
  if (kind === 'client') {
    const { certificateVariable: variable } = target
    const hint = variable
      ? `set ${variable} and its key in .env`
      : 'let the server accept clients without a certificate'
    return finding('the server requires a client certificate that it trusts', hint)
  }
  const certificate = await greet(target, timeoutMs)
  const names = certificate?.names ? ` (${certificate.names})` : ''
  switch (kind) {
    case 'authority':
      return finding(
        `its certificate is from an unknown authority${certificate?.issuer ? ` (${certificate.issuer})` : ''}`,
        `set ${target.caVariable} in .env to the file with the certificate of that authority`,
      )
    case 'expired': {
      const [from, to] = [certificate?.from ?? Number.NaN, certificate?.to ?? Number.NaN]
      const day = (ms: number) => (Number.isNaN(ms) ? '' : ` ${new Date(ms).toISOString().slice(0, 10)}`)
      const found = from > Date.now() ? `is not valid before${day(from)}` : `expired${day(to) && ` on${day(to)}`}`
      return finding(`its certificate ${found}`, 'install a new certificate on the server')
    }
    case 'host':
      return finding(
        `its certificate is not for ${host}${names}`,
        `set ${target.hostVariable} in .env to a name in the certificate, or issue one that includes ${host}`,
      )
  }
}

/** Causes that rule out a TLS server. */
const NOT_REACHED = ['connection refused', 'unknown host name', 'host unreachable', 'network unreachable', 'timed out']

interface Certificate {
  issuer: string
  names: string
  /** Milliseconds since 1970. */
  from: number
  to: number
}

/** Returns the server's certificate, valid or not; undefined if it does not use TLS. Sends nothing beyond the handshake. */
function greet({ host, port }: TlsTarget, timeoutMs: number): Promise<Certificate | undefined> {
  return new Promise((resolve) => {
    const servername = isIP(host) ? {} : { servername: host }
    const socket = connect({ host, port, ...servername, rejectUnauthorized: false }, () => {
      const { issuer, subjectaltname, subject, valid_from: from, valid_to: to } = socket.getPeerCertificate()
      const names = (subjectaltname ?? subject?.CN ?? '').toString().replaceAll(/(DNS|IP Address):/g, '')
      const authority = [issuer?.CN, issuer?.O].flat().filter(Boolean)[0] ?? ''
      end({ issuer: authority, names, from: Date.parse(from), to: Date.parse(to) })
    })
    const timer = setTimeout(() => end(undefined), timeoutMs)
    const end = (certificate: Certificate | undefined) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(certificate)
    }
    socket.on('error', () => end(undefined))
  })
}
