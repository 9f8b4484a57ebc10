/** Embedded stacks that a test file starts, breaks, and finally stops with `endStacks`. */
import { rmSync } from 'node:fs'
import { Redis } from 'ioredis'
import * as assert from 'uvu/assert'
import { type Finding, OpsError } from '../../scripts/lib/common/findings.mts'
import type { Installed } from '../../scripts/lib/engines/embedded/definition.mts'
import { install } from '../../scripts/lib/engines/embedded/install.mts'
import { runningEmbedded } from '../../scripts/lib/engines/embedded/processes.mts'
import { startEmbedded, stopEmbedded } from '../../scripts/lib/engines/embedded/stack.mts'
import type { EmbeddedName } from '../../scripts/lib/engines/service.mts'
import { readSettings, type Settings } from '../../scripts/lib/settings/settings.mts'
import { KAFKA_MODE, stackEnv } from './stack.mts'

/** Services that a broker needs, including itself. */
export const BROKER: EmbeddedName[] = KAFKA_MODE === 'kraft' ? ['kafka'] : ['zookeeper', 'kafka']
export const ALL: EmbeddedName[] = [...BROKER, 'clickhouse', 'redis']
export const installed = await install(KAFKA_MODE, () => {})
const stacks: Settings[] = []

/** Returns the settings of a new stack on free ports, without starting it. */
export async function newStack(overrides: NodeJS.ProcessEnv = {}): Promise<Settings> {
  const settings = readSettings(await stackEnv(overrides))
  stacks.push(settings)
  return settings
}

/** Stops every stack that {@link newStack} returned, and deletes its data. */
export async function endStacks(): Promise<void> {
  for (const settings of stacks) {
    await stop(settings)
    rmSync(settings.EMBEDDED_DATA_DIR, { recursive: true, force: true })
  }
}

/** Starts services. Returns by name whether each was started or already running. */
export async function start(settings: Settings, only: EmbeddedName[] = ALL, from: Installed = installed) {
  const started = await startEmbedded(settings, from, () => {}, only)
  return Object.fromEntries(started.map(({ name, state }) => [name, state]))
}

export const stop = (settings: Settings) => stopEmbedded(settings.EMBEDDED_DATA_DIR)

/** Returns the process ids of the running services, by name. */
export function pids(settings: Settings): Record<string, number> {
  return Object.fromEntries(runningEmbedded(settings.EMBEDDED_DATA_DIR).map(({ name, pid }) => [name, pid]))
}

/** Returns the only finding with which `work` fails, and its exit code. */
export async function failureOf(work: Promise<unknown>): Promise<Finding & { exitCode: number }> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (reason) => reason,
  )
  if (!(error instanceof OpsError)) throw error
  assert.is(error.findings.length, 1)
  return { exitCode: error.exitCode, ...(error.findings[0] as Finding) }
}

/** Returns the value of the test key, after setting it if `value` is given. */
export async function redisKey(settings: Settings, value?: string): Promise<string | null> {
  const redis = new Redis({ port: settings.REDIS_PORT })
  if (value) await redis.set('l2:test', value)
  const kept = await redis.get('l2:test')
  redis.disconnect()
  return kept
}
