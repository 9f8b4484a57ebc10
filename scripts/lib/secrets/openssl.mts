import { isIP } from 'node:net'

/** Returns an openssl configuration with the certificates' extensions; older versions that are still in use lack `-addext`. */
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
