/**
 * Tests docker-compose.prod.yml with the certificates and .env of `npm run secrets -- --production`. Runs the entrypoints, commands and
 * configuration of the compose files on the embedded stack's Kafka (both modes), Redis and ClickHouse.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createServer } from 'node:tls'
import { parse as parseEnv } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import type { Finding } from '../../scripts/lib/common/findings.mts'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { startEmbedded, stopEmbedded } from '../../scripts/lib/engines/embedded/stack.mts'
import { interpolate } from '../../scripts/lib/settings/interpolate.mts'
import { ROOT, readSettings } from '../../scripts/lib/settings/settings.mts'
import { runFile, runScript } from '../support/command.mts'
import { cleanEnv, projectCopy } from '../support/project.mts'
import { freePorts, stackEnv } from '../support/stack.mts'
import { STARTED } from './brokers.mts'

const root = projectCopy({ '.env': 'KAFKA_ADVERTISED_HOST=127.0.0.1\n' })
const made = await runFile(path.join(root, 'scripts/secrets.mts'), ['--production'], { env: cleanEnv() })
assert.is(made.exitCode, 0, made.stdout)
const { COMPOSE_FILE: _, ...secure } = parseEnv(readFileSync(path.join(root, '.env'), 'utf8'))
for (const name of ['KAFKA_SSL_CA_LOCATION', 'CLICKHOUSE_CA_CERT', 'REDIS_CA_CERT'])
  secure[name] = path.join(root, 'certs/ca.crt')
const { KAFKA_SASL_PASSWORD = '' } = secure

const [https = 0, redisTls = 0] = await freePorts(2)
const env = await stackEnv({
  ...secure,
  CLICKHOUSE_HTTPS_PORT: String(https),
  DOCKER_HOST: 'unix:///nonexistent/docker.sock',
  NO_COLOR: '1',
})
const settings = readSettings(env)
const zookeeper = await install('zookeeper', () => {})
const kraft = await install('kraft', () => {})
const folder = (name: string) => {
  mkdirSync(path.join(root, name), { recursive: true })
  return path.join(root, name)
}
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8')

const TAGS = [
  { tag: '!override', collection: 'seq', resolve: (list: unknown) => list },
  { tag: '!override', collection: 'map', resolve: (map: unknown) => map },
  { tag: '!reset', collection: 'map', resolve: () => null },
] as never[]
const compose = (file: string) =>
  parse(interpolate(read(file).replaceAll('$$', '\u0000'), (name) => env[name]).replaceAll('\u0000', '$'), {
    customTags: TAGS,
    merge: true,
  }).services

const children: ChildProcess[] = []
/** Starts a program and waits until its output matches `ready`. The result's output keeps growing. */
async function start(name: string, ready: RegExp, command: string, args: string[], values: NodeJS.ProcessEnv = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...values } })
  children.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  for (let tries = 0; !ready.test(output); tries++) {
    if (tries > 900 || child.exitCode !== null) throw new Error(`Cannot start ${name}:\n${output.slice(-5000)}`)
    await delay(100)
  }
  return child
}
async function stop(child: ChildProcess) {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/**
 * Arguments of bash for Kafka's container: the entrypoint of docker-compose.prod.yml with the command of `file`, with paths replaced by
 * those of this machine.
 */
function kafkaCommand(file: string, jars: readonly string[]): string[] {
  const target = folder(`kafka-${path.basename(file)}`)
  const java = `exec '${zookeeper.java}' -Xmx320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '${jars.join(':')}'`
  const logging = `-Dlog4j.configuration=file:${path.join(ROOT, 'kafka/log4j.properties')} -Dlog4j2.configurationFile=${path.join(ROOT, 'kafka/log4j2.properties')}`
  const programs = {
    'kafka-server-start.sh': `${java} ${logging} kafka.Kafka "$@"`,
    'kafka-storage.sh': `${java} kafka.tools.StorageTool "$@"`,
  }
  for (const [name, line] of Object.entries(programs)) {
    writeFileSync(path.join(target, name), `#!/bin/sh\n${line}\n`)
    chmodSync(path.join(target, name), 0o755)
  }
  // Replaces each of the container's paths.
  copyFileSync(path.join(root, 'certs/kafka.pem'), path.join(target, 'kafka.pem'))
  const rewrite = (text: string) =>
    text
      .replaceAll('/etc/kafka/secrets', target)
      .replaceAll('/etc/kafka/l2', target)
      .replaceAll('/opt/kafka/bin', target)
      .replaceAll('/var/lib/kafka/data', path.join(target, 'data'))
      .replaceAll('/tmp/server.properties', path.join(target, 'kraft.properties'))
      .replaceAll('zookeeper:2181', `127.0.0.1:${settings.ZOOKEEPER_CLIENT_PORT}`)
      .replaceAll('EXTERNAL://:9092', `EXTERNAL://127.0.0.1:${settings.KAFKA_LISTENER_PORT}`)
      .replaceAll(/INTERNAL:\/\/(kafka)?:/g, 'INTERNAL://127.0.0.1:')
  mkdirSync(path.join(target, 'data'), { recursive: true })
  for (const name of ['server.properties', 'production.properties'])
    writeFileSync(path.join(target, name), rewrite(read(`kafka/${name}`)))
  const { entrypoint } = compose('docker-compose.prod.yml').kafka
  // In the container, these are two different folders.
  const script = (entrypoint as string[]).map((text) =>
    rewrite(text).replace(`own=${target}/server`, `own=${target}/own`),
  )
  return [...script.slice(1), ...(compose(file).kafka.command as string[]).map(rewrite)]
}

const login = { KAFKA_SASL_USERNAME: 'l2', KAFKA_SASL_PASSWORD }

async function outcomeOf(script: string, args: string[], values: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout } = await runScript(script, [...args, '--json'], { env: { ...env, ...values } })
  const findings: Finding[] = JSON.parse(stdout).findings
  return { exitCode, findings: findings.map(({ code, found }) => `${code} ${found}`) }
}
const GOOD = { exitCode: 0, findings: [] }

const kafka = suite('Kafka of docker-compose.prod.yml')
for (const [file, jars] of [
  ['docker-compose.yml', zookeeper.jars],
  ['docker-compose.kraft.yml', kraft.jars],
] as const) {
  kafka(`accepts the login over TLS and nothing else, with the command of ${file}`, async () => {
    if (file === 'docker-compose.yml')
      await startEmbedded({ ...settings, KAFKA_MODE: 'zookeeper' }, zookeeper, () => {}, ['zookeeper'])
    const values = { KAFKA_MODE: file === 'docker-compose.yml' ? 'zookeeper' : 'kraft' }
    const broker = await start('Kafka', STARTED, 'bash', kafkaCommand(file, jars), login)
    // The command line, which other users of the machine can read.
    const commandLine = readFileSync(`/proc/${broker.pid}/cmdline`, 'utf8')
    const environment = readFileSync(`/proc/${broker.pid}/environ`, 'utf8')
    assert.match(commandLine, 'kafka.Kafka')
    assert.not.match(commandLine + environment, KAFKA_SASL_PASSWORD)
    assert.equal(await outcomeOf('create-topics.mts', ['--only', 'trading.signals'], values), GOOD)
    assert.equal(await outcomeOf('create-topics.mts', ['--only', 'trading.signals', '--dry-run'], values), GOOD)
    const wrong = await outcomeOf('health-check.mts', ['--only', 'kafka'], {
      ...values,
      KAFKA_SASL_PASSWORD: 'wrong-horse',
    })
    assert.match(wrong.findings.join(), /^KAFKA_AUTH login as l2 with PLAIN refused/)
    const plain = {
      KAFKA_SECURITY_PROTOCOL: 'PLAINTEXT',
      KAFKA_SASL_MECHANISM: '',
      KAFKA_SASL_USERNAME: '',
      KAFKA_SASL_PASSWORD: '',
      KAFKA_SSL_CA_LOCATION: '',
    }
    assert.match(
      (await outcomeOf('health-check.mts', ['--only', 'kafka'], { ...values, ...plain })).findings.join(),
      /^KAFKA_TLS the server uses TLS/,
    )
    await stop(broker)
  })
}

kafka('refuses a password that its configuration would misread', () => {
  for (const password of ['a"b', 'a b', 'a\\b', 'ä', '']) {
    const { status, stdout } = spawnSync('bash', kafkaCommand('docker-compose.yml', []), {
      encoding: 'utf8',
      env: { ...process.env, KAFKA_SASL_USERNAME: 'l2', KAFKA_SASL_PASSWORD: password },
    })
    assert.equal([status, stdout.slice(0, 25)], [1, 'ERROR KAFKA_SASL_USERNAME'], JSON.stringify(password))
  }
})
kafka.run()

const redis = suite('Redis of docker-compose.prod.yml')
redis('accepts the password over TLS', async () => {
  const data = folder('redis-data')
  const file = path.join(data, 'redis.conf')
  const rewrite = (text: string) =>
    text
      .replace('/usr/local/etc/redis/l2.conf', path.join(ROOT, 'redis/redis.conf'))
      .replaceAll('/usr/local/etc/redis/', `${root}/certs/`)
      .replace('tls-port 6380', `tls-port ${redisTls}`)
  const own = `port 0\ndir ${data}\nrequirepass ${settings.REDIS_PASSWORD}\n`
  writeFileSync(file, `${rewrite(read('redis/production.conf'))}\n${own}`)
  await start('Redis', /Ready to accept connections/, zookeeper.redisServer, [file])
  const values = { REDIS_PORT: String(redisTls) }
  assert.equal(await outcomeOf('health-check.mts', ['--only', 'redis', '--deep'], values), GOOD)
  const wrong = await outcomeOf('health-check.mts', ['--only', 'redis'], { ...values, REDIS_PASSWORD: 'wrong-horse' })
  assert.match(wrong.findings.join(), /^REDIS_AUTH login refused/)
})
redis.run()

const clickhouse = suite('ClickHouse of docker-compose.prod.yml')
clickhouse('accepts its configuration, and the password over HTTPS with its certificate', async () => {
  // The embedded library reads the TLS settings but opens no TLS port, so a TLS proxy in front of its plain port presents the certificate.
  const own = path.join(settings.EMBEDDED_DATA_DIR, 'run/clickhouse/config.d')
  mkdirSync(own, { recursive: true })
  copyFileSync(path.join(root, 'certs/clickhouse.pem'), path.join(own, 'l2.pem'))
  const config = read('clickhouse/config.d/production.xml')
  writeFileSync(path.join(own, 'production.xml'), config.replaceAll('/etc/clickhouse-server/', `${own}/`))
  await startEmbedded(settings, zookeeper, () => {}, ['clickhouse'])
  const pem = readFileSync(path.join(root, 'certs/clickhouse.pem'))
  const end = createServer({ cert: pem, key: pem }, (socket) => {
    const inner = connect(settings.CLICKHOUSE_HTTP_PORT, '127.0.0.1')
    for (const each of [socket, inner]) each.on('error', () => {})
    socket.pipe(inner).pipe(socket)
  })
  await new Promise<void>((resolve) => end.listen(https, '127.0.0.1', resolve))
  try {
    assert.is(settings.CLICKHOUSE_PORT, https)
    assert.equal(await outcomeOf('apply-schema.mts', []), GOOD)
    assert.equal(await outcomeOf('health-check.mts', ['--only', 'clickhouse', '--deep']), GOOD)
    const wrong = await outcomeOf('health-check.mts', ['--only', 'clickhouse'], { CLICKHOUSE_PASSWORD: 'wrong-horse' })
    assert.match(wrong.findings.join(), /^CLICKHOUSE_AUTH/)
  } finally {
    end.close()
  }
})

clickhouse('publishes the configured ports and mounts the named file', () => {
  const config = read('clickhouse/config.d/production.xml')
  const texts = (tag: string) => [...config.matchAll(new RegExp(`<${tag}>([^<]+)<`, 'g'))].map(([, text]) => text)
  const { ports, volumes } = compose('docker-compose.prod.yml').clickhouse
  assert.equal(
    ports.map((port: string) => port.split(':').at(-1)),
    [...texts('https_port'), ...texts('tcp_port_secure')],
  )
  const mounted = volumes.map((volume: { target?: string }) => volume.target).filter(Boolean)
  assert.equal([...new Set([...texts('certificateFile'), ...texts('privateKeyFile')])], mounted)
})

clickhouse.after(async () => {
  for (const child of children) await stop(child)
  await stopEmbedded(settings.EMBEDDED_DATA_DIR)
  rmSync(settings.EMBEDDED_DATA_DIR, { recursive: true, force: true })
})
clickhouse.run()
