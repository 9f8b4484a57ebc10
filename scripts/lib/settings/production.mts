/** Detects the use of docker-compose.prod.yml, and reads the published values of .env.template. */
import { readEnvEntries } from './env-file.mts'
import { composeLookup } from './environment.mts'
import { ROOT } from './settings.mts'

/** The compose file for machines that others can reach. */
export const PRODUCTION_FILE = 'docker-compose.prod.yml'

/** Reports whether COMPOSE_FILE includes {@link PRODUCTION_FILE}, which adds TLS and authentication to every port that other machines can reach. */
export const isProduction = (env: NodeJS.ProcessEnv = process.env, root = ROOT): boolean =>
  (composeLookup(env, root)('COMPOSE_FILE')?.text ?? '').includes(PRODUCTION_FILE)

/** Returns the values of .env.template by variable. References stay unresolved; the published passwords contain none. */
export const templateValues = (root = ROOT): Map<string, string> =>
  new Map(readEnvEntries(root, '.env.template').map(({ name, text }) => [name, text]))
