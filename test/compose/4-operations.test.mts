/** Runs every docker command that the README documents, verbatim, and connects clients from both sides of the network. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import type { Outcome } from '../support/command.mts'
import { typeOnTerminal } from '../support/terminal.mts'
import {
  CLEAN_ENV,
  containerOf,
  docker,
  output,
  run,
  SERVICES,
  shell,
  TREE,
  up,
  VOLUMES,
  volumes,
  writeEnv,
} from './engine.mts'
import type { Image } from './images.mts'
import { reportedSuite } from './suite.mts'
import { DEFAULT_ACCESS, prepare, readAll, STORES, writeSome } from './writer.mts'

const { test, run: runSuite } = reportedSuite('documented operations')
const KAFKA =
  (JSON.parse(process.env.L2_COMPOSE_IMAGES ?? '[]') as Image[]).find(({ service }) => service === 'kafka')?.name ?? ''

const succeeded = ({ exitCode, stderr }: Outcome) => assert.is(exitCode, 0, stderr)
const upAndRunning = async (outcome: Outcome) => {
  succeeded(outcome)
  for (const service of SERVICES)
    assert.is((await docker('inspect', containerOf(service), '--format', '{{.State.Status}}')).trim(), 'running')
}

/** The expected outcome of each documented command. A README command that is missing here fails the first test. */
const OPERATIONS: Record<string, (outcome: Outcome) => unknown> = {
  'docker-compose up -d': upAndRunning,
  'docker-compose up -d clickhouse': upAndRunning,
  'docker-compose ps': (outcome) => {
    succeeded(outcome)
    for (const service of SERVICES) assert.match(outcome.stdout, containerOf(service))
  },
  'docker logs l2_kafka': ({ stdout }) => assert.match(stdout, 'started (kafka.server.KafkaServer)'),
  'docker exec l2_zookeeper bash -c "echo ruok | nc localhost 2181"': ({ stdout }) => assert.is(stdout, 'imok'),
  'docker exec -it l2_clickhouse clickhouse-client': ({ stdout }) => assert.match(stdout, 'l2_user@l2_market_data'),
  'docker-compose down': async (outcome) => {
    succeeded(outcome)
    assert.is(await docker('ps', '-aq', '--filter', 'label=com.docker.compose.project=l2'), '')
    assert.equal(await volumes(), VOLUMES, 'volumes remain')
  },
}
/** Verified where the data may be deleted: 5-durability. */
const ELSEWHERE = ['docker-compose down -v']
/** Names of programs or files, not commands. */
const NO_COMMANDS = [
  'docker-compose.yml',
  'docker-compose.kraft.yml',
  'docker-compose.prod.yml',
  'docker-compose',
  'docker compose',
]

function documented(): string[] {
  const readme = readFileSync(path.join(TREE, 'README.md'), 'utf8')
  const fenced = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n'))
  const inline = [...readme.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) =>
    code.replaceAll('\\|', '|'),
  )
  const commands = [...fenced, ...inline].map((line) => line.replace(/\s+#.*/, '').trim())
  return [...new Set(commands.filter((command) => /^docker\b/.test(command) && !NO_COMMANDS.includes(command)))]
}

/** Returns both spellings of a command: the README writes docker-compose; users with only the plugin type docker compose. */
const spellings = (line: string) =>
  line.includes('docker-compose') ? [line, line.replace('docker-compose', 'docker compose')] : [line]

async function perform(line: string): Promise<Outcome> {
  if (!line.includes(' -it ')) return shell(line)
  // `-it` requires a terminal. Input typed before the prompt appears may be lost, as in an interactive session.
  const { exitCode, screen } = await typeOnTerminal([line], CLEAN_ENV, [
    { question: /:\) /, keys: "SELECT concat(currentUser(), '@', currentDatabase());\r" },
    { question: /l2_user@/, keys: 'exit\r' },
  ])
  return { exitCode, stdout: screen, stderr: '' }
}

test('every docker command in the README is tested here', async (note) => {
  const unknown = documented().filter((command) => !(command in OPERATIONS) && !ELSEWHERE.includes(command))
  assert.equal(unknown, [])
  note(documented().join(' · '))
})

test('the stack starts', async () => {
  writeEnv()
  await up()
})

for (const [line, check] of Object.entries(OPERATIONS)) {
  if (line === 'docker-compose down') continue
  for (const spelling of spellings(line))
    test(spelling, async () => {
      await check(await perform(spelling))
    })
}

test('ruok is answered every time', async () => {
  const line = 'for i in $(seq 200); do echo ruok | nc localhost 2181; echo; done | sort | uniq -c'
  const { stdout } = await run(['docker', 'exec', containerOf('zookeeper'), 'bash', '-c', line])
  assert.is(stdout.trim(), '200 imok')
})

test('docker-compose logs, in both spellings', async () => {
  for (const line of spellings('docker-compose logs --no-color redis')) {
    const { exitCode, stdout } = await shell(line)
    assert.is(exitCode, 0)
    assert.match(stdout, 'Ready to accept connections')
  }
})

test('programs on the host reach Kafka through 9092, ClickHouse and Redis', async (note) => {
  await prepare()
  const acknowledged = await writeSome(20)
  const found = await readAll()
  for (const store of STORES)
    assert.ok(
      acknowledged[store].every((id) => found[store].has(id)),
      store,
    )
  note(`Kafka ${DEFAULT_ACCESS.kafka}: ${acknowledged.kafka.length} records written and read`)
})

test('a program inside the network reaches Kafka through kafka:29092', async () => {
  const inNetwork = ['docker', 'run', '--rm', '-i', '--network', 'l2_l2', '--entrypoint', 'bash', KAFKA, '-c']
  const tools = '/opt/kafka/bin'
  const topic = 'compose.test.network'
  const client = '--bootstrap-server kafka:29092 --topic'
  await output([...inNetwork, `${tools}/kafka-topics.sh ${client} ${topic} --create`])
  await output([...inNetwork, `${tools}/kafka-console-producer.sh ${client} ${topic}`], { stdin: 'from inside\n' })
  const read = await output([
    ...inNetwork,
    `${tools}/kafka-console-consumer.sh ${client} ${topic} --from-beginning --max-messages 1 --timeout-ms 20000`,
  ])
  assert.is(read.trim(), 'from inside')
})

test('Kafka UI lists the topics of the broker', async (note) => {
  const listed = async () => {
    const response = await fetch('http://127.0.0.1:8080/api/clusters/l2/topics')
    return (await response.text()).includes('compose.test.network')
  }
  // The real Kafka UI polls the broker every 30 s.
  assert.ok(await waitUntil(listed, { timeoutMs: 90_000, pollMs: 500 }))
  note('the topics of the stub, if the image is the stub')
})

for (const spelling of spellings('docker-compose down')) {
  test(spelling, async () => {
    await up()
    await OPERATIONS['docker-compose down']?.(await perform(spelling))
  })
}

runSuite()
