import { isIP } from 'node:net'

/** openssl's configuration: names of its own, since `-addext` is newer than some that are in use. */
export function configuration(names: readonly string[]): string {
  const alternatives = names.map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`).join(',')
  return `[req]
distinguished_name = name
prompt = no
[name]
CN = l2
[authority]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[service]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = ${alternatives}
authorityKeyIdentifier = keyid
`
}
