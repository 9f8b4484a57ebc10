/** Checks the settings of connections to external services without connecting. Certificates and keys are PEM files. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { reason } from '../common/findings.mts'
import { readTextFile } from '../common/text-file.mts'

/** Returns the path. @throws {RangeError} unless it names a readable text file */
export function file(path: string): string {
  let text: string | undefined
  try {
    text = readTextFile(path)
  } catch (error) {
    throw new RangeError(`a PEM file that this user may read, not ${reason(error)}`)
  }
  if (text === undefined) throw new RangeError('a file that exists')
  return path
}

/** Reads the URL of a token endpoint, which may be empty. It receives the client secret, so https is required except for a loopback host. */
export function tokenEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const local = url?.protocol === 'http:' && /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)
  if (text !== '' && url?.protocol !== 'https:' && !local) throw new RangeError('an https URL')
  return text
}

/** Reads the URL of an S3 server, which may be empty. */
export function s3Endpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url && /^https?:$/.test(url.protocol) && !/[@?#]/.test(text)
  if (text !== '' && !plain) throw new RangeError('an http or https URL such as https://s3.example.com')
  return text
}

/** The parsed settings; invalid ones are missing. */
type Connections = Partial<Record<string, unknown>>
type Mistake = [variable: string, found: string, expected: string]

const SASL = [
  'KAFKA_SASL_MECHANISM',
  'KAFKA_SASL_USERNAME',
  'KAFKA_SASL_PASSWORD',
  'KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL',
]
const SSL = [
  'KAFKA_SSL_CA_LOCATION',
  'KAFKA_SSL_CERTIFICATE_LOCATION',
  'KAFKA_SSL_KEY_LOCATION',
  'KAFKA_SSL_KEY_PASSWORD',
]

/** Returns contradictions, settings without effect, and invalid certificates and keys. Shows no secret. */
export function connectionMistakes(settings: Connections): Mistake[] {
  const of = (variable: string) => String(settings[variable] ?? '')
  const idle = (variables: string[], because: string): Mistake[] =>
    variables.filter(of).map((variable) => [variable, `a value, which is ignored with ${because}`, 'none'])
  const missing = (variable: string, expected: string): Mistake[] =>
    variable in settings && !of(variable) ? [[variable, 'none', expected]] : []
  const protocol = of('KAFKA_SECURITY_PROTOCOL')
  const mechanism = of('KAFKA_SASL_MECHANISM')
  const list: Mistake[] = []
  if (protocol.startsWith('SASL')) {
    const assignment = `KAFKA_SECURITY_PROTOCOL=${protocol}`
    list.push(...missing('KAFKA_SASL_MECHANISM', `a mechanism for ${assignment}`))
    list.push(...missing('KAFKA_SASL_USERNAME', `a user name for ${assignment}`))
    list.push(...missing('KAFKA_SASL_PASSWORD', `a password for ${assignment}`))
    const endpoint = 'KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL'
    if (mechanism === 'OAUTHBEARER') list.push(...missing(endpoint, 'the https URL of the token endpoint'))
    else if (mechanism) list.push(...idle([endpoint], `KAFKA_SASL_MECHANISM=${mechanism}`))
  } else if (protocol) list.push(...idle(SASL, `KAFKA_SECURITY_PROTOCOL=${protocol}`))
  if (protocol && !protocol.endsWith('SSL')) list.push(...idle(SSL, `KAFKA_SECURITY_PROTOCOL=${protocol}`))
  else list.push(...keyMistakes(of))
  if (settings.CLICKHOUSE_SECURE === 'false') list.push(...idle(['CLICKHOUSE_CA_CERT'], 'CLICKHOUSE_SECURE=false'))
  if (settings.REDIS_TLS === 'false') list.push(...idle(['REDIS_CA_CERT'], 'REDIS_TLS=false'))
  for (const variable of ['KAFKA_SSL_CA_LOCATION', 'CLICKHOUSE_CA_CERT', 'REDIS_CA_CERT'])
    if (of(variable) && !certificateOf(of(variable))) list.push([variable, 'no certificate', 'a PEM certificate'])
  if (of('REDIS_USERNAME')) list.push(...missing('REDIS_PASSWORD', 'the password of REDIS_USERNAME'))
  return list
}

const read = (path: string): string => readTextFile(path) ?? ''

function certificateOf(path: string): X509Certificate | undefined {
  try {
    return new X509Certificate(read(path))
  } catch {
    return undefined
  }
}

/** Checks the certificate and key that authenticate the client. */
function keyMistakes(of: (variable: string) => string): Mistake[] {
  const [certificate, key] = [of('KAFKA_SSL_CERTIFICATE_LOCATION'), of('KAFKA_SSL_KEY_LOCATION')]
  const passphrase = of('KAFKA_SSL_KEY_PASSWORD')
  if (passphrase && !key) return [['KAFKA_SSL_KEY_PASSWORD', 'a value', 'KAFKA_SSL_KEY_LOCATION to be set too']]
  if (key && !certificate) return [['KAFKA_SSL_CERTIFICATE_LOCATION', 'none', 'the certificate of the key']]
  if (certificate && !key) return [['KAFKA_SSL_KEY_LOCATION', 'none', 'the key of the certificate']]
  if (!key) return []
  const parsed = certificateOf(certificate)
  if (!parsed) return [['KAFKA_SSL_CERTIFICATE_LOCATION', 'no certificate', 'a PEM certificate']]
  const text = read(key)
  try {
    const secret = createPrivateKey({ key: text, ...(passphrase ? { passphrase } : {}) })
    return parsed.checkPrivateKey(secret)
      ? []
      : [['KAFKA_SSL_KEY_LOCATION', 'a different key', 'the key of the certificate']]
  } catch {
    // Not a key, or encrypted with another password.
    if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
      return [['KAFKA_SSL_KEY_LOCATION', 'no private key', 'a PEM private key']]
    return [['KAFKA_SSL_KEY_PASSWORD', passphrase ? 'a wrong password' : 'none', 'the password of the key']]
  }
}
