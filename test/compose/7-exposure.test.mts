import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { compose, containerOf, DEFAULT_PORTS, docker, inspect, output, SERVICES, up, writeEnv } from './engine.mts'
import { reportedSuite } from './suite.mts'
import { type Access, prepare, readAll, STORES, writeSome } from './writer.mts'

const { test, run } = reportedSuite('exposure, and non-default settings')

const CHANGED = {
  BIND_ADDRESS: '0.0.0.0',
  ZOOKEEPER_CLIENT_PORT: '12181',
  KAFKA_LISTENER_PORT: '19092',
  KAFKA_INTERNAL_PORT: '39092',
  CLICKHOUSE_DB: 'other_market_data',
  CLICKHOUSE_USER: 'other_user',
  CLICKHOUSE_PASSWORD: '\'xyzzy <&> "ClickHouse"\'',
  CLICKHOUSE_HTTP_PORT: '18123',
  CLICKHOUSE_TCP_PORT: '19000',
  REDIS_PORT: '16380',
  REDIS_PASSWORD: '\'xyzzy-"Re\\dis"\'',
  REDIS_MAX_MEMORY: '512mb',
  REDIS_MEMORY_LIMIT: '720m',
  CLICKHOUSE_READONLY_USER: 'other_reader',
  CLICKHOUSE_READONLY_PASSWORD: '\'xyzzy <&> "read"\'',
  KAFKA_UI_PORT: '18080',
}
const SECRET = /xyzzy/
const ACCESS: Access = {
  kafka: '127.0.0.1:19092',
  clickhouse: { url: 'http://127.0.0.1:18123/', user: 'other_user', password: 'xyzzy <&> "ClickHouse"' },
  redis: { port: 16380, password: 'xyzzy-"Re\\dis"' },
}

/** Returns the addresses of the host's listening TCP sockets by port, from the kernel's tables. */
function listening(): Map<number, string[]> {
  const sockets = new Map<number, string[]>()
  for (const [file, loopback] of [
    ['/proc/net/tcp', '0100007F'],
    ['/proc/net/tcp6', '00000000000000000000000001000000'],
  ] as const) {
    for (const line of readFileSync(file, 'utf8').split('\n').slice(1)) {
      const [, local = '', , state] = line.trim().split(/\s+/)
      const [address = '', port = ''] = local.split(':')
      if (state !== '0A') continue
      const number = Number.parseInt(port, 16)
      sockets.set(number, [...(sockets.get(number) ?? []), address === loopback ? 'loopback' : 'beyond'])
    }
  }
  return sockets
}

/** Returns the ports that the containers publish, as the engine reports them. */
async function published(): Promise<string[]> {
  const lines = await Promise.all(SERVICES.map((service) => docker('port', containerOf(service))))
  return lines
    .join('')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' -> ')[1] ?? '')
    .sort()
}

test('nothing listens on addresses other than 127.0.0.1 by default', async (note) => {
  writeEnv()
  await up()
  const expected = DEFAULT_PORTS.map((port) => `127.0.0.1:${port}`).sort()
  assert.equal(await published(), expected)
  const sockets = listening()
  for (const port of DEFAULT_PORTS) assert.equal(sockets.get(port), ['loopback'], String(port))
  note(expected.join(' '))
})

test('no process of the stack runs as root or can gain privileges', async () => {
  for (const service of SERVICES) {
    const container = containerOf(service)
    const look = async () => (await docker('top', container, '-eo', 'pid,uid,args')).trim().split('\n').slice(1)
    const first = await look()
    // Processes of a health check, which run as root if the image sets no other user, have exited within a second.
    await delay(1_000)
    const serving = (await look()).filter((line) => first.includes(line))
    assert.ok(serving.length > 0, service)
    for (const line of serving) assert.is.not(line.trim().split(/\s+/)[1], '0', `${service}: ${line}`)
    assert.equal((await inspect(service)).HostConfig.SecurityOpt, ['no-new-privileges=true'], service)
    const status = await output(['docker', 'exec', container, 'sh', '-c', 'grep NoNewPrivs /proc/1/status'])
    assert.match(status, /1$/m, service)
  }
})

test('the stack works with every port, credential and size changed', async (note) => {
  await compose('down', '-v')
  writeEnv(CHANGED)
  note(`healthy after ${(await up()).toFixed(1)} s`)
  await prepare(ACCESS)
  const acknowledged = await writeSome(20, ACCESS)
  const found = await readAll(ACCESS)
  for (const store of STORES)
    assert.ok(
      acknowledged[store].every((id) => found[store].has(id)),
      store,
    )
})

test('ClickHouse users have the privileges of clickhouse/users.d/grants.xml, and web pages of other sites have none', async () => {
  const ask = async (sql: string, user: string, password: string, headers: Record<string, string> = {}) => {
    const login = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    const options = { method: 'POST', headers: { Authorization: login, ...headers }, body: sql }
    const response = await fetch(ACCESS.clickhouse.url, options)
    const text = await response.text()
    return response.ok ? text.trim() : (/Code: (\d+)/.exec(text)?.[1] ?? String(response.status))
  }
  const owner = (sql: string, headers?: Record<string, string>) =>
    ask(sql, ACCESS.clickhouse.user, ACCESS.clickhouse.password, headers)
  const reader = (sql: string) => ask(sql, 'other_reader', 'xyzzy <&> "read"')
  const refused = [
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:8123/', 'LineAsString', 'a String')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    'CREATE DATABASE other',
    'CREATE TABLE t (a Int8) ENGINE = Executable(TSV)',
    'CREATE DATABASE other_market_data_files ENGINE = Filesystem',
    "CREATE DICTIONARY d (a String) PRIMARY KEY a SOURCE(HTTP(url 'http://127.0.0.1/' format 'TSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
    'SYSTEM SHUTDOWN',
    'CREATE USER made',
  ]
  for (const sql of refused) assert.is(await owner(sql), '497', sql)
  assert.is(await owner('CREATE TABLE made (a Int8) ENGINE = MergeTree ORDER BY a'), '')
  assert.is(await reader('SELECT count() FROM made'), '0')
  assert.is(await reader('SELECT count() FROM system.one'), '1')
  for (const sql of ['INSERT INTO made VALUES (1)', 'DROP TABLE made', ...refused.slice(0, 3)])
    assert.is(await reader(sql), '497', sql)
  assert.is(await owner('DROP TABLE made'), '')
  assert.is(await owner('SELECT 1', { Origin: 'http://evil.example' }), '403')
  assert.is(await owner('SELECT 1', { Origin: 'http://127.0.0.1:18123' }), '1')
})

test('BIND_ADDRESS changes the address on which ports are published', async () => {
  assert.equal(await published(), [
    '0.0.0.0:12181',
    '0.0.0.0:16380',
    '0.0.0.0:18080',
    '0.0.0.0:18123',
    '0.0.0.0:19000',
    '0.0.0.0:19092',
  ])
  const sockets = listening()
  for (const port of DEFAULT_PORTS) assert.is(sockets.get(port), undefined, `${port} is free`)
  for (const port of [12181, 19092, 18123]) assert.equal(sockets.get(port), ['beyond'])
})

test('no command line contains a password, in `docker inspect` or `ps`, even during health checks', async (note) => {
  for (const service of SERVICES) {
    const { Path, Args, Config } = await inspect(service)
    assert.not.match(JSON.stringify([Path, Args, Config.Cmd, Config.Entrypoint, Config.Healthcheck]), SECRET, service)
  }
  let seen = 0
  // Covers several rounds of every health check, which run every 3 to 5 s.
  for (const end = Date.now() + 11_000; Date.now() < end; await delay(20)) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      let commandLine = ''
      try {
        commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        // The process exited between listing and reading.
      }
      seen++
      assert.not.match(commandLine, SECRET)
    }
  }
  assert.ok(seen > 1000)
  note(`${seen} command lines read in 11 s`)
})

test('no log contains a password', async () => {
  for (const service of SERVICES) assert.not.match(await docker('logs', containerOf(service)), SECRET, service)
})

test('Redis refuses clients without a password, and the health check sends it', async () => {
  const answer = await output(['docker', 'exec', containerOf('redis'), 'redis-cli', '-h', '127.0.0.1', 'ping'])
  assert.match(answer, 'NOAUTH')
  assert.match(
    await output([
      'docker',
      'exec',
      containerOf('redis'),
      'sh',
      '-c',
      'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli config get maxmemory',
    ]),
    '536870912',
  )
})

run()
