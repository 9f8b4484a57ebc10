/** Real services for tests: embedded stacks on free ports, with dedicated data folders. */
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
  /** For the commands under test: all ports and folders of this stack. */
  env: NodeJS.ProcessEnv
  settings: Settings
  /** Stops the stack and deletes its data. Does nothing to a shared stack. */
  stop: () => Promise<void>
}

/** Whether this machine has the IPv6 loopback address. */
export const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Kafka mode of the tests: `KAFKA_MODE=kraft npm test`. */
export const KAFKA_MODE = kafkaMode(process.env.KAFKA_MODE || 'zookeeper')

const template = parseEnvFile(readFileSync(path.join(ROOT, '.env.template'), 'utf8'), '.env.template')

/** Ports not to hand out: those handed out before, and the template's, which a project without .env uses. */
const given = new Set(HOST_PORTS.map((port) => Number(template.find(({ name }) => name === port)?.text)))

/**
 * Returns free ports of 127.0.0.1, each at most once per process. They are below 32768, where the ephemeral port range begins: those ports
 * can be taken between the check and the use. Test files that run in parallel draw from separate ranges.
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
 * Returns the environment of a new stack, without starting it: free ports, a new data folder, and `overrides`. All other variables except
 * {@link KAFKA_MODE} have .env.template's values, whatever the shell or .env contain, so that no test touches the user's own stack.
 */
export async function stackEnv(overrides: NodeJS.ProcessEnv = {}): Promise<NodeJS.ProcessEnv> {
  const ports = await freePorts(HOST_PORTS.length)
  const values: NodeJS.ProcessEnv = {
    ...Object.fromEntries(HOST_PORTS.map((name, index) => [name, String(ports[index])])),
    KAFKA_MODE,
    // The page costs memory and a port. Tests that need it switch it on.
    EMBEDDED_UI: 'off',
    ...overrides,
    EMBEDDED_DATA_DIR: overrides.EMBEDDED_DATA_DIR ?? mkdtempSync(path.join(tmpdir(), 'l2-test-')),
  }
  for (const { name, text, literal } of template) {
    values[name] ??= literal ? text : interpolate(text, (other) => values[other])
  }
  const unset = Object.keys(VARIABLES).filter((name) => values[name] === undefined)
  if (unset.length > 0) throw new Error(`Cannot keep the user's settings out: .env.template lacks ${unset.join(', ')}`)
  return { ...process.env, ...values }
}

/** Starts a new stack with all services, or `only` some of them, without tables and topics. */
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
 * Returns the stack that `npm test` started for all test files, or a new one if the test file runs alone. Because the stack is shared,
 * tests must use unique names for topics, groups, tables and keys, and must not change the declared ones.
 */
export async function sharedStack(): Promise<TestStack> {
  const shared = process.env.L2_TEST_DATA_DIR
  if (!shared) return startStack()
  if (!existsSync(shared)) throw new Error(`Cannot use the shared stack: ${shared} is gone`)
  return { env: process.env, settings: readSettings(process.env), stop: async () => {} }
}

/**
 * Creates the market database and runs every file of clickhouse/init in it, in the order of their names, as the image's entrypoint does on
 * an empty volume. Each file holds one statement, which creates an object only if it is missing.
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
