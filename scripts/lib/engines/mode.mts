/** Chooses whether the stack runs in containers or as plain processes. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { cannotTell, configError, error, unknown } from '../common/findings.mts'
import { composeLookup } from '../settings/environment.mts'
import { isProduction, PRODUCTION_FILE } from '../settings/production.mts'
import { ROOT, type Settings } from '../settings/settings.mts'
import { type Docker, findDocker } from './docker.mts'
import { readRecords, runningEmbedded } from './embedded/processes.mts'
import type { Container } from './inspect.mts'

export type StackMode = 'docker' | 'embedded'

export type ChosenMode = { mode: 'docker'; docker: Docker } | { mode: 'embedded'; because: string }

/**
 * Chooses how to start the stack. Without a `choice`: embedded if the embedded stack already runs, else on Docker if it is available with
 * Compose v2, else embedded.
 * @throws {OpsError} if `choice` is Docker: exit code 2 while the embedded stack runs, 3 if Docker cannot be used
 */
export async function chooseMode(dataDir: string, choice?: StackMode): Promise<ChosenMode> {
  const running = runningEmbedded(dataDir).map(({ name }) => name)
  if (choice === 'docker' && running.length > 0) {
    const found = `the embedded stack is running (${running.join(', ')}) and holds the ports`
    throw configError([error('OTHER_MODE', '--docker', { found, hint: 'npm stop' })])
  }
  if (choice === 'embedded') return { mode: 'embedded', because: 'as requested' }
  if (running.length > 0) return { mode: 'embedded', because: 'it is already running' }
  const docker = await findDocker()
  if (!('missing' in docker)) return { mode: 'docker', docker }
  if (choice !== 'docker') return { mode: 'embedded', because: docker.missing }
  const hint = 'install or start Docker, or: npm start -- --embedded'
  throw cannotTell(unknown('NO_DOCKER', '--docker', { found: docker.missing, hint }))
}

/** The compose file of KRaft mode, as COMPOSE_FILE names it. */
const KRAFT_FILE = 'docker-compose.kraft.yml'

/**
 * Checks that COMPOSE_FILE matches KAFKA_MODE: it names docker-compose.kraft.yml for kraft, and does not for zookeeper.
 * @throws {OpsError} exit code 2 if it does not match: the containers would run other services than the commands expect
 */
export function refuseOtherComposeFiles({ KAFKA_MODE: mode }: Settings, root = ROOT, env = process.env): void {
  const files = composeLookup(env, root)('COMPOSE_FILE')?.text ?? ''
  if (files.includes(KRAFT_FILE) === (mode === 'kraft')) return
  const both = `docker-compose.yml:${KRAFT_FILE}`
  const mistake =
    mode === 'kraft'
      ? { found: `KAFKA_MODE=kraft, but COMPOSE_FILE does not name ${KRAFT_FILE}`, hint: `COMPOSE_FILE=${both}` }
      : { found: `COMPOSE_FILE names ${KRAFT_FILE}, but KAFKA_MODE=zookeeper`, hint: 'KAFKA_MODE=kraft' }
  throw configError([error('COMPOSE_MODE', 'COMPOSE_FILE', { ...mistake, hint: `edit .env: ${mistake.hint}` })])
}

/** @throws {OpsError} exit code 2 if COMPOSE_FILE names docker-compose.prod.yml: the embedded stack has no TLS */
export function refuseProduction(production = isProduction()): void {
  if (!production) return
  const found = `it names ${PRODUCTION_FILE}, but the embedded stack has no TLS`
  const hint = 'start Docker, or use another .env for the embedded stack: --env-file PATH'
  throw configError([error('COMPOSE_MODE', 'COMPOSE_FILE', { found, hint })])
}

/**
 * Returns how the stack runs, or ran before it was stopped or killed.
 * @param containers the stack's containers; undefined if Docker does not answer
 */
export function modeOf(containers: readonly Container[] | undefined, dataDir: string): StackMode | 'unknown' {
  if (containers && containers.length > 0) return 'docker'
  if (readRecords(dataDir).length > 0) return 'embedded'
  // A stop removes the records but keeps the logs.
  return containers && existsSync(path.join(dataDir, 'logs')) ? 'embedded' : 'unknown'
}
