/** What tests do to and see in a real Kafka, independent of the code under test: through kafkajs alone. */
import { fileURLToPath } from 'node:url'
import type { Admin, Consumer } from 'kafkajs'
import { type KafkajsClients, openKafkajs } from '../../scripts/lib/kafka.mts'
import type { Settings } from '../../scripts/lib/settings.mts'
import { type Outcome, runScript } from './command.mts'

export interface KafkaHand {
  admin: Admin
  /** Writes `count` records to each partition of a topic. */
  produce: (topic: string, count: number) => Promise<void>
  /** Commits `offset` for every partition of a topic, as a group without members. */
  commit: (groupId: string, topic: string, offset: number) => Promise<void>
  /** What a group has committed for a topic, by partition; empty for nothing. */
  committed: (groupId: string, topic: string) => Promise<number[]>
  /** High watermarks of a topic by partition. */
  ends: (topic: string) => Promise<number[]>
  /** Configuration set on the topic itself, by key. */
  config: (topic: string) => Promise<Record<string, string>>
  /** A consumer that has joined its group and been given its partitions. */
  join: (groupId: string, topic: string) => Promise<Consumer>
  close: () => Promise<void>
}

/** DescribeConfigs' source of what is set on the topic itself. */
const OWN = 1

export async function kafkaHand(settings: Settings): Promise<KafkaHand> {
  const clients: KafkajsClients = await openKafkajs(settings, { timeoutMs: 20_000 })
  const [admin, producer] = await Promise.all([clients.admin(), clients.producer()])
  const partitionsOf = async (topic: string) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    return (topics[0]?.partitions ?? []).map(({ partitionId }) => partitionId).sort((a, b) => a - b)
  }
  return {
    admin,
    produce: async (topic, count) => {
      for (const partition of await partitionsOf(topic)) {
        const messages = Array.from({ length: count }, (_, index) => ({
          partition,
          key: 'AAPL',
          value: `record ${index}`,
        }))
        await producer.send({ topic, messages, acks: -1 })
      }
    },
    commit: async (groupId, topic, offset) => {
      const partitions = (await partitionsOf(topic)).map((partition) => ({ partition, offset: String(offset) }))
      await admin.setOffsets({ groupId, topic, partitions })
    },
    committed: async (groupId, topic) => {
      const topics = await admin.fetchOffsets({ groupId })
      const partitions = topics.find((each) => each.topic === topic)?.partitions ?? []
      return partitions.map(({ offset }) => Number(offset)).filter((offset) => offset >= 0)
    },
    ends: async (topic) => {
      const offsets = await admin.fetchTopicOffsets(topic)
      return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high))
    },
    config: async (topic) => {
      const { resources } = await admin.describeConfigs({
        resources: [{ type: 2, name: topic }],
        includeSynonyms: false,
      })
      const own = (resources[0]?.configEntries ?? []).filter(({ configSource }) => Number(configSource) === OWN)
      return Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]))
    },
    join: async (groupId, topic) => {
      const consumer = await clients.consumer({ groupId, heartbeatInterval: 500 })
      const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve))
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({ autoCommit: false, eachMessage: async () => {} })
      await joined
      return consumer
    },
    close: clients.close,
  }
}

/** The environment that makes a command send itself signals; see signal-at.mjs. */
export function signalAt(env: NodeJS.ProcessEnv, ...moments: string[]): NodeJS.ProcessEnv {
  const hook = fileURLToPath(new URL('./signal-at.mjs', import.meta.url))
  return { ...env, NODE_OPTIONS: `${env.NODE_OPTIONS ?? ''} --import=${hook}`, L2_SIGNAL_AT: moments.join(',') }
}

/**
 * Runs a command until it stops itself (SIGSTOP) at `moment`, does `meanwhile`, and lets it go on to its end.
 * @throws {Error} when it ends without having come to that moment
 */
export async function runAround(
  script: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  moment: string,
  meanwhile: () => Promise<void> | void,
): Promise<Outcome> {
  const stop = `${moment}:SIGSTOP`
  let stopped: (pid: number) => void = () => {}
  const stoppedAt = new Promise<number>((resolve) => {
    stopped = resolve
  })
  const ended = runScript(script, args, {
    env: signalAt(env, stop),
    watch: (stderr, pid) => {
      if (stderr.includes(`[at ${stop}]`)) stopped(pid)
    },
  })
  const pid = await Promise.race([stoppedAt, ended])
  if (typeof pid !== 'number') throw new Error(`Cannot stop at ${moment}: it ended before\n${pid.stderr}`)
  try {
    await meanwhile()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  return ended
}
