/** kafkajs as a whole, for producers, consumers and what its admin client does for tests. */
import type { Admin, Consumer, ConsumerConfig, Producer, ProducerConfig } from 'kafkajs'
import { configError } from '../common/findings.mts'
import { inTime } from '../common/wait.mts'
import { unreachable } from './cluster.mts'
import { kafkaOptions, ownSockets, type Servers, withCode } from './options.mts'
import { rightMistake } from './permissions.mts'

/** Connected clients of kafkajs; `close` ends all that were handed out. Each connects within the deadline or throws exit code 3. */
export interface KafkajsClients {
  admin: () => Promise<Admin>
  producer: (config?: ProducerConfig) => Promise<Producer>
  consumer: (config: ConsumerConfig) => Promise<Consumer>
  close: () => Promise<void>
}

const NO_ANSWER = 'timed out'

interface Client {
  connect: () => Promise<void>
  disconnect: () => Promise<void>
}

/**
 * kafkajs, imported only here and only when called for (it costs about 0.1 s), on KAFKA_BOOTSTRAP_SERVERS. Its log is kept off the
 * terminal; the last thing it complained of is named when a deadline passes.
 * @param options.timeoutMs to connect, and for each answer afterwards
 */
export async function openKafkajs(settings: Servers, { timeoutMs }: { timeoutMs: number }): Promise<KafkajsClients> {
  const { default: kafkajs } = await import('kafkajs')
  const sockets = ownSockets()
  let complaint: string | undefined
  const kafka = new kafkajs.Kafka({
    ...kafkaOptions(settings),
    socketFactory: sockets.create,
    connectionTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: timeoutMs },
    logLevel: kafkajs.logLevel.ERROR,
    logCreator: () => (entry) => {
      complaint = String(entry.log.error ?? entry.log.message)
    },
  })
  const open: Client[] = []
  const connected = async <C extends Client>(client: C): Promise<C> => {
    open.push(client)
    try {
      await inTime(client.connect(), timeoutMs, NO_ANSWER)
      return client
    } catch (error) {
      if ((error as { type?: unknown }).type === 'CLUSTER_AUTHORIZATION_FAILED')
        throw configError([rightMistake(settings, { operation: 'IdempotentWrite', on: 'cluster', names: [] })])
      const late = error instanceof Error && error.message === NO_ANSWER
      const cause = late && complaint !== undefined ? new Error(complaint) : error
      throw unreachable(settings.KAFKA_BOOTSTRAP_SERVERS.join(','), cause, timeoutMs)
    }
  }
  return {
    admin: () => connected(kafka.admin()),
    // The partitioner of the Java and Python clients, so that a key lands where they put it; naming one also keeps kafkajs's notice away.
    producer: (config) =>
      connected(kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, ...config })),
    consumer: (config) => connected(kafka.consumer(config)),
    close: async () => {
      const disconnecting = Promise.allSettled(open.map((client) => client.disconnect()))
      // A client that waits for an answer that never comes would keep the process alive, and so would one that still tries to connect.
      await inTime(disconnecting, timeoutMs, '').catch(() => {})
      sockets.destroy(withCode('ECONNRESET', 'this connection was closed here'))
    },
  }
}
