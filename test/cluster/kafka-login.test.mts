/** Every way to authenticate to a real broker with TLS, SASL and ACLs, and the finding for each wrong configuration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Admin } from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { runScript } from '../support/command.mts'
import { stackEnv } from '../support/stack.mts'
import { type Listener, PASSWORD, startBroker } from './broker.mts'
import { makeCertificates } from './certificates.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2-cluster-'))
const certificates = makeCertificates(folder)
const broker = await startBroker(path.join(folder, 'kafka'), certificates)
const own = await stackEnv()

const address = (listener: Listener) => `127.0.0.1:${broker.ports[listener]}`
const CA = { KAFKA_SSL_CA_LOCATION: certificates.ca }
const TLS = { KAFKA_SECURITY_PROTOCOL: 'SSL', ...CA }
const LOGIN = {
  KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
  KAFKA_SASL_USERNAME: 'l2',
  KAFKA_SASL_PASSWORD: PASSWORD,
}
const SECURE = { KAFKA_SECURITY_PROTOCOL: 'SASL_SSL', ...CA, ...LOGIN }
const certificateOf = ({ certificate, key }: { certificate: string; key: string }) => ({
  KAFKA_SSL_CERTIFICATE_LOCATION: certificate,
  KAFKA_SSL_KEY_LOCATION: key,
})
const envOf = (listener: Listener, values: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  ...own,
  NO_COLOR: '1',
  DOCKER_HOST: 'unix:///nonexistent/docker.sock',
  KAFKA_BOOTSTRAP_SERVERS: address(listener),
  ...values,
})

interface Reported {
  exitCode: number | null
  /** `CODE subject: found`, without addresses. */
  findings: string[]
  hints: string[]
}

async function outcomeOf(script: string, args: string[], env: NodeJS.ProcessEnv): Promise<Reported> {
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env })
  const findings: Finding[] = JSON.parse(stdout).findings
  const here = env.KAFKA_BOOTSTRAP_SERVERS ?? ''
  return {
    exitCode,
    findings: findings.map(({ code, subject, found }) => `${code} ${subject}: ${found}`.replaceAll(here, 'HERE')),
    hints: findings.map(({ hint }) => hint.replaceAll(here, 'HERE')),
  }
}

const health = (listener: Listener, values: NodeJS.ProcessEnv) =>
  outcomeOf('health-check.mts', ['--only', 'kafka'], envOf(listener, values))

const checkSasl = 'check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM in .env'
const setCa = 'set KAFKA_SSL_CA_LOCATION in .env to the file with the certificate of that authority'
const addLogin = (protocol: string) =>
  `edit .env: KAFKA_SECURITY_PROTOCOL=${protocol}, with KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`

/** Title, listener, settings, finding, hint. */
const WRONG: [string, Listener, NodeJS.ProcessEnv, string, string][] = [
  [
    'no authority',
    'tls',
    { KAFKA_SECURITY_PROTOCOL: 'SSL' },
    'KAFKA_TLS kafka HERE: its certificate is from an unknown authority (l2-test-authority)',
    setCa,
  ],
  [
    'a certificate of another authority',
    'foreign',
    TLS,
    'KAFKA_TLS kafka HERE: its certificate is from an unknown authority (l2-other-authority)',
    setCa,
  ],
  [
    'an expired certificate',
    'expired',
    TLS,
    'KAFKA_TLS kafka HERE: its certificate expired on 2021-01-01',
    'install a new certificate on the server',
  ],
  [
    'a certificate for another host',
    'otherHost',
    TLS,
    'KAFKA_TLS kafka HERE: its certificate is not for 127.0.0.1 (db.example)',
    'set KAFKA_BOOTSTRAP_SERVERS in .env to a name in the certificate, or issue one that includes 127.0.0.1',
  ],
  [
    'plain where TLS is spoken',
    'tls',
    {},
    'KAFKA_TLS kafka HERE: the server uses TLS, but the settings do not',
    'edit .env: KAFKA_SECURITY_PROTOCOL=SSL',
  ],
  [
    'TLS where plain is spoken',
    'admin',
    TLS,
    'KAFKA_TLS kafka HERE: the server does not use TLS, but the settings require it',
    'edit .env: KAFKA_SECURITY_PROTOCOL=PLAINTEXT',
  ],
  [
    'no client certificate',
    'mutual',
    TLS,
    'KAFKA_TLS kafka HERE: the server requires a client certificate that it trusts',
    'set KAFKA_SSL_CERTIFICATE_LOCATION and its key in .env',
  ],
  [
    'a client certificate of another authority',
    'mutual',
    { ...TLS, ...certificateOf(certificates.foreign) },
    'KAFKA_TLS kafka HERE: the server requires a client certificate that it trusts',
    'set KAFKA_SSL_CERTIFICATE_LOCATION and its key in .env',
  ],
  [
    'a wrong password',
    'login',
    { ...SECURE, KAFKA_SASL_PASSWORD: 'wrong-horse' },
    'KAFKA_AUTH kafka HERE: login as l2 with SCRAM-SHA-512 refused',
    checkSasl,
  ],
  [
    'an unknown user',
    'plainLogin',
    { ...LOGIN, KAFKA_SECURITY_PROTOCOL: 'SASL_PLAINTEXT', KAFKA_SASL_USERNAME: 'nobody' },
    'KAFKA_AUTH kafka HERE: login as nobody with SCRAM-SHA-512 refused',
    checkSasl,
  ],
  [
    'a mechanism that is not offered',
    'login',
    { ...SECURE, KAFKA_SASL_MECHANISM: 'PLAIN' },
    'KAFKA_MECHANISM kafka HERE: the broker does not offer SASL mechanism PLAIN, only SCRAM-SHA-512, SCRAM-SHA-256',
    'edit .env: KAFKA_SASL_MECHANISM=…',
  ],
  [
    'no login where one is needed',
    'login',
    TLS,
    'KAFKA_AUTH kafka HERE: the broker requires SASL authentication; mechanisms: SCRAM-SHA-512, SCRAM-SHA-256',
    addLogin('SASL_SSL'),
  ],
  [
    'no login where one is needed, without TLS',
    'plainLogin',
    {},
    'KAFKA_AUTH kafka HERE: the broker requires SASL authentication; mechanisms: SCRAM-SHA-512, SCRAM-SHA-256',
    addLogin('SASL_PLAINTEXT'),
  ],
  [
    'a login where none is taken',
    'admin',
    { ...LOGIN, KAFKA_SECURITY_PROTOCOL: 'SASL_PLAINTEXT' },
    'KAFKA_AUTH kafka HERE: this listener does not support SASL authentication',
    'edit .env: KAFKA_SECURITY_PROTOCOL=PLAINTEXT',
  ],
]

const wrong = suite('invalid credentials')
for (const [what, listener, values, finding, hint] of WRONG) {
  wrong(`reports ${what}`, async () => {
    assert.equal(await health(listener, values), { exitCode: 1, findings: [finding], hints: [hint] })
    const plan = await outcomeOf('create-topics.mts', ['--dry-run', '--timeout', '20'], envOf(listener, values))
    assert.equal(plan, { exitCode: 2, findings: [finding], hints: [hint] })
  })
}

wrong('are not reported if the broker is down', async () => {
  const env = envOf('login', { ...SECURE, KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' })
  const { findings } = await outcomeOf('health-check.mts', ['--only', 'kafka'], env)
  assert.equal(findings, ['NO_ANSWER kafka: no answer from HERE (connection refused)'])
})

wrong('are not reported if nothing listens at the advertised address', async () => {
  const { findings } = await health('astray', SECURE)
  assert.is(findings[0], 'KAFKA_ADVERTISED kafka broker 1: advertised as 127.0.0.1:1, where no broker answers')
})
wrong.run()

/** Values of kafkajs's AclResourceTypes and AclOperationTypes. */
const ON = { topic: 2, group: 3 }
const MAY = { Read: 3, Write: 4, Create: 5, Delete: 6, Alter: 7, Describe: 8, DescribeConfigs: 10, AlterConfigs: 11 }

async function asAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
  const kafka = await openKafkajs({ KAFKA_BOOTSTRAP_SERVERS: [address('admin')] }, { timeoutMs: 10_000 })
  const result = await work(await kafka.admin())
  await kafka.close()
  return result
}

const aclOf = (on: keyof typeof ON, operation: keyof typeof MAY) => ({
  ...{ principal: 'User:l2', host: '*', permissionType: 3, resourcePatternType: 3 },
  ...{ resourceType: ON[on], resourceName: '*', operation: MAY[operation] },
})
const grant = (on: keyof typeof ON, operation: keyof typeof MAY) =>
  asAdmin((admin) => admin.createAcls({ acl: [aclOf(on, operation)] }))
const revoke = (on: keyof typeof ON, operation: keyof typeof MAY) =>
  asAdmin((admin) => admin.deleteAcls({ filters: [aclOf(on, operation)] }))

const REPLAY = ['--generate', '--count', '200', '--fast', '--timeout', '20']
const RAW = ['iqfeed.trades.raw', 'iqfeed.quotes.raw', 'iqfeed.l2.raw']
const env = envOf('login', SECURE)

const rights = suite('a user without permissions')
rights('learns which ACL is missing, one after the other', async () => {
  const all = 'iqfeed.l2.raw iqfeed.trades.raw iqfeed.quotes.raw trading.signals market.features'
  const flags = all.split(' ').map((name) => `--topic ${name}`)
  const create = {
    exitCode: 2,
    findings: [`KAFKA_RIGHTS kafka topic ${all}: l2 has no ACL for Create`],
    hints: [
      `kafka-acls.sh --bootstrap-server HERE --add --allow-principal User:l2 --operation Create ${flags.join(' ')}`,
    ],
  }
  assert.equal(await outcomeOf('create-topics.mts', ['--timeout', '10'], env), create)
  assert.equal(await outcomeOf('reset-kafka.mts', ['--yes', '--timeout', '10'], env), create)
  await grant('topic', 'Create')
  await grant('topic', 'Describe')
  const configs = await outcomeOf('replay.mts', REPLAY, env)
  const names = RAW.join(' ')
  assert.equal(configs.findings, [`KAFKA_RIGHTS kafka topic ${names}: l2 has no ACL for DescribeConfigs`])
  await grant('topic', 'DescribeConfigs')
  const made = await outcomeOf('create-topics.mts', ['--timeout', '30'], env)
  assert.equal([made.exitCode, made.findings], [0, []])
  const moved = await outcomeOf('create-topics.mts', ['--rebalance', '--timeout', '30'], env)
  assert.equal([moved.exitCode, moved.findings], [2, ['KAFKA_RIGHTS kafka cluster: l2 has no ACL for Describe']])
  const sent = await outcomeOf('replay.mts', REPLAY, env)
  assert.is(sent.exitCode, 2)
  assert.match(sent.findings.join(), /^KAFKA_RIGHTS kafka (cluster: l2 has no ACL for IdempotentWrite|topic .*Write)$/)
  const { findings } = await outcomeOf(
    'reset-kafka.mts',
    ['--yes', '--only', 'market.features', '--timeout', '10'],
    env,
  )
  assert.equal(findings, [
    'RESET_NOT_DELETED market.features: Kafka refused to delete it: TOPIC_AUTHORIZATION_FAILED: no ACL for Delete on topic market.features',
  ])
})
rights.run()

const right = suite('a user with valid credentials')
right('can run every command with the permissions in docs/targets.md', async () => {
  for (const operation of ['Alter', 'AlterConfigs', 'Write', 'Delete', 'Read'] as const) await grant('topic', operation)
  for (const operation of ['Describe', 'Delete'] as const) await grant('group', operation)
  const file = path.join(folder, 'target.env')
  const lines = Object.entries({ ...SECURE, KAFKA_BOOTSTRAP_SERVERS: address('login') })
  writeFileSync(file, lines.map(([name, value]) => `${name}='${value}'\n`).join(''), { mode: 0o600 })
  const bare = Object.fromEntries(Object.entries(own).filter(([name]) => !/^KAFKA_(SASL|SSL|SEC|BOOT)/.test(name)))
  const run = (script: string, ...args: string[]) =>
    outcomeOf(script, [...args, '--env-file', file], { ...bare, DOCKER_HOST: 'unix:///nonexistent/docker.sock' })
  const good = { exitCode: 0, findings: [], hints: [] }
  assert.equal(await run('create-topics.mts'), good)
  assert.equal(await run('replay.mts', ...REPLAY), good)
  assert.equal(await run('health-check.mts', '--only', 'kafka', '--deep'), good)
  assert.equal(await run('consumer-groups.mts'), good)
  const tail = await runScript('tail-topic.mts', [RAW[0] ?? '', '--env-file', file], { env: bare })
  assert.equal([tail.exitCode, tail.stdout.split('\n').length > 1], [0, true])
  assert.equal(await run('reset-kafka.mts', '--yes'), good)
  assert.equal(await run('health-check.mts', '--only', 'kafka'), good)
})

for (const [what, listener, values] of [
  ['TLS alone', 'tls', TLS],
  ['a client certificate', 'mutual', { ...TLS, ...certificateOf(certificates.client) }],
  ['SCRAM-SHA-256', 'login', { ...SECURE, KAFKA_SASL_MECHANISM: 'SCRAM-SHA-256' }],
  ['SCRAM without TLS', 'plainLogin', { ...LOGIN, KAFKA_SECURITY_PROTOCOL: 'SASL_PLAINTEXT' }],
] as const) {
  right(`works with ${what}`, async () => {
    const { findings } = await health(listener, values)
    // Clients without SASL may not see any topics.
    assert.equal(
      findings.filter((finding) => !finding.startsWith('TOPIC_MISSING')),
      [],
    )
  })
}

right('that loses a permission during a replay: the finding names it, and nothing acknowledged is lost', async () => {
  const stored = () =>
    asAdmin(async (admin) => {
      const offsets = await Promise.all(RAW.map((topic) => admin.fetchTopicOffsets(topic)))
      return offsets.flat().reduce((total, { high, low }) => total + Number(high) - Number(low), 0)
    })
  const before = await stored()
  const replaying = runScript('replay.mts', ['--generate', '--count', '100000', '--rate', '500', '--json'], { env })
  assert.ok(await waitUntil(async () => (await stored()) > before + 500, { timeoutMs: 30_000, pollMs: 100 }))
  await revoke('topic', 'Write')
  const { exitCode, stdout } = await replaying
  const { findings, topics }: { findings: Finding[]; topics: Record<string, { acknowledged: number }> } =
    JSON.parse(stdout)
  assert.is(exitCode, 2, stdout)
  assert.match(findings.map(({ code, found }) => `${code} ${found}`).join(), /^KAFKA_RIGHTS .*Write/)
  const acknowledged = Object.values(topics).reduce((total, topic) => total + topic.acknowledged, 0)
  assert.ok(acknowledged > 0)
  // A batch with a refused message may still have stored some of its other messages.
  assert.ok((await stored()) >= before + acknowledged)
  await grant('topic', 'Write')
  assert.equal((await outcomeOf('replay.mts', REPLAY, env)).exitCode, 0)
})

right('works with a token from an endpoint, and reports an endpoint that refuses', async () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const nowS = Math.floor(Date.now() / 1000)
  const token = `${part({ alg: 'none' })}.${part({ sub: 'l2', iat: nowS, exp: nowS + 600 })}.`
  const basic = `Basic ${Buffer.from(`l2:${PASSWORD}`).toString('base64')}`
  const endpoint = createServer((request, response) => {
    const isKnown = request.method === 'POST' && request.headers.authorization === basic
    response.writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' })
    response.end(JSON.stringify(isKnown ? { access_token: token, expires_in: 600 } : { error: 'invalid_client' }))
  })
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/token`
  const values = {
    ...{ ...SECURE, KAFKA_SASL_MECHANISM: 'OAUTHBEARER' },
    KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: url,
  }
  const given = await health('token', values)
  const refused = await health('token', { ...values, KAFKA_SASL_PASSWORD: 'wrong-horse' })
  endpoint.close()
  assert.equal(given.findings, [])
  assert.equal(refused.findings, [`KAFKA_TOKEN kafka HERE: ${url} returned no token: HTTP 401 invalid_client`])
})

right.after(async () => {
  await broker.stop()
  rmSync(folder, { recursive: true, force: true })
})
right.run()
