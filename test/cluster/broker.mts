/** A real KRaft broker that requires authentication and checks ACLs, with one listener per way to connect. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { waitUntil } from '../../scripts/lib/common/wait.mts'
import { runFile } from '../support/command.mts'
import { installed } from '../support/embedded.mts'
import { freePorts } from '../support/stack.mts'
import { javaOptions, STARTED } from './brokers.mts'
import type { Certificates } from './certificates.mts'

/** `admin` needs no credentials, and its clients may do everything. */
export type Listener =
  | 'admin'
  | 'tls'
  | 'mutual'
  | 'expired'
  | 'otherHost'
  | 'foreign'
  | 'login'
  | 'plainLogin'
  | 'token'
  /** Advertises a port on which nothing listens. */
  | 'astray'

export interface TestBroker {
  ports: Record<Listener, number>
  stop: () => Promise<void>
}

/** Password of the users `l2`, which has no ACLs, and `other`. */
export const PASSWORD = 'correct-horse'

const PROTOCOLS: Record<Listener, string> = {
  admin: 'PLAINTEXT',
  tls: 'SSL',
  mutual: 'SSL',
  expired: 'SSL',
  otherHost: 'SSL',
  foreign: 'SSL',
  login: 'SASL_SSL',
  plainLogin: 'SASL_PLAINTEXT',
  token: 'SASL_SSL',
  astray: 'SASL_SSL',
}

/** Starts the broker in `folder` and waits until it accepts requests. */
export async function startBroker(folder: string, certificates: Certificates): Promise<TestBroker> {
  const names = Object.keys(PROTOCOLS) as Listener[]
  const free = await freePorts(names.length + 1)
  const ports = Object.fromEntries(names.map((name, index) => [name, free[index] ?? 0])) as Record<Listener, number>
  const controller = free.at(-1)
  const address = (name: Listener, port = ports[name]) => `${name.toUpperCase()}://127.0.0.1:${port}`
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const token = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required'
  const of = (name: Listener) => `listener.name.${name.toLowerCase()}`
  const stores = { expired: certificates.expired, otherhost: certificates.otherHost, foreign: certificates.foreign }
  const logins: Listener[] = ['login', 'plainLogin', 'astray']
  const properties: Record<string, string | number> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'ADMIN',
    listeners: [...names.map((name) => address(name)), `CONTROLLER://127.0.0.1:${controller}`].join(),
    'advertised.listeners': names.map((name) => address(name, name === 'astray' ? 1 : ports[name])).join(),
    'listener.security.protocol.map': [
      'CONTROLLER:PLAINTEXT',
      ...names.map((name) => `${name.toUpperCase()}:${PROTOCOLS[name]}`),
    ].join(),
    'log.dirs': path.join(folder, 'data'),
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'auto.create.topics.enable': 'false',
    'group.initial.rebalance.delay.ms': 0,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': certificates.server.both,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': certificates.ca,
    [`${of('mutual')}.ssl.client.auth`]: 'required',
    [`${of('token')}.sasl.enabled.mechanisms`]: 'OAUTHBEARER',
    [`${of('token')}.oauthbearer.sasl.jaas.config`]: `${token} unsecuredLoginStringClaim_sub="broker";`,
    [`${of('token')}.oauthbearer.sasl.server.callback.handler.class`]:
      'org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler',
  }
  for (const [name, { both }] of Object.entries(stores)) {
    properties[`listener.name.${name}.ssl.keystore.type`] = 'PEM'
    properties[`listener.name.${name}.ssl.keystore.location`] = both
  }
  for (const name of logins) {
    properties[`${of(name)}.sasl.enabled.mechanisms`] = 'SCRAM-SHA-256,SCRAM-SHA-512'
    properties[`${of(name)}.scram-sha-256.sasl.jaas.config`] = scram
    properties[`${of(name)}.scram-sha-512.sasl.jaas.config`] = scram
  }
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, 'server.properties')
  writeFileSync(
    file,
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const java = javaOptions(installed.jars, 320)
  const users = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) =>
    ['l2', 'other'].flatMap((name) => ['--add-scram', `${mechanism}=[name=${name},password=${PASSWORD}]`]),
  )
  const format = ['kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', file, ...users]
  const formatted = await runFile(installed.java, [...java, ...format])
  if (formatted.exitCode !== 0) throw new Error(`Cannot format: ${formatted.stdout}${formatted.stderr}`)
  const child = spawn(installed.java, [...java, 'kafka.Kafka', file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const log = path.join(folder, 'kafka.log')
  child.stdout.pipe(createWriteStream(log))
  const ended = once(child, 'exit')
  const isUp = async () => child.exitCode === null && STARTED.test(readLog(log))
  if (!(await waitUntil(isUp, { timeoutMs: 60_000, pollMs: 100 }))) {
    // Its open output pipes would keep the test process alive.
    child.kill('SIGKILL')
    throw new Error(`Cannot start the broker:\n${readLog(log).slice(-5000)}`)
  }
  return {
    ports,
    stop: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // The file is not written yet.
    return ''
  }
}
