/** Creates a private certificate authority (CA) and a certificate for each service in certs/, with openssl. Overwrites a file only on request. */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import {
  cannotTell,
  configError,
  error,
  type Finding,
  OpsError,
  reason,
  unknown,
  warning,
} from '../common/findings.mts'
import { findCommand, run } from '../common/run.mts'
import { type Certificate, dayOf, expiryText, isFor, readCertificates } from './certificates.mts'
import { configuration } from './openssl.mts'

/** The services that get a certificate. Each file contains the key, then the certificate. */
export const CERTIFIED = ['kafka', 'clickhouse', 'redis'] as const

export interface CertificateFile {
  /** Relative to the project's folder. */
  file: string
  action: 'make' | 'renew' | 'keep'
  /** Expiry date of an existing certificate, UTC. */
  ends?: string
}

export interface AuthorityPlan {
  files: CertificateFile[]
  findings: Finding[]
  /** Host names and addresses for the certificates. */
  names: string[]
}

/** Validity in days: ten years for the CA, and for services 825, the maximum that Apple's programs accept. */
const DAYS = { authority: 3650, service: 825 }

const RENEW = 'npm run secrets -- --production --renew'

/** Returns the names in a certificate. @see https://nodejs.org/api/crypto.html#x509subjectaltname */
const namesOf = ({ certificate }: Certificate): string[] =>
  [...(certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map(([, name = '']) => name)

/**
 * Plans the missing files of certs/. Warns about existing certificates that have expired or soon will, lack one of `names`, or come from
 * another CA. With `renew`, the services get new certificates; the CA stays.
 * @throws {OpsError} exit code 2 if an existing file is not a certificate, or if certificates are needed and the CA's key is missing
 */
export function planAuthority(root: string, names: string[], renew: boolean, nowMs = Date.now()): AuthorityPlan {
  const [ca] = read(root, 'ca.crt')
  const hasKey = exists(root, 'ca.key')
  const findings: Finding[] = []
  const kept: string[] = []
  const check = (file: string, certificate: Certificate, hint: string) => {
    const found = expiryText(certificate, nowMs)
    if (found) findings.push(warning('CERTIFICATE_ENDS', `certs/${file}`, { found, hint }))
  }
  const files: CertificateFile[] = [
    { file: 'certs/ca.key', action: hasKey || ca ? 'keep' : 'make' },
    { file: 'certs/ca.crt', action: ca ? 'keep' : 'make', ...(ca && { ends: dayOf(ca.expiresMs) }) },
  ]
  if (ca)
    check('ca.crt', ca, 'move certs/ away, then: npm run secrets -- --production; clients need the new certs/ca.crt')
  for (const service of CERTIFIED) {
    const file = `${service}.pem`
    const [current] = read(root, file)
    // Includes names given with `--host` in an earlier run.
    if (current && renew) kept.push(...namesOf(current))
    if (!current || renew) {
      files.push({ file: `certs/${file}`, action: current ? 'renew' : 'make' })
      continue
    }
    files.push({ file: `certs/${file}`, action: 'keep', ends: dayOf(current.expiresMs) })
    if (!ca && !hasKey) {
      const [found, hint] = ['certs/ca.crt, which issued it, is missing', 'restore certs/ca.crt, or move certs/ away']
      throw configError([error('CERTIFICATE', `certs/${file}`, { found, hint })])
    }
    check(file, current, RENEW)
    const missing = names.filter((name) => !isFor(current.certificate, name))
    // A lost ca.crt is recreated from its key.
    const isForeign = ca !== undefined && !current.certificate.verify(ca.certificate.publicKey)
    const found = isForeign ? 'not issued by certs/ca.crt' : `not valid for ${missing.join(', ')}`
    const hint = missing.length > 0 ? `${RENEW} --host ${missing.join(' ')}` : RENEW
    if (isForeign || missing.length > 0) findings.push(warning('CERTIFICATE_NAMES', `certs/${file}`, { found, hint }))
  }
  if (ca && !hasKey && files.some(({ action }) => action !== 'keep')) {
    const hint = 'restore it, or move certs/ away to create a new CA, whose certificate all clients then need'
    throw configError([error('CA_KEY', 'certs/ca.key', { found: 'missing, but needed to sign certificates', hint })])
  }
  return { files, findings, names: [...new Set([...names, ...kept])] }
}

function read(root: string, file: string): Certificate[] {
  try {
    const list = readCertificates(path.join(root, 'certs', file))
    if (list.length === 0 && exists(root, file)) throw new Error('it contains no certificate')
    return list
  } catch (failure) {
    const found = `cannot be used: ${reason(failure)}`
    throw configError([error('CERTIFICATE', `certs/${file}`, { found, hint: `move certs/${file} away` })])
  }
}

const exists = (root: string, file: string): boolean =>
  statSync(path.join(root, 'certs', file), { throwIfNoEntry: false }) !== undefined

/**
 * Creates the planned files, each atomically. Only their owner can read certs/ and the CA's key. The services' files are world-readable:
 * they are mounted one by one into containers that run as other users, and on this machine the folder's mode keeps other users out.
 * @throws {OpsError} exit code 3 without openssl; 1 if it fails, or another run creates the same files
 */
export async function makeCertificates(root: string, { files, names }: AuthorityPlan): Promise<void> {
  const due = files.filter(({ action }) => action !== 'keep')
  if (due.length === 0) return
  if (!(await findCommand('openssl'))) {
    const found = 'no openssl on the PATH, which is needed to create certificates'
    throw cannotTell(unknown('NO_OPENSSL', 'certs', { found, hint: 'sudo apt-get install openssl' }))
  }
  const folder = path.join(root, 'certs')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const work = mkdtempSync(path.join(folder, '.new-'))
  const at = (name: string) => path.join(work, name)
  const openssl = async (...args: string[]) => {
    const { ok, stderr } = await run(['openssl', ...args], { cwd: work, timeoutMs: 60_000 })
    if (ok) return
    const hint = 'openssl version; 1.1.1 or later is required'
    throw new OpsError(1, [error('OPENSSL', `openssl ${args[0]}`, { found: stderr.trim().split('\n')[0] ?? '', hint })])
  }
  const put = ({ file, action }: CertificateFile, from: string, mode: number) => {
    const target = path.join(root, file)
    const { uid, gid } = statSync(root)
    writeFileSync(at('out'), readFileSync(from), { mode: 0o600 })
    chmodSync(at('out'), mode)
    // Under sudo the files would belong to root, and the user could not read them.
    if (process.getuid?.() === 0) for (const each of [folder, at('out')]) chownSync(each, uid, gid)
    try {
      if (action === 'renew') renameSync(at('out'), target)
      // Unlike rename, link does not overwrite a file that another run has created meanwhile.
      else linkSync(at('out'), target)
    } catch (failure) {
      const hint = 'run it again: npm run secrets -- --production'
      throw new OpsError(1, [error('CERTIFICATE', file, { found: reason(failure), hint })], failure)
    }
    rmSync(at('out'), { force: true })
  }
  const key = (file: string) =>
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file)
  const dueOf = (file: string) => due.find((each) => each.file === `certs/${file}`)
  try {
    writeFileSync(at('openssl.cnf'), configuration(names))
    const request = ['req', '-config', 'openssl.cnf', '-new', '-sha256']
    const caKey = dueOf('ca.key')
    if (caKey) {
      await key('ca.key')
      put(caKey, at('ca.key'), 0o600)
    }
    const signer = path.join(folder, 'ca.key')
    const ca = dueOf('ca.crt')
    if (ca) {
      const days = ['-days', String(DAYS.authority), '-extensions', 'authority', '-subj', '/CN=l2 private authority']
      await openssl(...request, '-x509', '-key', signer, ...days, '-out', 'ca.crt')
      put(ca, at('ca.crt'), 0o644)
    }
    for (const service of CERTIFIED) {
      const file = dueOf(`${service}.pem`)
      if (!file) continue
      await key('key')
      await openssl(...request, '-key', 'key', '-subj', `/CN=l2 ${service}`, '-out', 'csr')
      const serial = `0x${randomBytes(16).toString('hex').replace(/^./, '1')}`
      const by = ['-CA', path.join(folder, 'ca.crt'), '-CAkey', signer, '-set_serial', serial]
      const extensions = ['-extfile', 'openssl.cnf', '-extensions', 'service', '-days', String(DAYS.service)]
      await openssl('x509', '-req', '-sha256', '-in', 'csr', ...by, ...extensions, '-out', 'crt')
      writeFileSync(at('both'), `${readFileSync(at('key'), 'utf8')}${readFileSync(at('crt'), 'utf8')}`, { mode: 0o600 })
      put(file, at('both'), 0o644)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
