/** Real services for tests: embedded stacks on free ports, with data folders of their own. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import path from 'node:path'
import { connectClickHouse } from '../../scripts/lib/clickhouse/client.mts'
import { initStatements } from '../../scripts/lib/clickhouse/statements.mts'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { startEmbedded, stopEmbedded } from '../../scripts/lib/engines/embedded/stack.mts'
import type { EmbeddedName } from '../../scripts/lib/engines/service.mts'
import { parseEnvFile } from '../../scripts/lib/settings/env-file.mts'
import { interpolate } from '../../scripts/lib/settings/interpolate.mts'
import { kafkaMode } from '../../scripts/lib/settings/readers.mts'
import { HOST_PORTS, ROOT, readSettings, type Settings, VARIABLES } from '../../scripts/lib/settings/settings.mts'

export interface TestStack {
  /** For the commands under test: every port and folder of this stack. */
  env: NodeJS.ProcessEnv
  settings: Settings
  /** Stops it and deletes its data; does nothing to a shared one. */
  stop: () => Promise<void>
}

/** Whether this machine has the loopback address of IPv6. */
export const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** The mode of Kafka that the tests run in: `KAFKA_MODE=kraft npm test`. */
export const KAFKA_MODE = kafkaMode(process.env.KAFKA_MODE || 'zookeeper')

const template = parseEnvFile(readFileSync(path.join(ROOT, '.env.template'), 'utf8'), '.env.template')

/** Ports that are not given: those given before, and the template's, which a project without .env has in force. */
const given = new Set(HOST_PORTS.map((port) => Number(template.find(({ name }) => name === port)?.text)))

/**
 * Ports of 127.0.0.1 that nothing holds, each given once. Below 32768, where the system takes the ports of outgoing
 * connections from: those come and go between the look and the use. Test files that run side by side draw from thirds of
 * their own.
 */
export async function freePorts(count: number): Promise<number[]> {
  const first = 10_000 + 7_300 * Number(process.env.L2_TEST_SLOT ?? 0)
  const ports: number[] = []
  while (ports.length < count) {
    const port = first + Math.floor(Math.random() * 7_300)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    ports.push(port)
  }
  return ports
}

/**
 * The environment of a stack of its own: free ports and a new data folder; `overrides` on top. Every other variable has
 * .env.template's value, whatever the shell or .env say, but for {@link KAFKA_MODE}: nothing leads to the stack of who runs the tests. Nothing is started.
 */
export async function stackEnv(overrides: NodeJS.ProcessEnv = {}): Promise<NodeJS.ProcessEnv> {
  const ports = await freePorts(HOST_PORTS.length)
  const own: NodeJS.ProcessEnv = {
    ...Object.fromEntries(HOST_PORTS.map((name, index) => [name, String(ports[index])])),
    KAFKA_MODE,
    // It costs memory and a port, and is tested where it is asked for.
    EMBEDDED_UI: 'off',
    ...overrides,
    EMBEDDED_DATA_DIR: overrides.EMBEDDED_DATA_DIR ?? mkdtempSync(path.join(tmpdir(), 'l2-test-')),
  }
  for (const { name, text, literal } of template) {
    own[name] ??= literal ? text : interpolate(text, (other) => own[other])
  }
  const unset = Object.keys(VARIABLES).filter((name) => own[name] === undefined)
  if (unset.length > 0) throw new Error(`Cannot keep the user's settings out: .env.template lacks ${unset.join(', ')}`)
  return { ...process.env, ...own }
}

/** Starts a stack of its own, all services or `only` some, without tables and topics. */
export async function startStack(
  only?: readonly EmbeddedName[],
  overrides: NodeJS.ProcessEnv = {},
): Promise<TestStack> {
  const env = await stackEnv(overrides)
  const settings = readSettings(env)
  await startEmbedded(settings, await install(settings.KAFKA_MODE, () => {}), () => {}, only)
  return {
    env,
    settings,
    stop: async () => {
      await stopEmbedded(settings.EMBEDDED_DATA_DIR)
      rmSync(settings.EMBEDDED_DATA_DIR, { recursive: true })
    },
  }
}

/**
 * The stack that `npm test` started for all test files, or, for a test file run alone, one of its own. Everyone's: use
 * topics, groups, tables and keys with names of your own, and leave the declared ones as they are.
 */
export async function sharedStack(): Promise<TestStack> {
  const shared = process.env.L2_TEST_DATA_DIR
  if (!shared) return startStack()
  if (!existsSync(shared)) throw new Error(`Cannot use the shared stack: ${shared} is gone`)
  return { env: process.env, settings: readSettings(process.env), stop: async () => {} }
}

/**
 * Creates the market database and runs every file of clickhouse/init in it, one statement each, in the order of their names,
 * as the image's entrypoint does on an empty volume. Each creates what is missing and leaves what is there.
 */
export async function applyInitFiles(settings: Settings): Promise<void> {
  const server = await connectClickHouse({ ...settings, CLICKHOUSE_DATABASE: 'default' }, 30_000)
  try {
    await server.command({ query: `CREATE DATABASE IF NOT EXISTS ${settings.CLICKHOUSE_DATABASE}` })
  } finally {
    await server.close()
  }
  const client = await connectClickHouse(settings, 30_000)
  try {
    for (const query of initStatements()) await client.command({ query })
  } finally {
    await client.close()
  }
}
