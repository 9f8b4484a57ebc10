/** Reads certificates from files: when they expire, and the names that they are valid for. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { readTextFile } from '../common/text-file.mts'
import { DAY_MS } from '../common/time.mts'

export interface Certificate {
  /** Milliseconds since 1970. */
  expiresMs: number
  certificate: X509Certificate
}

/** Days before expiry from which a certificate should be renewed. */
const RENEW_DAYS = 30

/** Returns the PEM certificates in a file, in order; none if it does not exist. @throws {Error} if it is unreadable or a certificate is invalid */
export function readCertificates(file: string): Certificate[] {
  const blocks = (readTextFile(file) ?? '').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => {
    const certificate = new X509Certificate(block)
    return { certificate, expiresMs: Date.parse(certificate.validTo) }
  })
}

/** Formats a time as a date, in UTC. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** Reports whether a certificate is valid for a host name or address. */
export const isFor = (certificate: X509Certificate, name: string): boolean =>
  (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined

/** Describes a certificate that has expired or expires within {@link RENEW_DAYS}; returns undefined for any other. */
export function expiryText({ expiresMs }: Certificate, nowMs: number): string | undefined {
  if (expiresMs <= nowMs) return `expired on ${dayOf(expiresMs)}`
  const days = Math.floor((expiresMs - nowMs) / DAY_MS)
  return days < RENEW_DAYS ? `expires on ${dayOf(expiresMs)}, in ${days} ${days === 1 ? 'day' : 'days'}` : undefined
}
