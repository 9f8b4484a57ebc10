/**
 * `npm run secrets` in a temporary project: what it writes, keeps and refuses. Its output never contains a password. Certificates require
 * openssl.
 */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { OpsError } from '../../scripts/lib/common/findings.mts'
import { DAY_MS } from '../../scripts/lib/common/time.mts'
import { planAuthority } from '../../scripts/lib/secrets/certificate-authority.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { cleanEnv, projectCopy, projectFolder } from '../support/project.mts'

const TEMPLATE = readFileSync(path.join(ROOT, '.env.template'), 'utf8')

/** Runs the command in `root`, and checks that its output contains no password of the resulting .env. */
async function secrets(root: string, args: string[] = [], env = cleanEnv()) {
  const { exitCode, stdout, stderr } = await runFile(path.join(root, 'scripts/secrets.mts'), [...args, '--json'], {
    env,
  })
  const passwords = Object.entries(envOf(root)).flatMap(([name, text]) => (name.endsWith('_PASSWORD') && text) || [])
  for (const password of passwords) assert.not.match(stdout + stderr, password)
  const report = JSON.parse(stdout)
  const findings = report.findings.map(({ code, subject }: { code: string; subject: string }) => `${code} ${subject}`)
  const of = (action: string) =>
    report.lines
      .filter((line: { action: string }) => line.action === action)
      .map((line: { variable: string }) => line.variable)
  return { exitCode, findings, report, of }
}
const envOf = (root: string): Record<string, string> =>
  existsSync(path.join(root, '.env')) ? parse(readFileSync(path.join(root, '.env'), 'utf8')) : {}
const modeOf = (file: string) => statSync(file).mode & 0o777

const passwords = suite('secrets: passwords')

passwords(
  'creates .env from the template, with strong passwords instead of the published ones, readable by its owner only',
  async () => {
    const root = projectCopy()
    const { exitCode, findings, of } = await secrets(root)
    assert.equal([exitCode, findings, of('set')], [0, [], ['CLICKHOUSE_PASSWORD', 'REDIS_PASSWORD']])
    const { CLICKHOUSE_PASSWORD = '', REDIS_PASSWORD = '' } = envOf(root)
    for (const password of [CLICKHOUSE_PASSWORD, REDIS_PASSWORD]) assert.match(password, /^[A-Za-z0-9]{32}$/)
    assert.is.not(CLICKHOUSE_PASSWORD, REDIS_PASSWORD)
    const restored = readFileSync(path.join(root, '.env'), 'utf8')
      .replace(CLICKHOUSE_PASSWORD, 'l2_secure_pass')
      .replace(REDIS_PASSWORD, "''")
    assert.is(restored, TEMPLATE, 'every other character stays')
    assert.is(modeOf(path.join(root, '.env')), 0o600)
  },
)

passwords('changes nothing at a second run', async () => {
  const root = projectCopy()
  await secrets(root)
  const before = readFileSync(path.join(root, '.env'), 'utf8')
  const { exitCode, report } = await secrets(root)
  assert.equal([exitCode, report.changes, readFileSync(path.join(root, '.env'), 'utf8')], [0, 0, before])
})

passwords('keeps custom passwords, comments and order, and makes the file private', async () => {
  const root = projectCopy({ '.env': "# mine\nREDIS_PASSWORD='own' # keep\nA=1\n" })
  chmodSync(path.join(root, '.env'), 0o644)
  const { of } = await secrets(root)
  assert.equal([of('set'), of('keep')], [['CLICKHOUSE_PASSWORD'], ['REDIS_PASSWORD']])
  assert.match(
    readFileSync(path.join(root, '.env'), 'utf8'),
    /^# mine\nREDIS_PASSWORD='own' # keep\nA=1\nCLICKHOUSE_PASSWORD=\w{32}\n$/,
  )
  assert.is(modeOf(path.join(root, '.env')), 0o600)
})

passwords('makes a readable .env private, even with nothing to set', async () => {
  const root = projectCopy()
  await secrets(root)
  chmodSync(path.join(root, '.env'), 0o640)
  const before = readFileSync(path.join(root, '.env'), 'utf8')
  assert.equal([(await secrets(root, ['--dry-run'])).exitCode, modeOf(path.join(root, '.env'))], [1, 0o640])
  await secrets(root)
  assert.equal([readFileSync(path.join(root, '.env'), 'utf8'), modeOf(path.join(root, '.env'))], [before, 0o600])
})

passwords('changes nothing with --dry-run, and reports that something would change', async () => {
  const root = projectCopy()
  const { exitCode, of } = await secrets(root, ['--production', '--dry-run'])
  assert.equal(
    [exitCode, of('set').length, existsSync(path.join(root, '.env')), existsSync(path.join(root, 'certs'))],
    [1, 13, false, false],
  )
})

passwords('requires passwords of enabled users, and leaves those of the shell and of other machines', async () => {
  const env = 'CLICKHOUSE_READONLY_USER=reader\nKAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT\nREDIS_HOST=192.0.2.7\n'
  const { of, findings } = await secrets(
    projectCopy({ '.env': env }),
    [],
    cleanEnv({ CLICKHOUSE_PASSWORD: 'l2_secure_pass' }),
  )
  assert.equal(of('set'), ['CLICKHOUSE_READONLY_PASSWORD', 'KAFKA_SASL_PASSWORD'])
  assert.equal(findings, ['SECRETS_LEFT CLICKHOUSE_PASSWORD', 'SECRETS_LEFT REDIS_PASSWORD'])
})

passwords('treats this machine’s IPv6 address as this machine, and another one as another', async () => {
  const env = (host: string) =>
    `KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT\nKAFKA_BOOTSTRAP_SERVERS=${host}:9092\nCLICKHOUSE_HOST=${host}\nREDIS_HOST=${host}\n`
  const setWith = async (host: string) => (await secrets(projectCopy({ '.env': env(host) }))).of('set')
  assert.equal(await setWith('[::1]'), ['CLICKHOUSE_PASSWORD', 'REDIS_PASSWORD', 'KAFKA_SASL_PASSWORD'])
  assert.equal(await setWith('[2001:db8::7]'), [])
})

passwords('refuses flags without --production, and invalid names', async () => {
  const root = projectCopy()
  for (const args of [['--renew'], ['--host', 'db.example'], ['--production', '--host', 'a b']]) {
    const { exitCode, stdout } = await runFile(path.join(root, 'scripts/secrets.mts'), args, { env: cleanEnv() })
    assert.equal([exitCode, existsSync(path.join(root, '.env'))], [2, false], stdout)
  }
})
passwords.run()

const hasOpenssl = (() => {
  try {
    return execFileSync('openssl', ['version'], { stdio: 'pipe' }).length > 0
  } catch {
    return false
  }
})()
const production = suite('secrets: certificates')
const withOpenssl = hasOpenssl ? production : production.skip
const SERVICES = ['kafka', 'clickhouse', 'redis']
const certificateOf = (root: string, name: string) => new X509Certificate(readFileSync(path.join(root, 'certs', name)))

withOpenssl(
  'makes an authority, a certificate and key of each service, and settings that the commands take',
  async () => {
    const root = projectCopy({ '.env': 'KAFKA_ADVERTISED_HOST=md.example\nBIND_ADDRESS=0.0.0.0\n' })
    const { exitCode, findings } = await secrets(root, ['--production', '--host', '192.0.2.7', '[2001:db8::7]'])
    assert.equal([exitCode, findings], [0, []])
    const certs = path.join(root, 'certs')
    assert.equal(readdirSync(certs).sort(), ['ca.crt', 'ca.key', 'clickhouse.pem', 'kafka.pem', 'redis.pem'])
    assert.equal(
      [modeOf(certs), modeOf(path.join(certs, 'ca.key')), modeOf(path.join(certs, 'kafka.pem'))],
      [0o700, 0o600, 0o644],
    )
    const ca = certificateOf(root, 'ca.crt')
    assert.ok(ca.ca)
    for (const service of SERVICES) {
      const certificate = certificateOf(root, `${service}.pem`)
      assert.ok(certificate.checkIssued(ca) && certificate.verify(ca.publicKey) && !certificate.ca, service)
      assert.ok(
        certificate.checkPrivateKey(createPrivateKey(readFileSync(path.join(certs, `${service}.pem`)))),
        service,
      )
      assert.is(
        certificate.subjectAltName,
        'DNS:localhost, IP Address:127.0.0.1, DNS:md.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7',
      )
    }
    // Relative paths start at the code's folder, so this imports the copy's code.
    const { readSettings } = await import(path.join(root, 'scripts/lib/settings/settings.mts'))
    const settings = readSettings(cleanEnv())
    assert.equal(
      [settings.KAFKA_SECURITY_PROTOCOL, settings.CLICKHOUSE_PORT, settings.REDIS_TLS],
      ['SASL_SSL', 8443, 'true'],
    )
    assert.is(envOf(root).COMPOSE_FILE, 'docker-compose.yml:docker-compose.prod.yml')
  },
)

withOpenssl(
  'overwrites nothing, renews services’ certificates when asked, with their names, and never the authority',
  async () => {
    const root = projectCopy()
    await secrets(root, ['--production', '--host', 'md.example'])
    const read = () =>
      Object.fromEntries(
        readdirSync(path.join(root, 'certs')).map((name) => [
          name,
          readFileSync(path.join(root, 'certs', name), 'utf8'),
        ]),
      )
    const before = read()
    assert.is((await secrets(root, ['--production'])).report.changes, 0)
    assert.equal(read(), before)
    const { report } = await secrets(root, ['--production', '--renew'])
    const after = read()
    assert.equal([report.changes, after['ca.key'], after['ca.crt']], [3, before['ca.key'], before['ca.crt']])
    for (const service of SERVICES) {
      assert.is.not(after[`${service}.pem`], before[`${service}.pem`])
      assert.ok(certificateOf(root, `${service}.pem`).checkHost('md.example'))
    }
  },
)

withOpenssl('names certificates that expire, and those for another name', async () => {
  const root = projectCopy()
  await secrets(root, ['--production'])
  const warnings = (names: string[], days: number) =>
    planAuthority(root, names, false, Date.now() + days * DAY_MS).findings.map(
      ({ code, subject }) => `${code} ${subject}`,
    )
  assert.equal(warnings(['localhost'], 0), [])
  const pems = SERVICES.map((service) => `certs/${service}.pem`)
  assert.equal(
    warnings(['localhost'], 800),
    pems.map((file) => `CERTIFICATE_ENDS ${file}`),
  )
  assert.equal(
    warnings(['md.example'], 0),
    pems.map((file) => `CERTIFICATE_NAMES ${file}`),
  )
  assert.equal(warnings(['localhost'], 4000)[0], 'CERTIFICATE_ENDS certs/ca.crt')
})

withOpenssl('makes what is missing, and refuses without the authority’s key', async () => {
  const root = projectCopy()
  await secrets(root, ['--production'])
  const file = (name: string) => path.join(root, 'certs', name)
  rmSync(file('redis.pem'))
  assert.is((await secrets(root, ['--production'])).report.changes, 1)
  assert.ok(certificateOf(root, 'redis.pem').checkIssued(certificateOf(root, 'ca.crt')))
  rmSync(file('ca.key'))
  assert.is((await secrets(root, ['--production'])).report.changes, 0, 'the key may be kept elsewhere')
  rmSync(file('redis.pem'))
  const refusal = (): [number, string | undefined] => {
    try {
      planAuthority(root, [], false)
    } catch (failure) {
      const { exitCode, findings } = failure as OpsError
      return [exitCode, findings[0]?.code]
    }
    return [0, undefined]
  }
  assert.equal(refusal(), [2, 'CA_KEY'])
  rmSync(file('ca.crt'))
  assert.equal(refusal(), [2, 'CERTIFICATE'], 'kafka.pem is of an authority that is gone')
  writeFileSync(file('ca.crt'), 'no certificate')
  assert.equal(refusal(), [2, 'CERTIFICATE'])
  assert.equal(readdirSync(path.join(root, 'certs')).sort(), ['ca.crt', 'clickhouse.pem', 'kafka.pem'])
})

production('reports a missing openssl, and writes no settings', async () => {
  const root = projectCopy()
  const env = cleanEnv({ PATH: projectFolder() })
  const { exitCode, stdout } = await runFile(
    process.execPath,
    [path.join(root, 'scripts/lib/run.cjs'), path.join(root, 'scripts/secrets.mts'), '--production', '--json'],
    { env },
  )
  assert.equal(
    [exitCode, JSON.parse(stdout).findings[0].code, existsSync(path.join(root, '.env'))],
    [3, 'NO_OPENSSL', false],
  )
})
production.run()
