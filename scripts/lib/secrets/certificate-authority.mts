/** A private authority in certs/ and a certificate of each service from it, made by openssl. Nothing that is there is overwritten unasked. */
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
import { type Certificate, dayOf, endWords, isFor, readCertificates } from './certificates.mts'
import { configuration } from './openssl.mts'

/** The services with a certificate of their own; each file holds the key, then the certificate. */
export const CERTIFIED = ['kafka', 'clickhouse', 'redis'] as const

export interface Piece {
  /** Relative to the project's folder. */
  file: string
  action: 'make' | 'renew' | 'keep'
  /** Day on which a certificate that is there ends. */
  ends?: string
}

export interface AuthorityPlan {
  pieces: Piece[]
  findings: Finding[]
  /** Host names and addresses that the certificates are for. */
  names: string[]
}

/** Days that certificates hold: the authority for ten years; the services for 825, the most that Apple's programs take. */
const DAYS = { authority: 3650, service: 825 }

const AGAIN = 'npm run secrets -- --production --renew'

/** The names that a certificate is for. @see https://nodejs.org/api/crypto.html#x509subjectaltname */
const namesOf = ({ certificate }: Certificate): string[] =>
  [...(certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map(([, name = '']) => name)

/**
 * What certs/ of `root` lacks, and a warning for what is there and does not serve: ended or nearly, without one of `names`, of another authority.
 * With `renew`, the services get new certificates; the authority stays.
 * @throws {OpsError} exit code 2, when certificates are to be made and the authority's key is not there, or what is there is no certificate
 */
export function planAuthority(root: string, names: string[], renew: boolean, nowMs = Date.now()): AuthorityPlan {
  const [ca] = read(root, 'ca.crt')
  const hasKey = exists(root, 'ca.key')
  const findings: Finding[] = []
  const kept: string[] = []
  const check = (file: string, certificate: Certificate, hint: string) => {
    const wrong = endWords(certificate, nowMs)
    if (wrong) findings.push(warning('CERTIFICATE_ENDS', `certs/${file}`, { found: wrong, hint }))
  }
  const pieces: Piece[] = [
    { file: 'certs/ca.key', action: hasKey || ca ? 'keep' : 'make' },
    { file: 'certs/ca.crt', action: ca ? 'keep' : 'make', ...(ca && { ends: dayOf(ca.endsMs) }) },
  ]
  if (ca)
    check('ca.crt', ca, 'move certs/ away, then: npm run secrets -- --production; clients need the new certs/ca.crt')
  for (const service of CERTIFIED) {
    const file = `${service}.pem`
    const [own] = read(root, file)
    // Those of `--host` at an earlier run.
    if (own && renew) kept.push(...namesOf(own))
    if (!own || renew) {
      pieces.push({ file: `certs/${file}`, action: own ? 'renew' : 'make' })
      continue
    }
    pieces.push({ file: `certs/${file}`, action: 'keep', ends: dayOf(own.endsMs) })
    if (!ca && !hasKey) {
      const [found, hint] = ['from an authority that is not there', 'put certs/ca.crt back, or move certs/ away']
      throw configError([error('CERTIFICATE', `certs/${file}`, { found, hint })])
    }
    check(file, own, AGAIN)
    const missing = names.filter((name) => !isFor(own.certificate, name))
    // A lost ca.crt is made again from its key.
    const isForeign = ca !== undefined && !own.certificate.verify(ca.certificate.publicKey)
    const found = isForeign ? 'not from the authority of certs/ca.crt' : `not for ${missing.join(', ')}`
    const hint = missing.length > 0 ? `${AGAIN} --host ${missing.join(' ')}` : AGAIN
    if (isForeign || missing.length > 0) findings.push(warning('CERTIFICATE_NAMES', `certs/${file}`, { found, hint }))
  }
  if (ca && !hasKey && pieces.some(({ action }) => action !== 'keep')) {
    const hint = 'put it back, or move certs/ away for a new authority, whose certificate all clients then need'
    throw configError([error('CA_KEY', 'certs/ca.key', { found: 'not there, and it signs the certificates', hint })])
  }
  return { pieces, findings, names: [...new Set([...names, ...kept])] }
}

function read(root: string, file: string): Certificate[] {
  try {
    const list = readCertificates(path.join(root, 'certs', file))
    if (list.length === 0 && exists(root, file)) throw new Error('no certificate in it')
    return list
  } catch (failure) {
    const found = `cannot be used: ${reason(failure)}`
    throw configError([error('CERTIFICATE', `certs/${file}`, { found, hint: `move certs/${file} away` })])
  }
}

const exists = (root: string, file: string): boolean =>
  statSync(path.join(root, 'certs', file), { throwIfNoEntry: false }) !== undefined

/**
 * Makes what the plan says, each file whole or not at all. certs/ and the authority's key are their owner's alone. The services' files in it can be
 * read by all, since containers run as users of their own, which get single files; on this machine the folder keeps others out.
 * @throws {OpsError} exit code 3 without openssl; 1 when it fails, or another run makes the same files
 */
export async function makeCertificates(root: string, { pieces, names }: AuthorityPlan): Promise<void> {
  const due = pieces.filter(({ action }) => action !== 'keep')
  if (due.length === 0) return
  if (!(await findCommand('openssl'))) {
    const found = 'no openssl on the PATH, which makes the certificates'
    throw cannotTell(unknown('NO_OPENSSL', 'certs', { found, hint: 'sudo apt-get install openssl' }))
  }
  const folder = path.join(root, 'certs')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const work = mkdtempSync(path.join(folder, '.new-'))
  const at = (name: string) => path.join(work, name)
  const openssl = async (...args: string[]) => {
    const { ok, stderr } = await run(['openssl', ...args], { cwd: work, timeoutMs: 60_000 })
    if (ok) return
    const hint = 'openssl version; 1.1.1 or newer is needed'
    throw new OpsError(1, [error('OPENSSL', `openssl ${args[0]}`, { found: stderr.trim().split('\n')[0] ?? '', hint })])
  }
  const put = (piece: Piece, from: string, mode: number) => {
    const target = path.join(root, piece.file)
    const { uid, gid } = statSync(root)
    writeFileSync(at('out'), readFileSync(from), { mode: 0o600 })
    chmodSync(at('out'), mode)
    // Under sudo it would be root's, and its user could not read it.
    if (process.getuid?.() === 0) for (const each of [folder, at('out')]) chownSync(each, uid, gid)
    try {
      if (piece.action === 'renew') renameSync(at('out'), target)
      // Not rename, which would overwrite what another run made meanwhile.
      else linkSync(at('out'), target)
    } catch (failure) {
      const hint = 'npm run secrets -- --production, again'
      throw new OpsError(1, [error('CERTIFICATE', piece.file, { found: reason(failure), hint })], failure)
    }
    rmSync(at('out'), { force: true })
  }
  const key = (file: string) =>
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file)
  const dueOf = (file: string) => due.find((piece) => piece.file === `certs/${file}`)
  try {
    writeFileSync(at('openssl.cnf'), configuration(names))
    const request = ['req', '-config', 'openssl.cnf', '-new', '-sha256']
    const keyPiece = dueOf('ca.key')
    if (keyPiece) {
      await key('ca.key')
      put(keyPiece, at('ca.key'), 0o600)
    }
    const signer = path.join(folder, 'ca.key')
    const caPiece = dueOf('ca.crt')
    if (caPiece) {
      const days = ['-days', String(DAYS.authority), '-extensions', 'authority', '-subj', '/CN=l2 private authority']
      await openssl(...request, '-x509', '-key', signer, ...days, '-out', 'ca.crt')
      put(caPiece, at('ca.crt'), 0o644)
    }
    for (const service of CERTIFIED) {
      const piece = dueOf(`${service}.pem`)
      if (!piece) continue
      await key('key')
      await openssl(...request, '-key', 'key', '-subj', `/CN=l2 ${service}`, '-out', 'csr')
      const serial = `0x${randomBytes(16).toString('hex').replace(/^./, '1')}`
      const by = ['-CA', path.join(folder, 'ca.crt'), '-CAkey', signer, '-set_serial', serial]
      const extensions = ['-extfile', 'openssl.cnf', '-extensions', 'service', '-days', String(DAYS.service)]
      await openssl('x509', '-req', '-sha256', '-in', 'csr', ...by, ...extensions, '-out', 'crt')
      writeFileSync(at('both'), `${readFileSync(at('key'), 'utf8')}${readFileSync(at('crt'), 'utf8')}`, { mode: 0o600 })
      put(piece, at('both'), 0o644)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
