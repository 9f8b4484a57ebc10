/** What health-check warns of that others can read or reach, each with a case without a warning. */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../../scripts/lib/common/time.mts'
import { expiringCertificates, readableEnv } from '../../scripts/lib/health/exposure.mts'
import { knownPorts } from '../../scripts/lib/ports/published.mts'
import { exposedFindings } from '../../scripts/lib/ports/report.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { cleanEnv, projectCopy, projectFolder } from '../support/project.mts'

const TEMPLATE = readFileSync(path.join(ROOT, '.env.template'), 'utf8')

const env = suite('.env readable by others')
function warnings(dotEnv: string, mode: number) {
  const root = projectFolder({ '.env.template': TEMPLATE, '.env': dotEnv })
  chmodSync(path.join(root, '.env'), mode)
  return readableEnv(root, cleanEnv()).map(({ severity, code, found, hint }) => [severity, code, found, hint])
}

env('is a warning once it contains a custom password', () => {
  const found = 'other users of this machine can read CLICKHOUSE_PASSWORD in it'
  for (const mode of [0o644, 0o640, 0o604])
    assert.equal(warnings('CLICKHOUSE_PASSWORD=own-word\n', mode), [
      ['warning', 'ENV_READABLE', found, 'chmod 600 .env'],
    ])
})

env('is fine with the published passwords, without passwords, for its owner only, and if missing', () => {
  assert.equal(warnings(TEMPLATE, 0o644), [])
  assert.equal(warnings("REDIS_PASSWORD=''\nBIND_ADDRESS=0.0.0.0\n", 0o644), [])
  assert.equal(warnings('CLICKHOUSE_PASSWORD=own-word\n', 0o600), [])
  assert.equal(readableEnv(projectFolder({ '.env.template': TEMPLATE }), cleanEnv()), [])
})
env.run()

const ports = suite('ports open to other machines')
function open(values: NodeJS.ProcessEnv, production: boolean) {
  const settings = readSettings(cleanEnv(values), projectFolder({ '.env.template': TEMPLATE }))
  return exposedFindings(knownPorts(settings, production), settings, production).map(
    ({ severity, code, subject }) => `${severity} ${code} ${subject}`,
  )
}
const PASSWORDS = { CLICKHOUSE_PASSWORD: 'clickhouse-word', REDIS_PASSWORD: 'redis-word' }
const LOGIN = {
  ...{ KAFKA_SECURITY_PROTOCOL: 'SASL_SSL', KAFKA_SASL_MECHANISM: 'PLAIN' },
  ...{ KAFKA_SASL_USERNAME: 'l2', KAFKA_SASL_PASSWORD: 'kafka-word' },
}

ports('are fine on the loopback address', () => {
  assert.equal([open({}, false), open({ BIND_ADDRESS: '127.0.0.9' }, false)], [[], []])
})

ports('are reported without a custom password, and without TLS', () => {
  const of = (...services: string[]) => services.map((service) => `warning PORT_EXPOSED ${service}`)
  const plain = 'warning PORT_PLAIN BIND_ADDRESS 0.0.0.0'
  const bind = { BIND_ADDRESS: '0.0.0.0' }
  assert.equal(open(bind, false), [...of('zookeeper', 'kafka', 'clickhouse', 'redis', 'kafka-ui'), plain])
  assert.equal(open({ ...bind, ...PASSWORDS }, false), [...of('zookeeper', 'kafka', 'kafka-ui'), plain])
})

ports('are fine with docker-compose.prod.yml and passwords', () => {
  const bind = { BIND_ADDRESS: '0.0.0.0', ...LOGIN }
  assert.equal(open({ ...bind, ...PASSWORDS }, true), [])
  assert.equal(open({ ...bind, REDIS_PASSWORD: 'redis-word' }, true), ['warning PORT_EXPOSED clickhouse'])
})
ports.run()

const certificates = suite('certificates that expire')
certificates('are reported 30 days ahead, those of certs/ and those of the settings, each once', async () => {
  const root = projectCopy()
  const made = await runFile(path.join(root, 'scripts/secrets.mts'), ['--production'], { env: cleanEnv() })
  // Without openssl, no certificates were made.
  if (made.exitCode === 3) return
  const certs = path.join(root, 'certs')
  const settings = readSettings(
    cleanEnv({ KAFKA_SECURITY_PROTOCOL: 'SSL', KAFKA_SSL_CA_LOCATION: path.join(certs, 'ca.crt') }),
  )
  const at = (days: number) =>
    expiringCertificates(settings, root, Date.now() + days * DAY_MS).map(
      ({ subject, severity }) => `${severity} ${subject}`,
    )
  assert.equal([at(0), at(794)], [[], []])
  const services = ['warning certs/clickhouse.pem', 'warning certs/kafka.pem', 'warning certs/redis.pem']
  assert.equal(at(796), services)
  assert.equal(at(3630).sort(), ['warning certs/ca.crt', ...services])
  const [first] = expiringCertificates(settings, root, Date.now() + 900 * DAY_MS)
  assert.match(first?.found ?? '', /^expired on \d{4}-\d\d-\d\d$/)
  mkdirSync(path.join(root, 'elsewhere'))
  assert.equal(expiringCertificates(readSettings(cleanEnv()), path.join(root, 'elsewhere')), [])
})
certificates.run()
