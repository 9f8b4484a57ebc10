/** Where the settings lead to: what is not on this machine is named, and asked about, before a command changes it. */
import { error, type Finding } from '../common/findings.mts'
import { otherMachines, splitAddress } from '../common/tcp.mts'
import { isProduction, PRODUCTION_FILE } from '../settings/production.mts'
import { reachable, type Settings } from '../settings/settings.mts'
import { confirmWord, requireTerminal } from './confirm.mts'

export type Target = 'kafka' | 'clickhouse' | 'redis'

/** Where the settings lead to: variable, hosts, and how a line names it. */
function placeOf(settings: Settings, target: Target): { variable: string; hosts: string[]; shown: string } {
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

/** Those of `targets` that are not on this machine; a host name that cannot be looked up is not. */
async function remote(settings: Settings, targets: readonly Target[]) {
  const places = targets.map((target) => placeOf(settings, target))
  const others = await Promise.all(places.map(({ hosts }) => otherMachines(hosts)))
  return places.filter((_, index) => others[index]?.length)
}

/** Says which of `targets` are not on this machine; true when any is not. */
export async function nameRemote(settings: Settings, targets: readonly Target[], log: (line: string) => void) {
  const places = await remote(settings, targets)
  for (const { shown } of places) log(`Target, not on this machine: ${shown}`)
  return places.length > 0
}

/**
 * Whether a command may change `targets`: at once where all are on this machine; else it says which are not, and with `yes` goes on, else asks.
 * @param options.command as its hint is to name it
 * @throws {OpsError} exit code 2, without `yes` and without a terminal to ask on
 */
export async function mayChange(
  settings: Settings,
  targets: readonly Target[],
  { yes, command, log }: { yes: boolean; command: string; log: (line: string) => void },
): Promise<boolean> {
  if (!(await nameRemote(settings, targets, log)) || yes) return true
  requireTerminal(command, 'a target that is not on this machine, and no terminal to ask on', 'add --yes')
  return confirmWord('This changes it. Type "yes" to go on [No]: ', 'yes')
}

/** What a command reports when the answer is No. */
export const DECLINED = { findings: [] as Finding[], text: 'Declined: nothing was changed', exitCode: 1 as const }

/**
 * A mistake for each setting by which `npm start`, which serves this machine, would change or ask services of others. They have no TLS, or with
 * docker-compose.prod.yml nothing else.
 */
export async function foreignTargets(settings: Settings, production = isProduction()): Promise<Finding[]> {
  const hint = 'put what leads to services of others in a file of its own: --env-file PATH, with other commands'
  const mistake = (subject: string, found: string) => error('SETTING', subject, { found, hint })
  const secure = [
    ['KAFKA_SECURITY_PROTOCOL', settings.KAFKA_SECURITY_PROTOCOL, production ? 'SASL_SSL' : 'PLAINTEXT'],
    ['KAFKA_SASL_MECHANISM', settings.KAFKA_SASL_MECHANISM, production ? 'PLAIN' : ''],
    ['CLICKHOUSE_SECURE', settings.CLICKHOUSE_SECURE, String(production)],
    ['REDIS_TLS', settings.REDIS_TLS, String(production)],
    ['REDIS_USERNAME', settings.REDIS_USERNAME, ''],
  ] as const
  const other = (variable: string, value: string, own: string) =>
    production
      ? error('SETTING', variable, {
          found: value || 'none',
          expected: `${own || 'none'}, with ${PRODUCTION_FILE}`,
          hint: 'npm run secrets -- --production',
        })
      : mistake(variable, `${value}, which this stack’s own services do not have`)
  return [
    ...secure.filter(([, value, own]) => value !== own).map(([variable, value, own]) => other(variable, value, own)),
    ...(await remote(settings, ['kafka', 'clickhouse', 'redis'])).map(({ variable, hosts }) =>
      mistake(variable, `${hosts.join(', ')}, which is not this machine`),
    ),
  ]
}

/**
 * A mistake for each variable that leads clients to this machine's loopback address while BIND_ADDRESS has the services listen at another
 * one alone: they would start, and nobody would reach them.
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
        found: `${each.join(', ')}, where nothing listens with BIND_ADDRESS=${bind}`,
        expected: bind,
        hint: `edit .env: ${variable}=${value}`,
      })
    })
}
