/** The embedded services as other clients see them: who can log in, who cannot, and whether written data is still there after a restart. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { Redis } from 'ioredis'
import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { startEmbedded, stopEmbedded } from '../../scripts/lib/engines/embedded/stack.mts'
import { openCluster } from '../../scripts/lib/kafka/cluster.mts'
import { ALL } from '../support/embedded.mts'
import { applyInitFiles, KAFKA_MODE, startStack, type TestStack } from '../support/stack.mts'

// Everything that needs escaping in a shell, XML, an HTTP header, redis.conf or a URL.
const CLICKHOUSE_PASSWORD = ` c"l'i\\c<k>&amp;$HOME%20:#[]{}ö€ `
const REDIS_PASSWORD = `r"e'd\\i<s>&$HOME%:#[]{}ö€`
const CLICKHOUSE_DB = 'market_of_the_test'

let stack: TestStack
let clickhouse: ClickHouseClient

const clickhouseAs = (username: string, password: string, database = CLICKHOUSE_DB) =>
  createClient({
    url: `http://127.0.0.1:${stack.settings.CLICKHOUSE_HTTP_PORT}`,
    username,
    password,
    database,
    log: { level: ClickHouseLogLevel.OFF },
    // The server waits for open connections when it stops.
    keep_alive: { enabled: false },
  })

/** Returns `done`, or ClickHouse's error code. */
async function attempt(client: ClickHouseClient, query: string): Promise<string> {
  try {
    await client.command({ query })
    return 'done'
  } catch (error) {
    return (error as { code: string }).code
  }
}

async function rows(client: ClickHouseClient, query: string): Promise<unknown[]> {
  return (await client.query({ query, format: 'JSONEachRow' })).json()
}

/** Returns what is received on a raw connection until it is `enough` bytes or the connection is closed. */
function raw(port: number, request: string | Buffer, enough: number, host = '127.0.0.1'): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const socket = connect({ host, port }, () => socket.write(request))
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer in 10 s')))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length >= enough) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(received))
  })
}

/** Returns the first packet of a native ClickHouse client. @see https://clickhouse.com/docs/native-protocol/client */
function hello(user: string, password: string, database = ''): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([Buffer.byteLength(value)]), Buffer.from(value)])
  // Hello, name, version 1.1, revision 54000 as a variable-length integer, database, user, password.
  const revision = Buffer.from([0xf0, 0xa5, 0x03])
  const version = Buffer.concat([Buffer.from([1, 1]), revision])
  return Buffer.concat([Buffer.from([0]), text('test'), version, text(database), text(user), text(password)])
}

const PORTS = [
  ...(KAFKA_MODE === 'zookeeper' ? (['ZOOKEEPER_CLIENT_PORT'] as const) : (['KAFKA_CONTROLLER_PORT'] as const)),
  'KAFKA_LISTENER_PORT',
  'KAFKA_INTERNAL_PORT',
  'CLICKHOUSE_HTTP_PORT',
  'CLICKHOUSE_TCP_PORT',
  'REDIS_PORT',
] as const

const redisAs = (password?: string) =>
  new Redis({ port: stack.settings.REDIS_PORT, ...(password === undefined ? {} : { password }), lazyConnect: true })

/** Returns Redis's answer to PING, or the first word of its error. */
async function ping(password?: string): Promise<string> {
  const redis = redisAs(password)
  let refusal = ''
  redis.on('error', (error) => {
    refusal = error.message.split(' ')[0] ?? ''
  })
  try {
    return await redis.ping()
  } catch (error) {
    return (error as Error).message.split(' ')[0] || refusal
  } finally {
    redis.disconnect()
  }
}

const kafka = () =>
  new kafkajs.Kafka({
    brokers: [`127.0.0.1:${stack.settings.KAFKA_LISTENER_PORT}`],
    logLevel: kafkajs.logLevel.NOTHING,
  })

/** Reads all records of a topic, as a new group. */
async function consume(topic: string, groupId: string, count: number): Promise<string[]> {
  // It stops only after its last fetch is answered, so make fetches short.
  const consumer = kafka().consumer({ groupId, maxWaitTimeInMs: 100 })
  const values: string[] = []
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${values.length} of ${count} records in 30 s`)), 30_000)
      const eachMessage = async ({ message }: { message: { value: Buffer | null } }) => {
        values.push(String(message.value))
        if (values.length < count) return
        clearTimeout(timer)
        resolve()
      }
      consumer.run({ eachMessage }).catch(reject)
    })
    return values
  } finally {
    await consumer.disconnect()
  }
}

/** Lists all files below a folder. */
function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .map((name) => path.join(folder, name))
    .flatMap((file) => (statSync(file).isDirectory() ? filesIn(file) : [file]))
}

const services = suite('embedded services')

services.before(async () => {
  stack = await startStack(undefined, { CLICKHOUSE_PASSWORD, REDIS_PASSWORD, CLICKHOUSE_DB })
  clickhouse = clickhouseAs('l2_user', CLICKHOUSE_PASSWORD, 'default')
})

services.after(async () => {
  await clickhouse.close()
  await stack.stop()
})

services('listen on BIND_ADDRESS only', async () => {
  for (const port of PORTS) {
    // 127.0.0.2 is this machine too. A service that listens on all addresses would answer there.
    const refused = await raw(stack.settings[port], '', 1, '127.0.0.2').catch((error) => error.code)
    assert.is(refused, 'ECONNREFUSED', port)
  }
})

const ofZookeeper = KAFKA_MODE === 'zookeeper' ? services : services.skip
ofZookeeper('ZooKeeper answers four-letter words, Kafka has registered with it', async () => {
  assert.is(String(await raw(stack.settings.ZOOKEEPER_CLIENT_PORT, 'ruok', 4)), 'imok')
  assert.match(String(await raw(stack.settings.ZOOKEEPER_CLIENT_PORT, 'mntr', 1e6)), /zk_ephemerals_count\t[1-9]/)
})

services('Kafka stores a record and returns it, on both listeners', async () => {
  const admin = kafka().admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'a', numPartitions: 1 }], waitForLeaders: true })
  const { brokers } = await admin.describeCluster()
  await admin.disconnect()
  assert.equal(brokers, [{ nodeId: 1, host: '127.0.0.1', port: stack.settings.KAFKA_LISTENER_PORT }])
  const producer = kafka().producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic: 'a', acks: -1, messages: [{ value: 'one' }, { value: 'two' }] })
  await producer.disconnect()
  assert.equal(await consume('a', 'before', 2), ['one', 'two'])
  const internal = new kafkajs.Kafka({ brokers: [`127.0.0.1:${stack.settings.KAFKA_INTERNAL_PORT}`] }).admin()
  await internal.connect()
  assert.equal((await internal.describeCluster()).brokers[0]?.port, stack.settings.KAFKA_INTERNAL_PORT)
  await internal.disconnect()
})

services('Kafka creates no topic on request of a client', async () => {
  const client = kafka()
  const producer = client.producer({ retry: { retries: 0 }, allowAutoTopicCreation: true })
  await producer.connect()
  const sent = await producer.send({ topic: 'nobody-made-it', messages: [{ value: 'x' }] }).catch(() => 'refused')
  await producer.disconnect()
  assert.is(sent, 'refused')
  const admin = client.admin()
  await admin.connect()
  assert.not.ok((await admin.listTopics()).includes('nobody-made-it'))
  await admin.disconnect()
})

services('ClickHouse serves its web page and the native protocol', async () => {
  const play = await fetch(`http://127.0.0.1:${stack.settings.CLICKHOUSE_HTTP_PORT}/play`)
  assert.is(play.status, 200)
  assert.match(await play.text(), /<html[\s\S]*ClickHouse/)
  const answer = await raw(stack.settings.CLICKHOUSE_TCP_PORT, hello('l2_user', CLICKHOUSE_PASSWORD), 12)
  assert.is(answer.subarray(0, 12).toString('latin1'), '\u0000\u000aClickHouse')
})

services('ClickHouse refuses a wrong password, an unknown user and no password, over HTTP and natively', async () => {
  for (const [user, password] of [
    ['l2_user', CLICKHOUSE_PASSWORD.trim()],
    ['l2_user', ''],
    ['nobody', CLICKHOUSE_PASSWORD],
  ] as const) {
    const client = clickhouseAs(user, password, 'default')
    assert.is(await attempt(client, 'SELECT 1'), '516', user)
    await client.close()
    // Packet 2 is an exception, followed by its code.
    const answer = await raw(stack.settings.CLICKHOUSE_TCP_PORT, hello(user, password), 5)
    assert.equal([answer[0], answer.readInt32LE(1)], [2, 516], user)
  }
})

services('the init files create the four tables in CLICKHOUSE_DB, and run twice without harm', async () => {
  const tables = async () => {
    const names = await rows(clickhouse, `SELECT name FROM system.tables WHERE database = '${CLICKHOUSE_DB}'`)
    return (names as { name: string }[]).map(({ name }) => name).sort()
  }
  await applyInitFiles(stack.settings)
  const made = await tables()
  const four = ['market_l1', 'market_l2', 'market_metrics', 'market_ticks']
  assert.equal(
    made.filter((name) => four.includes(name)),
    four,
  )
  const values = [{ symbol: 'AAPL', timestamp: '2026-11-02T14:30:00.123456', price: '12.3', size: 100 }]
  await clickhouse.insert({ table: `${CLICKHOUSE_DB}.market_ticks`, values, format: 'JSONEachRow' })
  await applyInitFiles(stack.settings)
  assert.equal(await tables(), made)
  assert.equal(await rows(clickhouse, `SELECT symbol, toString(price) AS price FROM ${CLICKHOUSE_DB}.market_ticks`), [
    { symbol: 'AAPL', price: '12.3' },
  ])
})

services('ClickHouse survives clients that vanish, send garbage or name an unknown database', async () => {
  const http = stack.settings.CLICKHOUSE_HTTP_PORT
  const login = Buffer.from(`l2_user:${CLICKHOUSE_PASSWORD}`).toString('base64')
  const query = encodeURIComponent('SELECT number FROM numbers(100000000)')
  const request = `GET /?query=${query} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${login}\r\n\r\n`
  const vanish = (port: number, first: string | Buffer) =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(first))
      // Aborted in the middle of the answer, not closed.
      socket.once('data', () => socket.resetAndDestroy())
      socket.on('error', reject)
      socket.on('close', () => resolve())
    })
  await Promise.all(Array.from({ length: 20 }, () => vanish(http, request)))
  await Promise.all(
    Array.from({ length: 5 }, () => vanish(stack.settings.CLICKHOUSE_TCP_PORT, hello('l2_user', CLICKHOUSE_PASSWORD))),
  )
  await raw(stack.settings.CLICKHOUSE_TCP_PORT, request, 1)
  await raw(stack.settings.CLICKHOUSE_TCP_PORT, hello('l2_user', CLICKHOUSE_PASSWORD, 'no_such_database'), 1)
  const client = clickhouseAs('l2_user', CLICKHOUSE_PASSWORD)
  assert.is(await attempt(client, 'SELECT 1'), 'done')
  await client.close()
})

services('l2_user can do everything in its database and nothing with access rights', async () => {
  const user = clickhouseAs('l2_user', CLICKHOUSE_PASSWORD)
  const allowed = [
    'CREATE TABLE made (a UInt8) ENGINE = MergeTree ORDER BY a',
    'INSERT INTO made VALUES (1)',
    'ALTER TABLE made ADD COLUMN b UInt8',
    'CREATE VIEW seen AS SELECT a FROM made',
    'OPTIMIZE TABLE made FINAL',
    'TRUNCATE TABLE made',
    'DROP TABLE seen',
    'DROP TABLE made',
  ]
  for (const query of allowed) assert.is(await attempt(user, query), 'done', query)
  const refused = [
    "CREATE USER made IDENTIFIED BY 'x'",
    "ALTER USER default IDENTIFIED BY 'x'",
    'DROP USER default',
    'CREATE ROLE made',
    'GRANT SELECT ON *.* TO default',
    'CREATE ROW POLICY made ON market_ticks USING 1 TO ALL',
    'CREATE QUOTA made',
    'CREATE SETTINGS PROFILE made',
  ]
  for (const query of refused) assert.is(await attempt(user, query), '497', query)
  await user.close()
})

services('Redis requires REDIS_PASSWORD and runs as redis.conf and .env say', async () => {
  assert.is(await ping(REDIS_PASSWORD), 'PONG')
  assert.is(await ping(), 'NOAUTH')
  assert.is(await ping(`${REDIS_PASSWORD}x`), 'WRONGPASS')
  const redis = redisAs(REDIS_PASSWORD)
  const set = async (key: string) => ((await redis.config('GET', key)) as string[])[1]
  assert.is(await set('maxmemory'), String(2 * 1024 ** 3))
  assert.is(await set('maxmemory-policy'), 'allkeys-lru')
  assert.is(await set('appendonly'), 'yes')
  assert.is(await set('appendfsync'), 'everysec')
  assert.is(await set('save'), '')
  redis.disconnect()
})

services('no command line, log or file of the run folder contains a password', () => {
  const commandLines = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [{ where: pid, text: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }]
      } catch {
        // The process has exited since the list was made.
        return []
      }
    })
  const folder = stack.settings.EMBEDDED_DATA_DIR
  const files = ['run', 'logs'].flatMap((part) => filesIn(path.join(folder, part)))
  const texts = [...commandLines, ...files.map((where) => ({ where, text: readFileSync(where, 'latin1') }))]
  assert.ok(
    commandLines.some(({ text }) => text.includes(`127.0.0.1:${stack.settings.REDIS_PORT}`)),
    'Redis is looked at',
  )
  assert.ok(files.length > 8, `${files.length} files looked at`)
  // The beginning too, which no escaping changes.
  for (const secret of [CLICKHOUSE_PASSWORD, REDIS_PASSWORD, 'c"l\'', 'r"e\'']) {
    const holders = texts.filter(({ text }) => text.includes(secret)).map(({ where }) => where)
    assert.equal(holders, [], secret)
  }
})

services('rows, records, offsets and keys survive a stop and a start', async () => {
  const redis = redisAs(REDIS_PASSWORD)
  await redis.set('l2:test', 'kept')
  redis.disconnect()
  const before = await rows(clickhouse, `SELECT * FROM ${CLICKHOUSE_DB}.market_ticks`)
  const stopped = await stopEmbedded(stack.settings.EMBEDDED_DATA_DIR)
  assert.equal(new Map(stopped.map(({ name, how }) => [name, how])), new Map(ALL.map((name) => [name, 'stopped'])))
  for (const port of PORTS) {
    assert.is(await raw(stack.settings[port], '', 1).catch((error) => error.code), 'ECONNREFUSED', port)
  }
  await startEmbedded(stack.settings, await install(stack.settings.KAFKA_MODE, () => {}), () => {})
  assert.equal(await rows(clickhouse, `SELECT * FROM ${CLICKHOUSE_DB}.market_ticks`), before)
  assert.is(before.length, 1)
  const again = redisAs(REDIS_PASSWORD)
  assert.is(await again.get('l2:test'), 'kept')
  again.disconnect()
  // For its first moments, a broker answers that the topic does not exist.
  const cluster = await openCluster(stack.settings, { timeoutMs: 30_000 })
  cluster.close()
  assert.equal(await consume('a', 'after', 2), ['one', 'two'])
  const admin = kafka().admin()
  await admin.connect()
  assert.equal(await admin.fetchOffsets({ groupId: 'before', topics: ['a'] }), [
    { topic: 'a', partitions: [{ partition: 0, offset: '2', metadata: null }] },
  ])
  await admin.disconnect()
})

services.run()
