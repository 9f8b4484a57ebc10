/** Compares create-topics with Kafka's topics tool, and with Node.js importing the clients. */
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { waitUntil } from '../scripts/lib/common/wait.mts'
import { openCluster } from '../scripts/lib/kafka/cluster.mts'
import { createTopics, deleteTopics } from '../scripts/lib/kafka/topic-requests.mts'
import { ROOT, type Settings } from '../scripts/lib/settings/settings.mts'
import { type DeclaredTopic, readDeclaredTopics } from '../scripts/lib/topics/file.mts'
import { startStack } from '../test/support/stack.mts'
import { openKafkaTools } from './kafka-tools.mts'
import { measure, type PartResult, runGood } from './measure.mts'

const ROUNDS = 5
/** Untimed rounds, because the JVM of a new broker first compiles its code. */
const WARM_UP_ROUNDS = 15
/** The broker's data is stored in memory: a slow disk would hide the time that the tools themselves take. */
const MEMORY = '/dev/shm'
const IMPORT_CLIENTS = "await Promise.all(['kafkajs', '@clickhouse/client', 'ioredis'].map((name) => import(name)))"

/** Times the creation of the declared topics on a dedicated broker, and a run without changes. */
export async function benchTopics(log: (line: string) => void): Promise<PartResult> {
  const runTool = await openKafkaTools(log)
  const folder = existsSync(MEMORY) ? MEMORY : tmpdir()
  const stack = await startStack(['zookeeper', 'kafka'], {
    EMBEDDED_DATA_DIR: mkdtempSync(path.join(folder, 'l2-bench-')),
  })
  try {
    const declared = readDeclaredTopics(stack.settings)
    const createScript = path.join(ROOT, 'scripts', 'create-topics.mts')
    const tool = (topic: DeclaredTopic) =>
      runTool('TopicCommand', [
        '--bootstrap-server',
        stack.settings.KAFKA_BOOTSTRAP_SERVERS.join(','),
        '--create',
        '--topic',
        topic.name,
        '--partitions',
        String(topic.partitions),
        '--replication-factor',
        String(topic.replication),
        ...Object.entries(topic.config).flatMap(([key, value]) => ['--config', `${key}=${value}`]),
      ])
    const empty = () => deleteAll(stack.settings, declared)
    log(`warm-up: creating and deleting the topics ${WARM_UP_ROUNDS} times`)
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      await empty()
      await runGood(createScript, [], stack)
    }
    const measured = await measure(
      [
        { name: 'create-topics, five topics to create', prepare: empty, run: () => runGood(createScript, [], stack) },
        { name: 'create-topics, nothing to do', run: () => runGood(createScript, [], stack) },
        {
          name: 'node, importing kafkajs, @clickhouse/client and ioredis',
          run: () => runGood(process.execPath, ['--input-type=module', '--eval', IMPORT_CLIENTS]),
        },
        {
          name: "five calls of Kafka's topics tool",
          prepare: empty,
          run: async () => {
            for (const topic of declared) await tool(topic)
          },
        },
      ],
      ROUNDS,
      log,
    )
    const [create = Number.NaN, noChange = Number.NaN, imports = Number.NaN, tools = Number.NaN] = measured.map(
      ({ medianMs }) => medianMs,
    )
    return {
      measured,
      ratios: [
        { name: "five calls of Kafka's topics tool ÷ create-topics", value: tools / create, atLeast: 10 },
        { name: 'create-topics with nothing to do ÷ importing the clients', value: noChange / imports, atMost: 2 },
      ],
    }
  } finally {
    await stack.stop()
  }
}

/** Deletes the topics and waits until they can be created again. */
async function deleteAll(settings: Settings, topics: DeclaredTopic[]): Promise<void> {
  const cluster = await openCluster(settings, { timeoutMs: 30_000 })
  try {
    const names = topics.map(({ name }) => name)
    await cluster.sendTo('controller', deleteTopics(names))
    const free = async () => {
      const outcomes = await cluster.sendTo('controller', createTopics(topics, { validateOnly: true }))
      return names.every((name) => outcomes.get(name)?.error === 'NONE')
    }
    if (!(await waitUntil(free, { timeoutMs: 30_000, pollMs: 50 }))) throw new Error('Cannot delete the topics in 30 s')
  } finally {
    cluster.close()
  }
}
