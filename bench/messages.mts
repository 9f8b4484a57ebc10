/** Compares tail-topic and consumer-groups with Kafka's console consumer and consumer groups tool. */
import path from 'node:path'
import { openKafkajs } from '../scripts/lib/kafka/clients.mts'
import { ROOT } from '../scripts/lib/settings/settings.mts'
import { startStack } from '../test/support/stack.mts'
import { openKafkaTools } from './kafka-tools.mts'
import { measure, type PartResult, runGood } from './measure.mts'

const ROUNDS = 5
const TOPIC = 'bench.messages'
const GROUP = 'bench_messages'
const PARTITIONS = 10
/** Messages per partition. */
const MESSAGES = 1_000

/** Times reading ten messages of a topic, and the lag of all groups, with our commands and with Kafka's. */
export async function benchMessages(log: (line: string) => void): Promise<PartResult> {
  const runTool = await openKafkaTools(log)
  const stack = await startStack(['zookeeper', 'kafka'])
  try {
    const server = stack.settings.KAFKA_BOOTSTRAP_SERVERS.join(',')
    const script = (name: string, args: string[]) => () => runGood(path.join(ROOT, 'scripts', name), args, stack)
    const clients = await openKafkajs(stack.settings, { timeoutMs: 30_000 })
    try {
      const admin = await clients.admin()
      const configEntries = [{ name: 'compression.type', value: 'lz4' }]
      const topics = [{ topic: TOPIC, numPartitions: PARTITIONS, replicationFactor: 1, configEntries }]
      await admin.createTopics({ topics, waitForLeaders: true })
      const producer = await clients.producer()
      const value = JSON.stringify({
        symbol: 'AAPL',
        timestamp: '2026-11-23T14:30:00Z',
        trade_price: 1.5,
        trade_size: 100,
      })
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const messages = Array.from({ length: MESSAGES }, () => ({ key: 'AAPL', value, partition }))
        await producer.send({ topic: TOPIC, acks: -1, messages })
      }
      await admin.setOffsets({
        groupId: GROUP,
        topic: TOPIC,
        partitions: Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, offset: '500' })),
      })
    } finally {
      await clients.close()
    }
    const tail = ['--topic', TOPIC, '--from-beginning', '--max-messages', '10']
    const measured = await measure(
      [
        { name: 'tail-topic, the last ten messages', run: script('tail-topic.mts', [TOPIC]) },
        {
          name: "Kafka's console consumer, the first ten messages",
          run: () => runTool('consumer.ConsoleConsumer', ['--bootstrap-server', server, ...tail]),
        },
        {
          name: 'consumer-groups, all groups, rates over 0.1 s',
          run: script('consumer-groups.mts', ['--interval', '0.1']),
        },
        {
          name: "Kafka's groups tool, all groups, without rates",
          run: () =>
            runTool('consumer.group.ConsumerGroupCommand', [
              '--bootstrap-server',
              server,
              '--describe',
              '--all-groups',
            ]),
        },
      ],
      ROUNDS,
      log,
    )
    const [ours = Number.NaN, consumer = Number.NaN, groups = Number.NaN, tool = Number.NaN] = measured.map(
      ({ medianMs }) => medianMs,
    )
    return {
      measured,
      ratios: [
        { name: "Kafka's console consumer ÷ tail-topic", value: consumer / ours, atLeast: 2.5 },
        { name: "Kafka's groups tool ÷ consumer-groups", value: tool / groups, atLeast: 2 },
      ],
    }
  } finally {
    await stack.stop()
  }
}
