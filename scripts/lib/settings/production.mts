/** Whether Docker Compose reads docker-compose.prod.yml, and which passwords are still the published ones. */
import { readEnvEntries } from './env-file.mts'
import { composeLookup } from './environment.mts'
import { ROOT } from './settings.mts'

/** The compose file for machines that others reach, as COMPOSE_FILE names it. */
export const PRODUCTION_FILE = 'docker-compose.prod.yml'

/** Whether COMPOSE_FILE names {@link PRODUCTION_FILE}: TLS and logins at every port that others reach. */
export const isProduction = (env: NodeJS.ProcessEnv = process.env, root = ROOT): boolean =>
  (composeLookup(env, root)('COMPOSE_FILE')?.text ?? '').includes(PRODUCTION_FILE)

/** What .env.template says, by variable, without references filled in: published passwords have none. */
export const templateValues = (root = ROOT): Map<string, string> =>
  new Map(readEnvEntries(root, '.env.template').map(({ name, text }) => [name, text]))
