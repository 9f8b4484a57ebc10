/** Whether this stack's clients look for it where it listens. */
import { error, type Finding } from '../common/findings.mts'
import { reachable, type Settings } from './settings.mts'

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
