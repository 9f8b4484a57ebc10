import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpsError } from '../../scripts/lib/common/findings.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { runScript } from '../support/command.mts'
import { cleanEnv, projectFolder } from '../support/project.mts'

const folder = projectFolder({
  '.env.template': readFileSync(path.join(ROOT, '.env.template'), 'utf8'),
  'text.pem': 'no certificate',
})
const inFolder = (name: string) => path.join(folder, name)
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
// Elliptic curve keys, because they are generated quickly.
for (const name of ['one', 'two']) {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`]
  openssl('req', '-x509', ...key, '-subj', `/CN=${name}`, '-out', name)
}
openssl('pkey', '-aes128', '-in', 'one.key', '-passout', 'pass:hush-hush', '-out', 'locked.key')

/** Returns `VARIABLE: found, expected` of each error. */
function mistakes(env: NodeJS.ProcessEnv): string[] {
  try {
    readSettings(env, folder)
    return []
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    assert.is(error.exitCode, 2)
    assert.not.match(JSON.stringify(error.findings), 'hush')
    return error.findings.map(({ subject, found, expected }) => `${subject.split(' ')[1]}: ${found}, ${expected}`)
  }
}

const SASL = {
  KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
  KAFKA_SASL_MECHANISM: 'PLAIN',
  KAFKA_SASL_USERNAME: 'l2',
  KAFKA_SASL_PASSWORD: 'hush-hush',
}
const SSL = { KAFKA_SECURITY_PROTOCOL: 'SSL' }
const CERTIFICATE = { KAFKA_SSL_CERTIFICATE_LOCATION: inFolder('one'), KAFKA_SSL_KEY_LOCATION: inFolder('one.key') }
const ENDPOINT = 'KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL'

const connections = suite('connections')

for (const [what, env] of Object.entries({
  'nothing set': {},
  'a login': SASL,
  'SCRAM without TLS': { ...SASL, KAFKA_SECURITY_PROTOCOL: 'SASL_PLAINTEXT', KAFKA_SASL_MECHANISM: 'SCRAM-SHA-256' },
  'a token': { ...SASL, KAFKA_SASL_MECHANISM: 'OAUTHBEARER', [ENDPOINT]: 'https://login.example/token' },
  'an authority': { ...SSL, KAFKA_SSL_CA_LOCATION: inFolder('one') },
  'a client certificate': { ...SSL, ...CERTIFICATE },
  'a key with a password': {
    ...SSL,
    ...CERTIFICATE,
    ...{ KAFKA_SSL_KEY_LOCATION: inFolder('locked.key'), KAFKA_SSL_KEY_PASSWORD: 'hush-hush' },
  },
  'https and rediss': {
    ...{ CLICKHOUSE_SECURE: 'true', CLICKHOUSE_CA_CERT: inFolder('one') },
    ...{ REDIS_TLS: 'true', REDIS_CA_CERT: inFolder('two'), REDIS_USERNAME: 'l2', REDIS_PASSWORD: 'hush-hush' },
  },
  'an S3 server': {
    S3_ENDPOINT: 'https://s3.example:9000/',
    S3_REGION: 'eu-central-1',
    S3_SECRET_ACCESS_KEY: 'hush/hush',
  },
}))
  connections(`accept ${what}`, () => assert.equal(mistakes(env), []))

const protocols = 'PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL'
const WRONG: [NodeJS.ProcessEnv, string[]][] = [
  [{ KAFKA_SECURITY_PROTOCOL: 'TLS' }, [`KAFKA_SECURITY_PROTOCOL: "TLS", ${protocols}`]],
  [
    { ...SASL, KAFKA_SASL_MECHANISM: 'GSSAPI' },
    ['KAFKA_SASL_MECHANISM: "GSSAPI", PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER'],
  ],
  [
    { KAFKA_SECURITY_PROTOCOL: 'SASL_SSL' },
    [
      'KAFKA_SASL_MECHANISM: none, a mechanism for KAFKA_SECURITY_PROTOCOL=SASL_SSL',
      'KAFKA_SASL_USERNAME: none, a user name for KAFKA_SECURITY_PROTOCOL=SASL_SSL',
      'KAFKA_SASL_PASSWORD: none, a password for KAFKA_SECURITY_PROTOCOL=SASL_SSL',
    ],
  ],
  [
    { S3_ENDPOINT: 's3.example:9000' },
    ['S3_ENDPOINT: "s3.example:9000", an http or https URL such as https://s3.example.com'],
  ],
  [
    { S3_ENDPOINT: 'https://l2:hush-hush@s3.example' },
    ['S3_ENDPOINT: an invalid value (not shown), an http or https URL such as https://s3.example.com'],
  ],
  [{ S3_REGION: 'eu central' }, ['S3_REGION: "eu central", letters, digits and "-", such as eu-central-1']],
  [{ ...SASL, KAFKA_SASL_MECHANISM: 'OAUTHBEARER' }, [`${ENDPOINT}: none, the https URL of the token endpoint`]],
  [
    { ...SASL, [ENDPOINT]: 'https://login.example/token' },
    [`${ENDPOINT}: a value, which is ignored with KAFKA_SASL_MECHANISM=PLAIN, none`],
  ],
  [
    { ...SASL, KAFKA_SASL_MECHANISM: 'OAUTHBEARER', [ENDPOINT]: 'http://login.example/token' },
    [`${ENDPOINT}: "http://login.example/token", an https URL`],
  ],
  [
    { KAFKA_SASL_PASSWORD: 'hush-hush', KAFKA_SSL_CA_LOCATION: inFolder('one') },
    [
      'KAFKA_SASL_PASSWORD: a value, which is ignored with KAFKA_SECURITY_PROTOCOL=PLAINTEXT, none',
      'KAFKA_SSL_CA_LOCATION: a value, which is ignored with KAFKA_SECURITY_PROTOCOL=PLAINTEXT, none',
    ],
  ],
  [
    { ...SSL, KAFKA_SSL_CA_LOCATION: inFolder('none.pem') },
    [`KAFKA_SSL_CA_LOCATION: "${inFolder('none.pem')}", a file that exists`],
  ],
  [
    { ...SSL, KAFKA_SSL_CA_LOCATION: folder },
    [`KAFKA_SSL_CA_LOCATION: "${folder}", a PEM file that this user may read, not a folder`],
  ],
  [
    { ...SSL, KAFKA_SSL_CA_LOCATION: inFolder('text.pem') },
    ['KAFKA_SSL_CA_LOCATION: no certificate, a PEM certificate'],
  ],
  [
    { ...SSL, KAFKA_SSL_KEY_LOCATION: inFolder('one.key') },
    ['KAFKA_SSL_CERTIFICATE_LOCATION: none, the certificate of the key'],
  ],
  [
    { ...SSL, KAFKA_SSL_CERTIFICATE_LOCATION: inFolder('one') },
    ['KAFKA_SSL_KEY_LOCATION: none, the key of the certificate'],
  ],
  [
    { ...SSL, ...CERTIFICATE, KAFKA_SSL_KEY_LOCATION: inFolder('two.key') },
    ['KAFKA_SSL_KEY_LOCATION: a different key, the key of the certificate'],
  ],
  [
    { ...SSL, ...CERTIFICATE, KAFKA_SSL_KEY_LOCATION: inFolder('two') },
    ['KAFKA_SSL_KEY_LOCATION: no private key, a PEM private key'],
  ],
  [
    { ...SSL, ...CERTIFICATE, KAFKA_SSL_KEY_LOCATION: inFolder('locked.key') },
    ['KAFKA_SSL_KEY_PASSWORD: none, the password of the key'],
  ],
  [
    { ...SSL, ...CERTIFICATE, KAFKA_SSL_KEY_LOCATION: inFolder('locked.key'), KAFKA_SSL_KEY_PASSWORD: 'hush' },
    ['KAFKA_SSL_KEY_PASSWORD: a wrong password, the password of the key'],
  ],
  [
    { ...SSL, KAFKA_SSL_KEY_PASSWORD: 'hush-hush' },
    ['KAFKA_SSL_KEY_PASSWORD: a value, KAFKA_SSL_KEY_LOCATION to be set too'],
  ],
  [{ CLICKHOUSE_SECURE: 'yes' }, ['CLICKHOUSE_SECURE: "yes", true or false']],
  [
    { CLICKHOUSE_CA_CERT: inFolder('one'), REDIS_CA_CERT: inFolder('one') },
    [
      'CLICKHOUSE_CA_CERT: a value, which is ignored with CLICKHOUSE_SECURE=false, none',
      'REDIS_CA_CERT: a value, which is ignored with REDIS_TLS=false, none',
    ],
  ],
  [{ REDIS_USERNAME: 'l2' }, ['REDIS_PASSWORD: none, the password of REDIS_USERNAME']],
]
for (const [env, expected] of WRONG)
  connections(`refuse: ${expected.join('; ').replaceAll(folder, '')}`, () => assert.equal(mistakes(env), expected))

connections('use port 8443 over https, unless another is given', () => {
  const port = (env: NodeJS.ProcessEnv) => readSettings(env, folder).CLICKHOUSE_PORT
  assert.equal(
    [port({}), port({ CLICKHOUSE_SECURE: 'true' }), port({ CLICKHOUSE_SECURE: 'true', CLICKHOUSE_PORT: '443' })],
    [8123, 8443, 443],
  )
})

connections.run()

const envFile = suite('--env-file')
const run = (...args: string[]) => runScript('create-topics.mts', args, { env: cleanEnv() })

envFile('is read instead of .env, and is named in mistakes', async () => {
  const file = path.join(projectFolder({ 'prod.env': '# one\nREDIS_PORT=x\n' }), 'prod.env')
  const { exitCode, stderr } = await run('--env-file', file)
  const hint = `    → edit ${file}: REDIS_PORT=…\n`
  const found = `✗ ${file}:2 REDIS_PORT: found "x", expected an integer from 1 to 65535 [SETTING]\n`
  assert.equal([exitCode, stderr], [2, found + hint])
})

envFile('is refused if it does not exist', async () => {
  const file = inFolder('none.env')
  const { exitCode, stderr } = await run(`--env-file=${file}`)
  const found = `✗ ${file}: found no such file, expected a text file that this user may read [ENV_UNREADABLE]\n`
  assert.equal([exitCode, stderr], [2, `${found}    → ls -lL ${file}\n`])
})

const FAR = 'KAFKA_BOOTSTRAP_SERVERS=kafka.invalid:9093\nCLICKHOUSE_HOST=clickhouse.invalid\n'
const far = path.join(projectFolder({ 'far.env': FAR }), 'far.env')
for (const [script, args, shown] of [
  ['create-topics.mts', [], 'kafka kafka.invalid:9093 (PLAINTEXT)'],
  ['replay.mts', ['--generate'], 'kafka kafka.invalid:9093 (PLAINTEXT)'],
  ['apply-schema.mts', [], 'clickhouse clickhouse.invalid:8123, database l2_market_data as l2_user'],
  ['ingest.mts', ['on'], 'clickhouse clickhouse.invalid:8123, database l2_market_data as l2_user'],
] as const)
  envFile(`to another machine makes ${script} name it, and refuse without a terminal`, async () => {
    const { exitCode, stderr } = await runScript(script, [...args, '--env-file', far], { env: cleanEnv() })
    const [first, second] = stderr.split('\n')
    assert.equal([exitCode, first], [2, `Remote target: ${shown}`])
    assert.match(second ?? '', /a remote target, and no terminal to ask for confirmation \[CONFIRM\]$/)
  })

envFile('to another machine is refused by npm start', async () => {
  const { exitCode, stderr } = await runScript('start.mts', ['--embedded', '--env-file', far], { env: cleanEnv() })
  const hint =
    '    → move the settings of external services to a separate file, and pass it to other commands: --env-file PATH\n'
  assert.equal(
    [exitCode, stderr],
    [
      2,
      `✗ KAFKA_BOOTSTRAP_SERVERS: kafka.invalid, which is not this machine [SETTING]\n✗ CLICKHOUSE_HOST: clickhouse.invalid, which is not this machine [SETTING]\n${hint}`,
    ],
  )
})

envFile.run()
