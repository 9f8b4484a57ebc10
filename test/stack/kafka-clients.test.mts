/** How openKafkajs closes a client that it abandons, and reads large answers. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { sharedStack } from '../support/stack.mts'

const client = suite('openKafkajs')

client('a client that connects after its deadline keeps no connection open', async () => {
  const stack = await sharedStack()
  const seen: Socket[] = []
  // A proxy that delays answers on the first connection until it is too late. If kafkajs connects again, it delays nothing.
  const proxy = createServer((socket) => {
    const lateMs = seen.length === 0 ? 600 : 0
    seen.push(socket)
    const broker = connect(stack.settings.KAFKA_LISTENER_PORT, '127.0.0.1')
    socket.pipe(broker)
    broker.on('data', (answer) => setTimeout(() => socket.destroyed || socket.write(answer), lateMs))
    for (const event of ['error', 'close']) socket.on(event, () => broker.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const { port } = proxy.address() as AddressInfo
  const clients = await openKafkajs({ KAFKA_BOOTSTRAP_SERVERS: [`127.0.0.1:${port}`] }, { timeoutMs: 400 })
  const outcome = await clients.admin().then(
    () => 'connected',
    () => 'abandoned',
  )
  await clients.close()
  // Leaves time for a late connection.
  await delay(1_500)
  const open = () => seen.filter((socket) => !socket.destroyed).length
  const ended = await waitUntil(async () => open() === 0, { timeoutMs: 5_000, pollMs: 50 })
  for (const socket of seen) socket.destroy()
  proxy.close()
  await stack.stop()
  assert.equal([outcome, ended], ['abandoned', true])
})

client('a consumer reads a first answer as large as fetches become', async () => {
  const stack = await sharedStack()
  const topic = `large-${process.pid}`
  const clients = await openKafkajs(stack.settings, { timeoutMs: 20_000 })
  try {
    const partitions = [0, 1, 2, 3, 4]
    await (await clients.admin()).createTopics({ topics: [{ topic, numPartitions: partitions.length }] })
    const producer = await clients.producer()
    for (const partition of partitions)
      await producer.send({ topic, messages: [{ partition, value: Buffer.alloc(900_000, 'x') }] })
    const consumer = await clients.consumer({ groupId: topic })
    const seen = new Set<number>()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({ eachMessage: async ({ partition }) => void seen.add(partition) })
    await waitUntil(async () => seen.size === partitions.length, { timeoutMs: 20_000, pollMs: 50 })
    assert.equal([...seen].sort(), partitions)
  } finally {
    await clients.close()
    const cleaning = await openKafkajs(stack.settings, { timeoutMs: 20_000 })
    await (await cleaning.admin()).deleteTopics({ topics: [topic] })
    await cleaning.close()
    await stack.stop()
  }
})

client.run()
