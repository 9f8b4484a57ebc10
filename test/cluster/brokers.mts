/** Real Kafka brokers (KRaft) of one cluster, that tests start and kill. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { installed } from '../support/embedded.mts'
import { freePorts } from '../support/stack.mts'

export interface Brokers {
  /** Addresses of all, as in KAFKA_BOOTSTRAP_SERVERS. */
  servers: string
  /** Starts these, and waits until they serve. */
  start: (...ids: number[]) => Promise<void>
  /** Ends one as kill -9 does. */
  kill: (id: number) => Promise<void>
  /** Gives one that does not run further properties. */
  configure: (id: number, properties: Record<string, string | number>) => void
  folderOf: (id: number) => string
  /** Ends all and deletes their data. */
  end: () => Promise<void>
}

/** Options of Java for a broker and its tools, with so much heap. */
export const javaOptions = (heapMb: number): string[] => [
  ...[`-Xmx${heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', installed.jars.join(':')],
  // Kafka 3, and Kafka 4: without it, neither says that it has started.
  `-Dlog4j.configuration=file:${path.join(ROOT, 'kafka/log4j.properties')}`,
  `-Dlog4j2.configurationFile=file:${path.join(ROOT, 'kafka/log4j2.properties')}`,
]
const java = javaOptions(256)

/** What a broker's log says once it serves. */
export const STARTED = /Kafka Server started|Transition from STARTING to STARTED/

/**
 * Formats the data of brokers with these ids; none runs yet.
 * @param voters ids of those that are controllers too
 */
export async function brokersOf(ids: readonly number[], voters: readonly number[]): Promise<Brokers> {
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-brokers-'))
  const free = await freePorts(2 * ids.length)
  const port = (id: number) => free[ids.indexOf(id)]
  const controllerPort = (id: number) => free[ids.length + ids.indexOf(id)]
  const running = new Map<number, ChildProcess>()
  // A file that fails before its first test ends without them otherwise, and who runs it waits for their output.
  process.on('exit', () => {
    for (const child of running.values()) child.kill('SIGKILL')
  })
  const folderOf = (id: number) => path.join(folder, String(id))
  const fileOf = (id: number) => path.join(folderOf(id), 'server.properties')
  const propertiesOf = (id: number): Record<string, string | number> => {
    const listener = `PLAINTEXT://127.0.0.1:${port(id)}`
    const votes = voters.includes(id)
    return {
      'process.roles': votes ? 'broker,controller' : 'broker',
      'node.id': id,
      'controller.quorum.voters': voters.map((voter) => `${voter}@127.0.0.1:${controllerPort(voter)}`).join(),
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
      listeners: votes ? `${listener},CONTROLLER://127.0.0.1:${controllerPort(id)}` : listener,
      'advertised.listeners': listener,
      'log.dirs': path.join(folderOf(id), 'log'),
      // As services of others have it.
      'default.replication.factor': ids.length,
      'min.insync.replicas': 2,
      'offsets.topic.replication.factor': ids.length,
      'offsets.topic.num.partitions': 1,
      'transaction.state.log.replication.factor': 2,
      'transaction.state.log.num.partitions': 1,
      'auto.create.topics.enable': 'false',
      // So that who leads is what the test made of it.
      'auto.leader.rebalance.enable': 'false',
      'group.initial.rebalance.delay.ms': 0,
      'broker.session.timeout.ms': 6000,
    }
  }
  const configure = (id: number, properties: Record<string, string | number>) => {
    mkdirSync(folderOf(id), { recursive: true })
    const lines = Object.entries({ ...propertiesOf(id), ...properties }).map(([key, value]) => `${key}=${value}\n`)
    writeFileSync(fileOf(id), lines.join(''))
  }
  const startOne = async (id: number) => {
    const log = path.join(folder, `${id}.log`)
    const child = spawn(installed.java, [...java, 'kafka.Kafka', fileOf(id)], { stdio: ['ignore', 'pipe', 'inherit'] })
    running.set(id, child)
    const output = createWriteStream(log)
    child.stdout.pipe(output)
    await once(output, 'open')
    const isUp = async () => child.exitCode === null && STARTED.test(readFileSync(log, 'utf8'))
    const text = () => `broker ${id}: ${readFileSync(log, 'utf8').slice(-3000)}`
    assert.ok(await waitUntil(isUp, { timeoutMs: 90_000, pollMs: 200 }), text())
  }
  const kill = async (id: number) => {
    const child = running.get(id)
    if (!child) return
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    running.delete(id)
  }
  for (const id of ids) {
    configure(id, {})
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', fileOf(id)]
    const formatted = await runFile(installed.java, [...java, ...format])
    assert.is(formatted.exitCode, 0, formatted.stdout + formatted.stderr)
  }
  return {
    servers: ids.map((id) => `127.0.0.1:${port(id)}`).join(),
    start: async (...some) => {
      await Promise.all(some.map(startOne))
    },
    kill,
    configure,
    folderOf,
    end: async () => {
      for (const id of [...running.keys()]) await kill(id)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
