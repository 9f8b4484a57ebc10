/** What others could read or reach: passwords and keys in files, certificates that end, ports open to other machines. All are warnings. */
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

/** The warnings of the files and of the running stack's ports. Docker Compose is asked only where BIND_ADDRESS lets others in. */
export async function exposure(settings: Settings, mode: StackMode | 'unknown'): Promise<Finding[]> {
  const files = [...readableEnv(), ...openFolder(), ...endingCertificates(settings)]
  if (mode === 'unknown' || isLoopback(settings.BIND_ADDRESS)) return files
  const production = mode === 'docker' && isProduction()
  const known = knownPorts(settings, production)
  const published = async () => (mode === 'docker' ? (await readProject(settings)).ports : known)
  // Kafka UI is no part of the embedded stack.
  const ports = (await published().catch(() => known)).filter(
    ({ service }) => mode === 'docker' || service !== 'kafka-ui',
  )
  return [...files, ...exposedFindings(ports, settings, production)]
}

/** A .env that others can read, once it holds a password that is not the published one. */
export function readableEnv(root = ROOT, env = process.env): Finding[] {
  const fileName = envFileName(env, root)
  if (((othersMode(path.resolve(root, fileName)) ?? 0) & 0o044) === 0) return []
  const published = templateValues(root)
  const own = readEnvEntries(root, fileName).filter(
    ({ name, text }) => isSecret(name) && text !== '' && text !== published.get(name),
  )
  if (own.length === 0) return []
  const found = `other users of this machine can read it, with ${own.map(({ name }) => name).join(', ')} in it`
  return [warning('ENV_READABLE', fileName, { found, hint: `chmod 600 ${fileName}` })]
}

/** A folder of keys that others can enter. */
function openFolder(): Finding[] {
  if (!othersMode(path.join(ROOT, 'certs'))) return []
  const found = 'other users of this machine can read the keys in it'
  return [warning('CERTS_READABLE', 'certs', { found, hint: 'chmod 700 certs' })]
}

const AUTHORITIES = ['KAFKA_SSL_CA_LOCATION', 'CLICKHOUSE_CA_CERT', 'REDIS_CA_CERT'] as const

/** Certificates of certs/, and those that the settings name, which ended or end within 30 days. */
export function endingCertificates(settings: Settings, root = ROOT, nowMs = Date.now()): Finding[] {
  const own = path.join(root, 'certs')
  const named = [...AUTHORITIES, 'KAFKA_SSL_CERTIFICATE_LOCATION' as const].map((variable) => settings[variable])
  const files = new Set([...certificateFiles(own), ...named.filter(Boolean)])
  return [...files].flatMap((file): Finding[] => {
    const list = certificatesOf(file)
    // Of several authorities the last to end counts: the older one of two ends while the newer is in use. Else the first is the file's own.
    const isAuthority = AUTHORITIES.some((variable) => settings[variable] === file)
    const certificate = isAuthority ? list.sort((a, b) => b.expiresMs - a.expiresMs)[0] : list[0]
    const found = certificate && expiryText(certificate, nowMs)
    if (!found) return []
    const isService = path.dirname(file) === own && file.endsWith('.pem')
    const service = path.basename(file, '.pem')
    const hint = isService
      ? `npm run secrets -- --production --renew, then: docker-compose restart ${service}`
      : 'get a new one from who gave it; of certs/ca.crt: docs/production.md, "Certificates"'
    return [warning('CERTIFICATE_ENDS', path.relative(root, file), { found, hint })]
  })
}

function certificateFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.(pem|crt)$/.test(name))
      .map((name) => path.join(folder, name))
  } catch {
    // There is none, or it is another user's.
    return []
  }
}

function certificatesOf(file: string) {
  try {
    return readCertificates(file)
  } catch {
    // What the settings name was readable when they were read; another user's file in certs/ is not this user's to renew.
    return []
  }
}
