/** Changes and inspects a real Kafka. Inspects it with kafkajs, independently of the code under test. */
import { fileURLToPath } from 'node:url'
import type { Admin } from 'kafkajs'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { type KafkajsClients, openKafkajs } from '../../scripts/lib/kafka/clients.mts'
import { openCluster } from '../../scripts/lib/kafka/cluster.mts'
import { commitOffsets, findCoordinator } from '../../scripts/lib/kafka/group-requests.mts'
import type { Settings } from '../../scripts/lib/settings/settings.mts'
import { type Outcome, runScript } from './command.mts'

/** DescribeConfigs source of values that are set on the topic itself. */
const TOPIC_CONFIG = 1
const TIMEOUT_MS = 20_000

/** Opens a new connection for every call: once a kafkajs client has used a topic, all its requests fail after that topic is deleted. */
export class KafkaHelper {
  readonly #settings: Settings

  constructor(settings: Settings) {
    this.#settings = settings
  }

  async #using<T>(work: (clients: KafkajsClients, admin: Admin) => Promise<T>): Promise<T> {
    const clients = await openKafkajs(this.#settings, { timeoutMs: TIMEOUT_MS })
    try {
      return await work(clients, await clients.admin())
    } finally {
      await clients.close()
    }
  }

  /** Calls `work` with a kafkajs admin client. */
  admin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    return this.#using((_, admin) => work(admin))
  }

  /** Writes `count` records to each partition of a topic. */
  produce(topic: string, count: number): Promise<void> {
    return this.#using(async (clients, admin) => {
      const producer = await clients.producer()
      for (const partition of await partitionsOf(admin, topic)) {
        const messages = Array.from({ length: count }, (_, n) => ({ partition, key: 'AAPL', value: `record ${n}` }))
        await producer.send({ topic, messages, acks: -1 })
      }
    })
  }

  /** Commits `offset` for every partition of a topic, as a group without members. kafkajs would take 5 s for that. */
  async commit(groupId: string, topic: string, offset: number): Promise<void> {
    const partitions = await this.admin((admin) => partitionsOf(admin, topic))
    const cluster = await openCluster(this.#settings, { timeoutMs: TIMEOUT_MS })
    try {
      const committed = await waitUntil(
        async () => {
          const { brokerId, error } = await cluster.send(findCoordinator(groupId))
          if (error !== 'NONE') return false
          const offsets = partitions.map((partition) => ({ partition, offset }))
          return (await cluster.sendTo(brokerId, commitOffsets(groupId, [{ name: topic, offsets }]))) === 'NONE'
        },
        { timeoutMs: TIMEOUT_MS, pollMs: 50 },
      )
      if (!committed) throw new Error(`Cannot commit for ${groupId}: found no coordinator that takes it`)
    } finally {
      cluster.close()
    }
  }

  /** Returns the committed offsets of a group for a topic, by partition. Empty if nothing is committed. */
  committed(groupId: string, topic: string): Promise<number[]> {
    return this.admin(async (admin) => {
      const topics = await admin.fetchOffsets({ groupId })
      const partitions = topics.find((each) => each.topic === topic)?.partitions ?? []
      return partitions.map(({ offset }) => Number(offset)).filter((offset) => offset >= 0)
    })
  }

  /** Returns the high watermarks of a topic, by partition. */
  highWatermarks(topic: string): Promise<number[]> {
    return this.admin(async (admin) => {
      const offsets = await admin.fetchTopicOffsets(topic)
      return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high))
    })
  }

  /** Returns the configuration set on the topic itself, by key. */
  config(topic: string): Promise<Record<string, string>> {
    return this.admin(async (admin) => {
      const resources = [{ type: 2, name: topic }]
      const [described] = (await admin.describeConfigs({ resources, includeSynonyms: false })).resources
      const entries = (described?.configEntries ?? []).filter(
        ({ configSource }) => Number(configSource) === TOPIC_CONFIG,
      )
      return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]))
    })
  }

  /** Calls `work` while a consumer is in its group. Only for topics without records, because kafkajs cannot read lz4. */
  whileReading(groupId: string, topic: string, work: () => Promise<void>): Promise<void> {
    return this.#using(async (clients) => {
      const consumer = await clients.consumer({ groupId, heartbeatInterval: 500 })
      const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve))
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({ autoCommit: false, eachMessage: async () => {} })
      await joined
      await work()
    })
  }
}

async function partitionsOf(admin: Admin, topic: string): Promise<number[]> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  return (topics[0]?.partitions ?? []).map(({ partitionId }) => partitionId).sort((a, b) => a - b)
}

/** Returns an environment in which a command sends signals to itself. @see signal-at.mjs */
export function signalAt(env: NodeJS.ProcessEnv, ...moments: string[]): NodeJS.ProcessEnv {
  const hook = fileURLToPath(new URL('./signal-at.mjs', import.meta.url))
  return { ...env, NODE_OPTIONS: `${env.NODE_OPTIONS ?? ''} --import=${hook}`, L2_SIGNAL_AT: moments.join(',') }
}

/**
 * Runs a command until it stops itself (SIGSTOP) at `moment`, calls `meanwhile`, and then lets the command continue to its end or to
 * `later` moments.
 * @throws {Error} if the command exits before that moment
 */
export async function runAround(
  script: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  moment: string,
  meanwhile: () => Promise<void>,
  later: string[] = [],
): Promise<Outcome> {
  const stop = `${moment}:SIGSTOP`
  let stopped: (pid: number) => void = () => {}
  const stoppedAt = new Promise<number>((resolve) => {
    stopped = resolve
  })
  const ended = runScript(script, args, {
    env: signalAt(env, stop, ...later),
    watch: (stderr, pid) => {
      if (stderr.includes(`[at ${stop}]`)) stopped(pid)
    },
  })
  const pid = await Promise.race([stoppedAt, ended])
  if (typeof pid !== 'number') throw new Error(`Cannot stop at ${moment}: it ended before\n${pid.stderr}`)
  const resume = () => {
    try {
      process.kill(pid, 'SIGCONT')
    } catch {
      // ESRCH: the process has already exited.
    }
  }
  await meanwhile().finally(resume)
  // Repeats SIGCONT, because the command may stop only after it has reported the moment.
  const timer = setInterval(resume, 20)
  return ended.finally(() => clearInterval(timer))
}
