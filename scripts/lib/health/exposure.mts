/**
 * Warnings about passwords and keys that other users can read, certificates that expire, and ports open to other
 * machines.
 */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { type Finding, warning } from '../common/findings.mts'
import { othersMode } from '../common/text-file.mts'
import type { StackMode } from '../engines/mode.mts'
import { knownPorts, readProject } from '../ports/published.mts'
import { exposedFindings, isLoopback } from '../ports/report.mts'
import { expiryText, readCertificates } from '../secrets/certificates.mts'
import { envFileName, readEnvEntries } from '../settings/env-file.mts'
import { isSecret } from '../settings/environment.mts'
import { isProduction, templateValues } from '../settings/production.mts'
import { ROOT, type Settings } from '../settings/settings.mts'

/**
 * Returns the warnings about files and about the ports of the running stack. Calls Docker Compose only if BIND_ADDRESS
 * is not a loopback address.
 */
export async function exposure(settings: Settings, mode: StackMode | 'unknown'): Promise<Finding[]> {
  const files = [...readableEnv(), ...openFolder(), ...expiringCertificates(settings)]
  if (mode === 'unknown' || isLoopback(settings.BIND_ADDRESS)) return files
  const production = mode === 'docker' && isProduction()
  const known = knownPorts(settings, production)
  const published = async () => (mode === 'docker' ? (await readProject(settings)).ports : known)
  // The embedded stack has no Kafka UI.
  const ports = (await published().catch(() => known)).filter(
    ({ service }) => mode === 'docker' || service !== 'kafka-ui',
  )
  return [...files, ...exposedFindings(ports, settings, production)]
}

/** Warns of a .env that other users can read and that contains a password other than the template's. */
export function readableEnv(root = ROOT, env = process.env): Finding[] {
  const fileName = envFileName(env, root)
  if (((othersMode(path.resolve(root, fileName)) ?? 0) & 0o044) === 0) return []
  const published = templateValues(root)
  const secrets = readEnvEntries(root, fileName).filter(
    ({ name, text }) => isSecret(name) && text !== '' && text !== published.get(name),
  )
  if (secrets.length === 0) return []
  const found = `other users of this machine can read ${secrets.map(({ name }) => name).join(', ')} in it`
  return [warning('ENV_READABLE', fileName, { found, hint: `chmod 600 ${fileName}` })]
}

/** Warns of a certs/ folder that other users can enter. */
function openFolder(): Finding[] {
  if (!othersMode(path.join(ROOT, 'certs'))) return []
  const found = 'other users of this machine can read the keys in it'
  return [warning('CERTS_READABLE', 'certs', { found, hint: 'chmod 700 certs' })]
}

const AUTHORITIES = ['KAFKA_SSL_CA_LOCATION', 'CLICKHOUSE_CA_CERT', 'REDIS_CA_CERT'] as const

/** Warns of certificates in certs/ and in the settings that have expired or expire within 30 days. */
export function expiringCertificates(settings: Settings, root = ROOT, nowMs = Date.now()): Finding[] {
  const folder = path.join(root, 'certs')
  const named = [...AUTHORITIES, 'KAFKA_SSL_CERTIFICATE_LOCATION' as const].map((variable) => settings[variable])
  const files = new Set([...certificateFiles(folder), ...named.filter(Boolean)])
  return [...files].flatMap((file): Finding[] => {
    const list = certificatesOf(file)
    // In a bundle of authorities the last to expire counts: the older one expires while the newer is in use. Elsewhere
    // the first certificate is the server's or client's.
    const isAuthority = AUTHORITIES.some((variable) => settings[variable] === file)
    const certificate = isAuthority ? list.sort((a, b) => b.expiresMs - a.expiresMs)[0] : list[0]
    const found = certificate && expiryText(certificate, nowMs)
    if (!found) return []
    const isService = path.dirname(file) === folder && file.endsWith('.pem')
    const service = path.basename(file, '.pem')
    const hint = isService
      ? `npm run secrets -- --production --renew, then: docker-compose restart ${service}`
      : 'get a new one from its issuer; for certs/ca.crt see docs/production.md, "Certificates"'
    return [warning('CERTIFICATE_ENDS', path.relative(root, file), { found, hint })]
  })
}

function certificateFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.(pem|crt)$/.test(name))
      .map((name) => path.join(folder, name))
  } catch {
    // The folder does not exist, or belongs to another user.
    return []
  }
}

function certificatesOf(file: string) {
  try {
    return readCertificates(file)
  } catch {
    // An unreadable file in certs/ belongs to another user, who has to renew it. Files in the settings are checked when
    // these are read.
    return []
  }
}
