/** Finds targets that are not on this machine, and asks for confirmation before a command changes one. */
import { error, type Finding } from '../common/findings.mts'
import { otherMachines, splitAddress } from '../common/tcp.mts'
import { isProduction, PRODUCTION_FILE } from '../settings/production.mts'
import { reachable, type Settings } from '../settings/settings.mts'
import { confirmWord, requireTerminal } from './confirm.mts'

export type Target = 'kafka' | 'clickhouse' | 'redis'

/** Returns the variable that names a target's hosts, the hosts, and how messages show the target. */
function addressOf(settings: Settings, target: Target): { variable: string; hosts: string[]; shown: string } {
  const { CLICKHOUSE_HOST, CLICKHOUSE_PORT, REDIS_HOST, REDIS_PORT } = settings
  const { KAFKA_BOOTSTRAP_SERVERS: servers, KAFKA_SECURITY_PROTOCOL: protocol } = settings
  const user = settings.KAFKA_SASL_USERNAME && ` as ${settings.KAFKA_SASL_USERNAME}`
  const database = `database ${settings.CLICKHOUSE_DATABASE} as ${settings.CLICKHOUSE_USER}`
  return {
    kafka: {
      variable: 'KAFKA_BOOTSTRAP_SERVERS',
      hosts: servers.map((server) => splitAddress(server).host),
      shown: `kafka ${servers.join(', ')}${user} (${protocol})`,
    },
    clickhouse: {
      variable: 'CLICKHOUSE_HOST',
      hosts: [CLICKHOUSE_HOST],
      shown: `clickhouse ${CLICKHOUSE_HOST}:${CLICKHOUSE_PORT}, ${database}`,
    },
    redis: { variable: 'REDIS_HOST', hosts: [REDIS_HOST], shown: `redis ${REDIS_HOST}:${REDIS_PORT}` },
  }[target]
}

/** Returns those of `targets` that are not on this machine, including hosts that do not resolve. */
async function remote(settings: Settings, targets: readonly Target[]) {
  const addresses = targets.map((target) => addressOf(settings, target))
  const others = await Promise.all(addresses.map(({ hosts }) => otherMachines(hosts)))
  return addresses.filter((_, index) => others[index]?.length)
}

/** Logs which of `targets` are not on this machine; returns true if there are any. */
export async function nameRemote(settings: Settings, targets: readonly Target[], log: (line: string) => void) {
  const remoteTargets = await remote(settings, targets)
  for (const { shown } of remoteTargets) log(`Remote target: ${shown}`)
  return remoteTargets.length > 0
}

/**
 * Reports whether a command may change `targets`. If some are not on this machine, logs them and, without `yes`, asks for confirmation.
 * @param options.command subject of the finding
 * @throws {OpsError} exit code 2 when it would have to ask and there is no terminal
 */
export async function mayChange(
  settings: Settings,
  targets: readonly Target[],
  { yes, command, log }: { yes: boolean; command: string; log: (line: string) => void },
): Promise<boolean> {
  if (!(await nameRemote(settings, targets, log)) || yes) return true
  requireTerminal(command, 'a remote target, and no terminal to ask for confirmation', 'add --yes')
  return confirmWord('This changes it. Type "yes" to continue [No]: ', 'yes')
}

/** The report of a command that the user declined. */
export const DECLINED = { findings: [] as Finding[], text: 'Declined: nothing was changed', exitCode: 1 as const }

/**
 * Returns a finding for each setting that points `npm start`, which only serves this machine, at external services. This includes security
 * settings that this stack's own services do not have: TLS without docker-compose.prod.yml, anything else with it.
 */
export async function foreignTargets(settings: Settings, production = isProduction()): Promise<Finding[]> {
  const hint =
    'move the settings of external services to a separate file, and pass it to other commands: --env-file PATH'
  const mistake = (subject: string, found: string) => error('SETTING', subject, { found, hint })
  const secure = [
    ['KAFKA_SECURITY_PROTOCOL', settings.KAFKA_SECURITY_PROTOCOL, production ? 'SASL_SSL' : 'PLAINTEXT'],
    ['KAFKA_SASL_MECHANISM', settings.KAFKA_SASL_MECHANISM, production ? 'PLAIN' : ''],
    ['CLICKHOUSE_SECURE', settings.CLICKHOUSE_SECURE, String(production)],
    ['REDIS_TLS', settings.REDIS_TLS, String(production)],
    ['REDIS_USERNAME', settings.REDIS_USERNAME, ''],
  ] as const
  const other = (variable: string, value: string, required: string) =>
    production
      ? error('SETTING', variable, {
          found: value || 'none',
          expected: `${required || 'none'}, with ${PRODUCTION_FILE}`,
          hint: 'npm run secrets -- --production',
        })
      : mistake(variable, `${value}, which the services of this stack do not use without docker-compose.prod.yml`)
  return [
    ...secure
      .filter(([, value, required]) => value !== required)
      .map(([variable, value, required]) => other(variable, value, required)),
    ...(await remote(settings, ['kafka', 'clickhouse', 'redis'])).map(({ variable, hosts }) =>
      mistake(variable, `${hosts.join(', ')}, which is not this machine`),
    ),
  ]
}

/**
 * Returns a finding for each variable that points clients at this machine's loopback address while BIND_ADDRESS makes the services listen
 * only on another address: they would start, but clients could not reach them.
 */
export function strayClients(settings: Settings): Finding[] {
  const { BIND_ADDRESS: bind, KAFKA_BOOTSTRAP_SERVERS: servers } = settings
  if (reachable(bind) === '127.0.0.1') return []
  const isStray = (host: string) => /^(localhost|127\.[\d.]+)$/.test(host) && host !== bind
  const hosts = {
    KAFKA_ADVERTISED_HOST: [settings.KAFKA_ADVERTISED_HOST],
    KAFKA_BOOTSTRAP_SERVERS: servers.map((server) => server.slice(0, server.lastIndexOf(':'))),
    CLICKHOUSE_HOST: [settings.CLICKHOUSE_HOST],
    REDIS_HOST: [settings.REDIS_HOST],
  }
  return Object.entries(hosts)
    .filter(([, each]) => each.some(isStray))
    .map(([variable, each]) => {
      const value = variable === 'KAFKA_BOOTSTRAP_SERVERS' ? `${bind}:${settings.KAFKA_LISTENER_PORT}` : bind
      return error('SETTING', variable, {
        found: `${each.join(', ')}, on which nothing listens with BIND_ADDRESS=${bind}`,
        expected: bind,
        hint: `edit .env: ${variable}=${value}`,
      })
    })
}
