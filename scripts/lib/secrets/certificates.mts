/** Certificates as files have them: until when they hold, and for which names. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { readTextFile } from '../common/text-file.mts'
import { DAY_MS } from '../common/time.mts'

export interface Certificate {
  /** Milliseconds since 1970. */
  endsMs: number
  certificate: X509Certificate
}

/** Days before its end from which a certificate is to be renewed. */
export const RENEW_DAYS = 30

/** The PEM certificates of a file, in order; none for a file that is not there. @throws {Error} for a file that cannot be read or holds a broken one */
export function readCertificates(file: string): Certificate[] {
  const blocks = (readTextFile(file) ?? '').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => {
    const certificate = new X509Certificate(block)
    return { certificate, endsMs: Date.parse(certificate.validTo) }
  })
}

/** When a certificate ends, as a day in UTC. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** Whether a certificate holds for a host name or address. */
export const isFor = (certificate: X509Certificate, name: string): boolean =>
  (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined

/** Words for a certificate that has ended or ends within {@link RENEW_DAYS}; undefined for any other. */
export function endWords({ endsMs }: Certificate, nowMs: number): string | undefined {
  if (endsMs <= nowMs) return `ended on ${dayOf(endsMs)}`
  const days = Math.floor((endsMs - nowMs) / DAY_MS)
  return days < RENEW_DAYS ? `ends on ${dayOf(endsMs)}, in ${days} ${days === 1 ? 'day' : 'days'}` : undefined
}
