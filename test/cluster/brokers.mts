/** A cluster of real Kafka brokers, with or without ZooKeeper, that tests start and kill. Clients authenticate with SCRAM over TLS. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { knownCause } from '../../scripts/lib/engines/known-causes.mts'
import type { KafkaMode } from '../../scripts/lib/settings/readers.mts'
import { ROOT } from '../../scripts/lib/settings/settings.mts'
import { runFile } from '../support/command.mts'
import { endStacks, newStack, start } from '../support/embedded.mts'
import { freePorts } from '../support/stack.mts'
import { makeCertificates } from './certificates.mts'

export interface Brokers {
  /** Environment of a client of this cluster. */
  env: NodeJS.ProcessEnv
  /** Starts these brokers and waits until they accept requests. */
  start: (...ids: number[]) => Promise<void>
  /** Kills a broker with SIGKILL. */
  kill: (id: number) => Promise<void>
  /** Adds properties to a broker that is not running. */
  configure: (id: number, properties: Record<string, string | number>) => void
  folderOf: (id: number) => string
  /** Stops all brokers and deletes their data. */
  end: () => Promise<void>
}

/** Java options of a broker and its tools, with this heap size. */
export const javaOptions = (jars: readonly string[], heapMb: number): string[] => [
  ...[`-Xmx${heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', jars.join(':')],
  // One property for Kafka 3, one for Kafka 4. Without it, the broker does not log that it has started.
  `-Dlog4j.configuration=file:${path.join(ROOT, 'kafka/log4j.properties')}`,
  `-Dlog4j2.configurationFile=file:${path.join(ROOT, 'kafka/log4j2.properties')}`,
]

/** Matches a broker's log once it accepts requests. */
export const STARTED = /Kafka Server started|Transition from STARTING to STARTED|\[KafkaServer id=\d+\] started/

const [USER, PASSWORD] = ['l2', 'correct-horse']
const SCRAM = 'SCRAM-SHA-512'

/**
 * Prepares the folders of brokers with these ids, without starting them. Starts ZooKeeper in ZooKeeper mode.
 * @param voters ids of the brokers that are also controllers, in KRaft mode
 */
export async function brokersOf(mode: KafkaMode, ids: readonly number[], voters: readonly number[]): Promise<Brokers> {
  const installed = await install(mode, () => {})
  const java = javaOptions(installed.jars, 256)
  const folder = mkdtempSync(path.join(tmpdir(), 'l2-brokers-'))
  const certificates = makeCertificates(folder)
  const free = await freePorts(3 * ids.length)
  const portOf = (id: number, use: 'login' | 'internal' | 'controller') =>
    free[3 * ids.indexOf(id) + ['login', 'internal', 'controller'].indexOf(use)]
  const running = new Map<number, ChildProcess>()
  // Stops the brokers of a test file that fails before its first test. Otherwise the test runner would wait for their output.
  process.on('exit', () => {
    for (const child of running.values()) child.kill('SIGKILL')
  })
  const folderOf = (id: number) => path.join(folder, String(id))
  const fileOf = (id: number) => path.join(folderOf(id), 'server.properties')
  const tool = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await runFile(installed.java, [...java, ...args])
    assert.is(exitCode, 0, stdout + stderr)
  }
  let zookeeper = ''
  if (mode === 'zookeeper') {
    const settings = await newStack({ KAFKA_MODE: mode })
    await start(settings, ['zookeeper'], installed)
    zookeeper = `127.0.0.1:${settings.ZOOKEEPER_CLIENT_PORT}`
    const change = ['--alter', '--add-config', `${SCRAM}=[password=${PASSWORD}]`]
    const user = ['--entity-type', 'users', '--entity-name', USER]
    await tool('kafka.admin.ConfigCommand', '--zookeeper', zookeeper, ...change, ...user)
  }
  const rolesOf = (id: number) =>
    mode === 'zookeeper'
      ? { 'broker.id': id, 'zookeeper.connect': zookeeper, 'zookeeper.session.timeout.ms': 6000 }
      : {
          'process.roles': voters.includes(id) ? 'broker,controller' : 'broker',
          'node.id': id,
          'controller.quorum.voters': voters.map((voter) => `${voter}@127.0.0.1:${portOf(voter, 'controller')}`).join(),
          'controller.listener.names': 'CONTROLLER',
          'broker.session.timeout.ms': 6000,
        }
  const propertiesOf = (id: number): Record<string, string | number> => {
    const [login, internal, controller] = (['login', 'internal', 'controller'] as const).map(
      (use) => `${use.toUpperCase()}://127.0.0.1:${portOf(id, use)}`,
    )
    const votes = mode === 'kraft' && voters.includes(id)
    return {
      ...rolesOf(id),
      'inter.broker.listener.name': 'INTERNAL',
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,LOGIN:SASL_SSL',
      listeners: [login, internal, ...(votes ? [controller] : [])].join(),
      'advertised.listeners': [login, internal].join(),
      'listener.name.login.sasl.enabled.mechanisms': SCRAM,
      'listener.name.login.scram-sha-512.sasl.jaas.config':
        'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': certificates.server.both,
      'log.dirs': path.join(folderOf(id), 'log'),
      // As on a typical external cluster.
      'default.replication.factor': ids.length,
      'min.insync.replicas': 2,
      'offsets.topic.replication.factor': ids.length,
      'offsets.topic.num.partitions': 1,
      'transaction.state.log.replication.factor': 2,
      'transaction.state.log.num.partitions': 1,
      'auto.create.topics.enable': 'false',
      // Leaders stay where the test moved them.
      'auto.leader.rebalance.enable': 'false',
      'group.initial.rebalance.delay.ms': 0,
    }
  }
  const configure = (id: number, properties: Record<string, string | number>) => {
    mkdirSync(folderOf(id), { recursive: true })
    const lines = Object.entries({ ...propertiesOf(id), ...properties }).map(([key, value]) => `${key}=${value}\n`)
    writeFileSync(fileOf(id), lines.join(''))
  }
  const startOne = async (id: number) => {
    const log = path.join(folder, `${id}.log`)
    const launch = async () => {
      const child = spawn(installed.java, [...java, 'kafka.Kafka', fileOf(id)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      running.set(id, child)
      const output = createWriteStream(log)
      child.stdout.pipe(output)
      await once(output, 'open')
      return child
    }
    let child = await launch()
    const text = () => readFileSync(log, 'utf8')
    const isUp = async () => {
      if (child.exitCode === null) return STARTED.test(text())
      // ZooKeeper has not yet expired the session of the killed broker.
      assert.is(knownCause(text())?.code, 'KAFKA_NODE_EXISTS', `broker ${id}: ${text().slice(-3000)}`)
      child = await launch()
      return false
    }
    const isThere = await waitUntil(isUp, { timeoutMs: 90_000, pollMs: 200 })
    assert.ok(isThere, `broker ${id}: ${text().slice(-3000)}`)
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
    const user = ['--add-scram', `${SCRAM}=[name=${USER},password=${PASSWORD}]`]
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', fileOf(id), ...user]
    if (mode === 'kraft') await tool(...format)
  }
  return {
    env: {
      KAFKA_MODE: mode,
      KAFKA_BOOTSTRAP_SERVERS: ids.map((id) => `127.0.0.1:${portOf(id, 'login')}`).join(),
      KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
      KAFKA_SSL_CA_LOCATION: certificates.ca,
      KAFKA_SASL_MECHANISM: SCRAM,
      KAFKA_SASL_USERNAME: USER,
      KAFKA_SASL_PASSWORD: PASSWORD,
    },
    start: async (...some) => {
      await Promise.all(some.map(startOne))
    },
    kill,
    configure,
    folderOf,
    end: async () => {
      for (const id of [...running.keys()]) await kill(id)
      await endStacks()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
