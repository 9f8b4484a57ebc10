/** What goes wrong between a client and a server about TLS, in words, and the setting that it is about. */
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import { error, type Finding } from './findings.mts'
import { networkCause } from './tcp.mts'

/** Codes of Node.js and OpenSSL, by what they mean. @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const KINDS = {
  authority:
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT|VERIFY_LEAF)\w*|CERT_SIGNATURE_FAILURE)$/,
  expired: /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
  host: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
  plain: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/,
  client: /^ERR_SSL_[A-Z0-9]+_ALERT_(BAD_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|HANDSHAKE_FAILURE)$/,
}
type Kind = keyof typeof KINDS

/** What the first cause of `failure` that is about TLS means. */
function kindOf(failure: unknown): Kind | undefined {
  for (let at = failure; at instanceof Error; at = at.cause) {
    const { code = '', message } = at as NodeJS.ErrnoException
    const kind = Object.entries(KINDS).find(([, codes]) => codes.test(code))?.[0]
    if (kind) return kind as Kind
    // Which of the two codes it gets depends on the version of Node.js, and on how far the handshake came.
    if (/before secure TLS connection|:wrong version number:/.test(message)) return 'plain'
  }
  return undefined
}

/** A server as the settings lead to it, and the settings themselves. */
export interface TlsTarget {
  service: 'kafka' | 'clickhouse' | 'redis'
  host: string
  port: number
  /** Whether the settings ask for TLS. */
  secure: boolean
  /** Assignments that switch TLS on and off. */
  on: string
  off: string
  /** Variables of the host and of the authority's certificate, and of the client's own one, where there is one. */
  hostVariable: string
  caVariable: string
  certificateVariable?: string
}

const findingOf = ({ service, host, port }: TlsTarget, found: string, hint: string): Finding =>
  error(`${service.toUpperCase()}_TLS`, `${service} ${isIP(host) === 6 ? `[${host}]` : host}:${port}`, { found, hint })

/** The finding of a server that takes plain connections where the settings ask for TLS. */
export const withoutTls = (target: TlsTarget) =>
  findingOf(target, 'it does not speak TLS, and the settings ask for it', `edit .env: ${target.off}`)

/** A mistake about TLS, as a finding of exit code 2; undefined for any other failure. Asks the server again to tell what it is. */
export async function tlsMistake(target: TlsTarget, failure: unknown, timeoutMs: number): Promise<Finding | undefined> {
  const { host, secure } = target
  const finding = (found: string, hint: string) => findingOf(target, found, hint)
  if (!secure) {
    if (NOT_REACHED.includes(networkCause(failure)) || !(await greet(target, timeoutMs))) return undefined
    return finding('it speaks TLS, and the settings say plain', `edit .env: ${target.on}`)
  }
  const kind = kindOf(failure)
  if (!kind) return undefined
  if (kind === 'plain') return withoutTls(target)
  if (kind === 'client') {
    const { certificateVariable: variable } = target
    const hint = variable ? `set ${variable} and its key in .env` : 'let it take clients without a certificate'
    return finding('it asks clients for a certificate, and there is none that it trusts', hint)
  }
  const certificate = await greet(target, timeoutMs)
  const names = certificate?.names ? ` (${certificate.names})` : ''
  switch (kind) {
    case 'authority':
      return finding(
        `its certificate is from an authority that is not known here${certificate?.issuer ? ` (${certificate.issuer})` : ''}`,
        `set ${target.caVariable} in .env to the file with that authority's certificate`,
      )
    case 'expired': {
      const [from, to] = [certificate?.from ?? Number.NaN, certificate?.to ?? Number.NaN]
      const day = (ms: number) => (Number.isNaN(ms) ? '' : ` ${new Date(ms).toISOString().slice(0, 10)}`)
      const found = from > Date.now() ? `holds only from${day(from)}` : `ended${day(to) && ` on${day(to)}`}`
      return finding(`its certificate ${found}`, 'have the server given a new certificate')
    }
    case 'host':
      return finding(
        `its certificate is for another name than ${host}${names}`,
        `set ${target.hostVariable} in .env to a name of the certificate, or have this one put into it`,
      )
  }
}

/** Causes that no server has that speaks TLS. */
const NOT_REACHED = ['connection refused', 'unknown host name', 'host unreachable', 'network unreachable', 'timed out']

interface Certificate {
  issuer: string
  names: string
  /** Milliseconds since 1970. */
  from: number
  to: number
}

/** The certificate of a server, whatever it is worth; undefined for one that does not speak TLS. Sends nothing else. */
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
