/** Connected kafkajs clients: producers, consumers, and the admin client that tests use. */
import type { Admin, Consumer, ConsumerConfig, Producer, ProducerConfig } from 'kafkajs'
import { configError } from '../common/findings.mts'
import { inTime } from '../common/wait.mts'
import { unreachable } from './cluster.mts'
import { kafkaOptions, type Servers, trackedSockets, withCode } from './options.mts'
import { missingPermission } from './permissions.mts'

/** Creates connected clients; each throws exit code 3 if it cannot connect in time, 2 without permission. `close` disconnects all of them. */
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
 * Loads kafkajs and configures it for KAFKA_BOOTSTRAP_SERVERS. The import takes about 0.1 s, so nothing else imports kafkajs as a whole.
 * kafkajs logs nothing to the terminal; if a client cannot connect in time, the error names the last problem that kafkajs logged.
 * @param options.timeoutMs for connecting, and for each later response
 */
export async function openKafkajs(settings: Servers, { timeoutMs }: { timeoutMs: number }): Promise<KafkajsClients> {
  const { default: kafkajs } = await import('kafkajs')
  const sockets = trackedSockets()
  let lastLogged: string | undefined
  const kafka = new kafkajs.Kafka({
    ...kafkaOptions(settings),
    socketFactory: sockets.create,
    connectionTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: timeoutMs },
    logLevel: kafkajs.logLevel.ERROR,
    logCreator: () => (entry) => {
      lastLogged = String(entry.log.error ?? entry.log.message)
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
        throw configError([missingPermission(settings, { operation: 'IdempotentWrite', on: 'cluster', names: [] })])
      const timedOut = error instanceof Error && error.message === NO_ANSWER
      const cause = timedOut && lastLogged !== undefined ? new Error(lastLogged) : error
      throw unreachable(settings.KAFKA_BOOTSTRAP_SERVERS.join(','), cause, timeoutMs)
    }
  }
  return {
    admin: () => connected(kafka.admin()),
    // Maps keys to the same partitions as the Java and Python clients. Naming a partitioner also suppresses a kafkajs warning.
    producer: (config) =>
      connected(kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, ...config })),
    consumer: (config) => connected(kafka.consumer(config)),
    close: async () => {
      const disconnecting = Promise.allSettled(open.map((client) => client.disconnect()))
      // A client that is still connecting or waiting for a response would keep the process alive.
      await inTime(disconnecting, timeoutMs, '').catch(() => {})
      sockets.destroy(withCode('ECONNRESET', 'the connection was closed locally'))
    },
  }
}
