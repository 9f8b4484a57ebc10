import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { networkCause } from '../../scripts/lib/common/tcp.mts'
import { openCluster, openKafkajs, splitAddress } from '../../scripts/lib/kafka/cluster.mts'
import { Reader, Writer } from '../../scripts/lib/kafka/codec.mts'
import { listOffsets } from '../../scripts/lib/kafka/offset-requests.mts'
import { createTopics, describeTopicConfigs } from '../../scripts/lib/kafka/topic-requests.mts'

const codec = suite('Writer and Reader')

for (const flexible of [false, true]) {
  codec(`give back what was written, ${flexible ? 'flexible' : 'fixed'} versions`, () => {
    const long = 'x'.repeat(300)
    const to = new Writer(flexible)
    to.int(1, -1)
      .int(2, -32_768)
      .int(4, 2_147_483_647)
      .int64(9_007_199_254_740_991)
      .int64(-3)
      .bool(true)
      .string('Ä €')
      .string('')
      .string(null)
      .string(long)
      .array([1, 2, 3], (each) => to.int(4, each))
      .array([], () => {})
      .array(null, () => {})
      .end()
      .int(1, 42)
    const from = new Reader(to.bytes(), flexible)
    assert.equal(
      [from.int(1), from.int(2), from.int(4), from.int64(), from.int64(), from.bool()],
      [-1, -32_768, 2_147_483_647, 9_007_199_254_740_991, -3, true],
    )
    assert.equal([from.string(), from.string(), from.string(), from.string()], ['Ä €', '', null, long])
    assert.equal([from.array(() => from.int(4)), from.array(() => 0), from.array(() => 0)], [[1, 2, 3], [], []])
    from.end()
    assert.is(from.int(1), 42)
    assert.throws(() => from.int(1), RangeError)
  })
}

codec('passes over tagged fields that it does not know', () => {
  // Two fields: tag 1 with 2 bytes, tag 200 with none.
  const from = new Reader(Buffer.from([2, 1, 2, 0xff, 0xff, 0xc8, 1, 0, 7]), true)
  from.end()
  assert.is(from.int(1), 7)
})

codec('writes the bytes of the protocol’s own description', () => {
  const fixed = new Writer(false)
  describeTopicConfigs(['ab']).write(fixed)
  assert.is(fixed.bytes().toString('hex'), '00000001' + '02' + '0002' + '6162' + 'ffffffff' + '00')
  const created = new Writer(false)
  createTopics([{ name: 'a', partitions: 2, replication: 1, config: { k: 'v' } }], {
    validateOnly: true,
    timeoutMs: 5,
  }).write(created)
  assert.is(
    created.bytes().toString('hex'),
    '00000001' + '000161' + '00000002' + '0001' + '00000000' + '00000001' + '00016b' + '000176' + '00000005' + '01',
  )
  const flexible = new Writer(true)
  listOffsets('newest', [{ name: 'a', partitions: [5] }]).write(flexible)
  const partition = '00000005' + 'ffffffff' + 'fffffffffffffffd' + '00'
  assert.is(flexible.bytes().toString('hex'), `ffffffff0002026102${partition}0000`)
})

codec.run()

const reaches = suite('openCluster')

/** What opening a cluster fails with, at a server of another kind. */
async function failureAt(server: Server, timeoutMs: number): Promise<{ message: string; exitCode: number }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    const cluster = await openCluster({ KAFKA_BOOTSTRAP_SERVERS: [address] }, { timeoutMs })
    cluster.close()
    return { message: 'opened', exitCode: 0 }
  } catch (error) {
    const { message, exitCode } = error as { message: string; exitCode: number }
    return { message: message.replace(address, 'HERE'), exitCode }
  } finally {
    server.close()
  }
}

const EXPECTED = 'expected a Kafka broker that answers within'

reaches('names a server that is no Kafka broker', async () => {
  const greeter = createServer((socket) => void socket.on('error', () => {}).write('220 mail.example ESMTP ready\r\n'))
  const { message, exitCode } = await failureAt(greeter, 2_000)
  assert.equal([message, exitCode], [`kafka HERE: found an answer that is not Kafka’s protocol, ${EXPECTED} 2 s`, 3])
  const web = createHttpServer((_, response) => void response.end())
  assert.is((await failureAt(web, 2_000)).exitCode, 3)
})

reaches('names one that hangs up, and one that never answers', async () => {
  const rude = createServer((socket) => void socket.destroy())
  assert.match((await failureAt(rude, 2_000)).message, /found the connection was closed,/)
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket))
  assert.is((await failureAt(silent, 700)).message, `kafka HERE: found timed out, ${EXPECTED} 0.7 s`)
  for (const socket of sockets) socket.destroy()
})

reaches('names each address and its cause when there are several', async () => {
  const servers = ['127.0.0.1:1', 'no-such-host.invalid:9092']
  const told: string[] = []
  try {
    await openCluster({ KAFKA_BOOTSTRAP_SERVERS: servers }, { timeoutMs: 300, log: (line) => void told.push(line) })
    assert.unreachable()
  } catch (error) {
    const causes = '127.0.0.1:1: connection refused; no-such-host.invalid:9092: unknown host name'
    assert.ok(String(error).includes(`found ${causes}`), String(error))
    assert.equal(told, [`Waiting for Kafka at ${servers.join(', ')}: ${causes}`])
  }
})

reaches.run()

const clients = suite('openKafkajs')

clients('names the cause when no broker answers, and keeps to its deadline', async () => {
  const failure = async (address: string) => {
    const kafkajs = await openKafkajs({ KAFKA_BOOTSTRAP_SERVERS: [address] }, { timeoutMs: 700 })
    const error = await kafkajs.admin().then(
      () => new Error('connected'),
      (found: Error) => found,
    )
    await kafkajs.close()
    return error.message
  }
  assert.is(await failure('127.0.0.1:1'), `kafka 127.0.0.1:1: found connection refused, ${EXPECTED} 0.7 s`)
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`
  assert.match(await failure(address), /: found .+, expected a Kafka broker that answers within 0\.7 s$/)
  for (const socket of sockets) socket.destroy()
  silent.close()
})

clients('drops the warning about timers in the past, of Node.js from 23, and no other', async () => {
  await openKafkajs({ KAFKA_BOOTSTRAP_SERVERS: ['127.0.0.1:1'] }, { timeoutMs: 700 })
  const warned: string[] = []
  const note = ({ name, message }: Error) => void warned.push(`${name}: ${message}`)
  process.on('warning', note)
  process.emitWarning('-5 is a negative number', 'TimeoutNegativeWarning')
  process.emitWarning('this is a test', 'TestWarning')
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  assert.equal(warned, ['TestWarning: this is a test'])
})

clients.run()

const causes = suite('networkCause')

causes('looks for a known code in the error and in what caused it', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  assert.is(networkCause(new Error('outer', { cause: new Error('inner', { cause: refused }) })), 'connection refused')
  assert.is(networkCause(new AggregateError([refused])), 'connection refused')
  assert.is(networkCause(new Error('something else')), 'something else')
})

causes.run()

const splits = suite('splitAddress')

splits('takes names, IPv4 and IPv6 addresses', () => {
  const addresses = ['localhost:9092', '127.0.0.1:1', '[::1]:29092'].map(splitAddress)
  assert.equal(addresses, [
    { host: 'localhost', port: 9092 },
    { host: '127.0.0.1', port: 1 },
    { host: '::1', port: 29092 },
  ])
})

splits.run()
