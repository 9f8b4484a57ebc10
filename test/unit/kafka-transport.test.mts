import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { createServer, type Socket } from 'node:net'
import Decoder from 'kafkajs/src/protocol/decoder.js'
import Encoder from 'kafkajs/src/protocol/encoder.js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { networkCause, splitAddress } from '../../scripts/lib/common/tcp.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { openCluster } from '../../scripts/lib/kafka/cluster.mts'
import { errorName } from '../../scripts/lib/kafka/cluster-requests.mts'
import { formatTime, listOffsets } from '../../scripts/lib/kafka/offsets.mts'
import { createTopics, describeTopicConfigs } from '../../scripts/lib/kafka/topic-requests.mts'
import {
  boundedDecoder,
  connectWire,
  type Request,
  readStructures,
  skipTags,
} from '../../scripts/lib/kafka/transport.mts'

const codec = suite('requests')

codec('names errors as Kafka does, even if kafkajs has an older name', () => {
  assert.equal([-1, 0, 3, 6, 36, 69, 86, 89, 12_345].map(errorName), [
    'UNKNOWN_SERVER_ERROR',
    'NONE',
    'UNKNOWN_TOPIC_OR_PARTITION',
    'NOT_LEADER_OR_FOLLOWER',
    'TOPIC_ALREADY_EXISTS',
    'GROUP_ID_NOT_FOUND',
    'GROUP_SUBSCRIBED_TO_TOPIC',
    'THROTTLING_QUOTA_EXCEEDED',
    'ERROR_12345',
  ])
})

codec('skips unknown tagged fields', () => {
  // Two fields: tag 1 with 2 bytes, tag 200 with none.
  const from = new Decoder(Buffer.from([2, 1, 2, 0xff, 0xff, 0xc8, 1, 0, 7]))
  skipTags(from)
  assert.is(from.readInt8(), 7)
  // Two structures of one byte, the first with a tagged field, and a null array.
  const structures = new Decoder(Buffer.from([3, 5, 1, 0, 2, 0xff, 0xff, 6, 0, 0]))
  assert.equal(
    readStructures(structures, () => structures.readInt8()),
    [5, 6],
  )
  assert.equal(
    readStructures(structures, () => structures.readInt8()),
    [],
  )
})

codec('reads nothing beyond the end of an answer, and never goes back', () => {
  const Bounded = boundedDecoder(Decoder)
  const decoder = (...bytes: number[]) => new Bounded(Buffer.from(bytes))
  const tooLong = /a response of unexpected length/
  // 4 billion tagged fields or items, and a field, a string and bytes longer than the rest of the response.
  const many = [0xff, 0xff, 0xff, 0xff, 0x0f, 0]
  assert.throws(() => skipTags(decoder(...many)), tooLong)
  const structures = decoder(...many)
  assert.throws(() => readStructures(structures, () => structures.readUVarInt()))
  assert.throws(() => skipTags(decoder(1, 0, 9, 0)), tooLong)
  assert.throws(() => decoder(9, 0x61).readUVarIntString(), tooLong)
  assert.throws(() => decoder(0, 0, 0, 9, 0x61).readBytes(), tooLong)
  assert.throws(() => decoder(0xff, 0xf0, 0x61).readString(), tooLong)
  const part = decoder(2, 0x61, 7).slice(2)
  assert.is(part.readUVarIntString(), 'a')
  assert.throws(() => part.readUVarInt(), tooLong)
})

const written = ({ write }: Request<unknown>): string => {
  const to = new Encoder()
  write(to)
  return to.buffer.toString('hex')
}

codec('writes the bytes of the protocol’s own description', () => {
  assert.is(written(describeTopicConfigs(['ab'])), '00000001' + '02' + '0002' + '6162' + 'ffffffff' + '00')
  const topics = [{ name: 'a', partitions: 2, replication: 1, config: { k: 'v' } }]
  assert.is(
    written(createTopics(topics, { validateOnly: true })),
    '00000001' + '000161' + '00000002' + '0001' + '00000000' + '00000001' + '00016b' + '000176' + '00001388' + '01',
  )
  const partition = '00000005' + 'ffffffff' + 'fffffffffffffffd' + '00'
  assert.is(written(listOffsets('newest', [{ name: 'a', partitions: [5] }])), `ffffffff0002026102${partition}0000`)
})

codec('shows every possible record time', () => {
  const times = [0, 1_764_363_600_123, -62_135_596_800_000, 1_764_363_600_123_456, 1.7643636001234568e18]
  assert.equal(times.map(formatTime), [
    '1970-01-01T00:00:00.000Z',
    '2025-11-28T21:00:00.123Z',
    '0001-01-01T00:00:00.000Z',
    '+057880-06-16T00:02:03.456Z',
    '1764363600123456800 ms since 1970',
  ])
})

codec.run()

const reaches = suite('openCluster')

/** Returns the error of opening a cluster at a server of another kind. */
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

/** Returns the text of a finding about HERE. */
const silence = (within: string, cause: string) => `kafka: no answer from HERE within ${within} (${cause})`

reaches('reports a server that is not a Kafka broker', async () => {
  const greeter = createServer((socket) => void socket.on('error', () => {}).write('220 mail.example ESMTP ready\r\n'))
  const web = createHttpServer((_, response) => void response.end())
  const refused = { message: silence('2 s', 'not a Kafka response'), exitCode: 3 }
  // Telnet's first bytes are a negative length, which kafkajs would accept. An empty answer has no correlation id.
  const others = ['fffd18fffd1f', '00000000', '00000004'].map((bytes) =>
    createServer((socket) => void socket.on('error', () => {}).write(Buffer.from(bytes, 'hex'))),
  )
  const [greeted, browsed, ...rest] = await Promise.all([greeter, web, ...others].map((each) => failureAt(each, 2_000)))
  assert.equal([greeted, browsed], [refused, refused])
  for (const { exitCode, message } of rest)
    assert.equal([exitCode, message.startsWith('kafka: no answer from HERE within 2 s (')], [3, true])
})

reaches('reports one that closes the connection, and one that never answers', async () => {
  const rude = createServer((socket) => void socket.destroy())
  assert.is((await failureAt(rude, 700)).message, silence('0.7 s', 'the connection was closed'))
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket))
  assert.is((await failureAt(silent, 700)).message, silence('0.7 s', 'timed out'))
  for (const socket of sockets) socket.destroy()
})

reaches('names each address and its cause if there are several', async () => {
  const servers = ['127.0.0.1:1', 'no-such-host.invalid:9092']
  const logged: string[] = []
  try {
    await openCluster({ KAFKA_BOOTSTRAP_SERVERS: servers }, { timeoutMs: 300, log: (line) => void logged.push(line) })
    assert.unreachable()
  } catch (error) {
    const causes = '127.0.0.1:1: connection refused; no-such-host.invalid:9092: unknown host name'
    assert.ok(String(error).includes(`(${causes})`), String(error))
    assert.equal(logged, [`Waiting for Kafka at ${servers.join(', ')}: ${causes}`])
  }
})

/** Returns a server that answers ApiVersions without any versions, and calls `later` for each further request. */
const halfBroker = (later: (socket: Socket) => void) =>
  createServer((socket) => {
    let asked = 0
    socket.on('error', () => {})
    socket.on('data', (request) => {
      if (asked++ > 0) return later(socket)
      const correlationId = request.subarray(8, 12)
      // Length, correlation id, no error, no versions, no throttling.
      const body = Buffer.concat([correlationId, Buffer.from('0000' + '00000000' + '00000000', 'hex')])
      socket.write(Buffer.concat([Buffer.from([0, 0, 0, body.length]), body]))
    })
  })

reaches('ends every request by its deadline, and leaves no socket open', async () => {
  for (const [later, code] of [
    [() => {}, 'ETIMEDOUT'],
    [(socket: Socket) => void socket.end(), 'ECONNRESET'],
    [(socket: Socket) => void socket.destroy(), 'ECONNRESET'],
  ] as const) {
    const sockets: Socket[] = []
    const server = halfBroker(later).on('connection', (socket) => sockets.push(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const wire = await connectWire({ host: '127.0.0.1', port }, { KAFKA_BOOTSTRAP_SERVERS: [] }, 500)
    const ask = () => wire.send(listOffsets('high', []), 500).then(String, (error) => error.code)
    // Two concurrent requests, and one after the connection was closed.
    assert.equal([...(await Promise.all([ask(), ask()])), await ask()], [code, code, code])
    await new Promise<void>((resolve) => server.close(() => resolve()))
    assert.equal(
      sockets.map(({ destroyed }) => destroyed),
      [true],
    )
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
  assert.is(await failure('127.0.0.1:1'), 'kafka: no answer from 127.0.0.1:1 within 0.7 s (connection refused)')
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`
  assert.match(await failure(address), /^kafka: no answer from [\d.:]+ within 0\.7 s \(.+\)$/)
  for (const socket of sockets) socket.destroy()
  silent.close()
})

clients('suppresses the warning about past timers of Node.js 23 and newer, and no other', async () => {
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

causes('finds a known code in the error and in its causes', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  assert.is(networkCause(new Error('outer', { cause: new Error('inner', { cause: refused }) })), 'connection refused')
  assert.is(networkCause(new AggregateError([refused])), 'connection refused')
  assert.is(networkCause(new Error('something else')), 'something else')
})

causes.run()

const splits = suite('splitAddress')

splits('accepts names, IPv4 and IPv6 addresses', () => {
  const addresses = ['localhost:9092', '127.0.0.1:1', '[::1]:29092'].map(splitAddress)
  assert.equal(addresses, [
    { host: 'localhost', port: 9092 },
    { host: '127.0.0.1', port: 1 },
    { host: '::1', port: 29092 },
  ])
})

splits.run()
