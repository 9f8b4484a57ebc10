/** ClickHouse over HTTPS and Redis over TLS: real servers behind a TLS proxy, and the finding for each wrong connection. */
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createServer, type Server } from 'node:tls'
import { Redis } from 'ioredis'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { runScript } from '../support/command.mts'
import { startStack } from '../support/stack.mts'
import { makeCertificates, type Pair } from './certificates.mts'

const folder = mkdtempSync(path.join(tmpdir(), 'l2-tls-'))
const certificates = makeCertificates(folder)
const stack = await startStack(['clickhouse', 'redis'])
const { CLICKHOUSE_HTTP_PORT, REDIS_PORT } = stack.settings
const ends: Server[] = []

/** Starts a TLS proxy with this certificate in front of a plain server, and returns its port. */
async function tlsEnd(port: number, { certificate, key }: Pair): Promise<number> {
  const [cert, secret] = await Promise.all([readFile(certificate), readFile(key)])
  const end = createServer({ cert, key: secret }, (socket) => {
    const inner = connect(port, '127.0.0.1')
    // Either side may disconnect first.
    for (const each of [socket, inner]) each.on('error', () => {})
    socket.pipe(inner).pipe(socket)
  })
  ends.push(end)
  await new Promise<void>((resolve) => end.listen(0, '127.0.0.1', resolve))
  return (end.address() as AddressInfo).port
}

const PAIRS = ['server', 'expired', 'otherHost', 'foreign'] as const
const portsOf = async (port: number) =>
  Object.fromEntries(await Promise.all(PAIRS.map(async (name) => [name, await tlsEnd(port, certificates[name])]))) as {
    [K in (typeof PAIRS)[number]]: number
  }
const clickhouse = { ...(await portsOf(CLICKHOUSE_HTTP_PORT)), plain: CLICKHOUSE_HTTP_PORT }
const redis = { ...(await portsOf(REDIS_PORT)), plain: REDIS_PORT }
type End = keyof typeof clickhouse

const SECURE = { CLICKHOUSE_SECURE: 'true', CLICKHOUSE_CA_CERT: certificates.ca }
const REDISS = { REDIS_TLS: 'true', REDIS_CA_CERT: certificates.ca }

async function outcomeOf(script: string, args: string[], values: NodeJS.ProcessEnv) {
  const env = { ...stack.env, NO_COLOR: '1', DOCKER_HOST: 'unix:///nonexistent/docker.sock', ...values }
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env })
  const findings: Finding[] = JSON.parse(stdout).findings
  return {
    exitCode,
    findings: findings.map(({ code, found }) => `${code} ${found}`),
    hints: findings.map((f) => f.hint),
  }
}

const askClickHouse = (end: End, values: NodeJS.ProcessEnv) =>
  outcomeOf('health-check.mts', ['--only', 'clickhouse'], { CLICKHOUSE_PORT: String(clickhouse[end]), ...values })
const askRedis = (end: End, values: NodeJS.ProcessEnv) =>
  // REDIS_PORT is used by clients too; the embedded stack is not restarted.
  outcomeOf('health-check.mts', ['--only', 'redis'], { REDIS_PORT: String(redis[end]), ...values })

/** Title, TLS proxy, whether TLS is on and with which authority, finding, and the names in the hint. */
const WRONG: [string, End, 'no' | 'yes' | 'without authority', string, (names: Names) => string][] = [
  [
    'no authority',
    'server',
    'without authority',
    'its certificate is from an unknown authority (l2-test-authority)',
    ({ ca }) => `set ${ca} in .env to the file with the certificate of that authority`,
  ],
  [
    'a certificate of another authority',
    'foreign',
    'yes',
    'its certificate is from an unknown authority (l2-other-authority)',
    ({ ca }) => `set ${ca} in .env to the file with the certificate of that authority`,
  ],
  [
    'an expired certificate',
    'expired',
    'yes',
    'its certificate expired on 2021-01-01',
    () => 'install a new certificate on the server',
  ],
  [
    'a certificate for another host',
    'otherHost',
    'yes',
    'its certificate is not for 127.0.0.1 (db.example)',
    ({ host }) => `set ${host} in .env to a name in the certificate, or issue one that includes 127.0.0.1`,
  ],
  [
    'plain where TLS is spoken',
    'server',
    'no',
    'the server uses TLS, but the settings do not',
    ({ tls }) => `edit .env: ${tls}=true`,
  ],
  [
    'TLS where plain is spoken',
    'plain',
    'yes',
    'the server does not use TLS, but the settings require it',
    ({ tls }) => `edit .env: ${tls}=false`,
  ],
]

interface Names {
  ca: string
  host: string
  tls: string
}
const OF_CLICKHOUSE = { ca: 'CLICKHOUSE_CA_CERT', host: 'CLICKHOUSE_HOST', tls: 'CLICKHOUSE_SECURE' }
const OF_REDIS = { ca: 'REDIS_CA_CERT', host: 'REDIS_HOST', tls: 'REDIS_TLS' }

const https = suite('ClickHouse over HTTPS')
for (const [what, end, tls, found, hint] of WRONG) {
  https(`reports ${what}`, async () => {
    const secure = tls === 'no' ? {} : tls === 'yes' ? SECURE : { CLICKHOUSE_SECURE: 'true' }
    // With the stack's own port in CLICKHOUSE_PORT, clients would use 8443 instead.
    const values = end === 'plain' ? { ...secure, CLICKHOUSE_HTTP_PORT: '1' } : secure
    const findings = [`CLICKHOUSE_TLS ${found}`]
    assert.equal(await askClickHouse(end, values), { exitCode: 1, findings, hints: [hint(OF_CLICKHOUSE)] })
    const schema = await outcomeOf('apply-schema.mts', ['--dry-run'], {
      CLICKHOUSE_PORT: String(clickhouse[end]),
      ...values,
    })
    assert.equal([schema.exitCode, schema.findings], [2, findings])
  })
}

https('reports a refused login', async () => {
  const { exitCode, findings } = await askClickHouse('server', { ...SECURE, CLICKHOUSE_PASSWORD: 'wrong-horse' })
  const login = 'login as l2_user (CLICKHOUSE_USER, CLICKHOUSE_PASSWORD) refused'
  assert.equal([exitCode, findings], [1, [`CLICKHOUSE_AUTH ${login}`]])
})

https('serves every command', async () => {
  const values = { ...SECURE, CLICKHOUSE_PORT: String(clickhouse.server) }
  for (const [script, args] of [
    ['apply-schema.mts', []],
    ['health-check.mts', ['--only', 'clickhouse', '--deep']],
    ['quality.mts', []],
  ] as const)
    assert.equal(await outcomeOf(script, [...args], values), { exitCode: 0, findings: [], hints: [] }, script)
})
https.run()

const rediss = suite('Redis over TLS')
for (const [what, end, tls, found, hint] of WRONG) {
  rediss(`reports ${what}`, async () => {
    const secure = tls === 'no' ? {} : tls === 'yes' ? REDISS : { REDIS_TLS: 'true' }
    const findings = [`REDIS_TLS ${found}`]
    assert.equal(await askRedis(end, secure), { exitCode: 1, findings, hints: [hint(OF_REDIS)] })
  })
}

rediss('accepts an ACL user, and reports a refused user and a missing permission', async () => {
  const admin = new Redis({ port: REDIS_PORT })
  await admin.call('ACL', 'SETUSER', 'trader', 'on', '>correct-horse', '~*', '+@all')
  await admin.call('ACL', 'SETUSER', 'reader', 'on', '>correct-horse', '~*', '+ping')
  admin.disconnect()
  const user = (name: string, password = 'correct-horse') => ({
    ...REDISS,
    ...{ REDIS_USERNAME: name, REDIS_PASSWORD: password },
  })
  assert.equal(await askRedis('server', user('trader')), { exitCode: 0, findings: [], hints: [] })
  assert.equal(await askRedis('server', user('trader', 'wrong-horse')), {
    exitCode: 1,
    findings: ['REDIS_AUTH login as trader refused (WRONGPASS)'],
    hints: ['check REDIS_USERNAME and REDIS_PASSWORD in .env'],
  })
  const reader = await askRedis('server', user('reader'))
  assert.match(reader.findings.join(), /^REDIS_RIGHTS user reader lacks a permission: NOPERM .*'info'/)
  assert.equal(reader.hints, ['ACL SETUSER reader +info'])
})

rediss.after(async () => {
  for (const end of ends) end.close()
  await stack.stop()
  rmSync(folder, { recursive: true, force: true })
})
rediss.run()
