/** Certificates signed by a test authority, made with openssl. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** PEM files, named after their defect; `server` and `client` are valid. */
export interface Certificates {
  ca: string
  /** An authority that signed none of the certificates below, except `foreign`. */
  otherCa: string
  server: Pair
  client: Pair
  expired: Pair
  otherHost: Pair
  /** Signed by `otherCa`. */
  foreign: Pair
}

export interface Pair {
  certificate: string
  key: string
  /** Certificate and key in one file, as Kafka expects in a PEM key store. */
  both: string
}

const HERE = 'IP:127.0.0.1,DNS:localhost'

/** Creates all of them in `folder`. */
export function makeCertificates(folder: string): Certificates {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const authority = (name: string) => {
    const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`]
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '365', '-subj', `/CN=${name}`, ...files)
    return path.join(folder, `${name}.pem`)
  }
  const pair = (name: string, ca: string, names: string, dates = ['20200101000000Z', '20490101000000Z']): Pair => {
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', 'request')
    writeFileSync(path.join(folder, 'index'), '')
    const section =
      '[ca]\ndefault_ca=it\n[it]\ndatabase=index\nrand_serial=yes\nnew_certs_dir=.\npolicy=any\ndefault_md=sha256\n'
    const rest = `[any]\ncommonName=supplied\n[names]\nsubjectAltName=${names}\n`
    writeFileSync(path.join(folder, 'ca.cnf'), section + rest)
    const [start = '', end = ''] = dates
    const times = ['-startdate', start, '-enddate', end]
    const signer = ['-cert', `${ca}.pem`, '-keyfile', `${ca}.key`, '-extensions', 'names']
    const files = ['-in', 'request', '-out', `${name}.pem`]
    openssl('ca', '-batch', '-notext', '-config', 'ca.cnf', ...signer, ...times, ...files)
    const [certificate, key] = [path.join(folder, `${name}.pem`), path.join(folder, `${name}.key`)]
    const both = path.join(folder, `${name}.both.pem`)
    writeFileSync(both, `${readFileSync(key, 'utf8')}${readFileSync(certificate, 'utf8')}`)
    return { certificate, key, both }
  }
  const [ca, otherCa] = [authority('l2-test-authority'), authority('l2-other-authority')]
  return {
    ca,
    otherCa,
    server: pair('server', 'l2-test-authority', HERE),
    client: pair('client', 'l2-test-authority', HERE),
    expired: pair('expired', 'l2-test-authority', HERE, ['20200101000000Z', '20210101000000Z']),
    otherHost: pair('other-host', 'l2-test-authority', 'DNS:db.example'),
    foreign: pair('foreign', 'l2-other-authority', HERE),
  }
}
