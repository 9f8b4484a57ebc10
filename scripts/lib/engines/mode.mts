/** Whether the stack runs in containers or as plain processes. */
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
 * How a start runs the stack: as `choice` says; else embedded if that stack runs, else on Docker if its engine answers and has a Compose v2,
 * else embedded.
 * @throws {OpsError} when Docker is chosen: exit code 2 while the embedded stack runs, 3 when Docker cannot be used
 */
export async function chooseMode(dataDir: string, choice?: StackMode): Promise<ChosenMode> {
  const running = runningEmbedded(dataDir).map(({ name }) => name)
  if (choice === 'docker' && running.length > 0) {
    const found = `the embedded stack runs (${running.join(', ')}) and holds the ports`
    throw configError([error('OTHER_MODE', '--docker', { found, hint: 'npm stop' })])
  }
  if (choice === 'embedded') return { mode: 'embedded', because: 'as asked' }
  if (running.length > 0) return { mode: 'embedded', because: 'it runs already' }
  const docker = await findDocker()
  if (!('missing' in docker)) return { mode: 'docker', docker }
  if (choice !== 'docker') return { mode: 'embedded', because: docker.missing }
  const hint = 'install or start Docker, or: npm start -- --embedded'
  throw cannotTell(unknown('NO_DOCKER', '--docker', { found: docker.missing, hint }))
}

/** The compose file that takes ZooKeeper away, as COMPOSE_FILE names it. */
const KRAFT_FILE = 'docker-compose.kraft.yml'

/**
 * Does nothing where Docker Compose reads the files of KAFKA_MODE: docker-compose.kraft.yml for kraft, and not for zookeeper.
 * @throws {OpsError} exit code 2: the commands would look for services that the containers are not
 */
export function refuseOtherFiles({ KAFKA_MODE: mode }: Settings, root = ROOT, env = process.env): void {
  const files = composeLookup(env, root)('COMPOSE_FILE')?.text ?? ''
  if (files.includes(KRAFT_FILE) === (mode === 'kraft')) return
  const both = `docker-compose.yml:${KRAFT_FILE}`
  const mistake =
    mode === 'kraft'
      ? { found: `KAFKA_MODE=kraft, but COMPOSE_FILE does not name ${KRAFT_FILE}`, hint: `COMPOSE_FILE=${both}` }
      : { found: `COMPOSE_FILE names ${KRAFT_FILE}, but KAFKA_MODE=zookeeper`, hint: 'KAFKA_MODE=kraft' }
  throw configError([error('COMPOSE_MODE', 'COMPOSE_FILE', { ...mistake, hint: `edit .env: ${mistake.hint}` })])
}

/** @throws {OpsError} exit code 2 where COMPOSE_FILE names docker-compose.prod.yml: the embedded stack has no TLS */
export function refuseProduction(production = isProduction()): void {
  if (!production) return
  const found = `it names ${PRODUCTION_FILE}, and the embedded stack has no TLS`
  const hint = 'start Docker, or name another .env for the embedded stack: --env-file PATH'
  throw configError([error('COMPOSE_MODE', 'COMPOSE_FILE', { found, hint })])
}

/**
 * How the stack runs, or ran before it was stopped or killed.
 * @param containers the stack's; undefined when Docker does not say
 */
export function modeOf(containers: readonly Container[] | undefined, dataDir: string): StackMode | 'unknown' {
  if (containers && containers.length > 0) return 'docker'
  if (readRecords(dataDir).length > 0) return 'embedded'
  // A stop removes the records and leaves the logs.
  return containers && existsSync(path.join(dataDir, 'logs')) ? 'embedded' : 'unknown'
}
