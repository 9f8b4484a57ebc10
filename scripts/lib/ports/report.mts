/** Reports the states of ports as findings and as a table. */
import { error, type Finding, type Paint, unknown, warning } from '../common/findings.mts'
import { table } from '../common/table.mts'
import type { StackMode } from '../engines/mode.mts'
import { envFileName, readEnvEntries } from '../settings/env-file.mts'
import { templateValues } from '../settings/production.mts'
import { ROOT, type Settings } from '../settings/settings.mts'
import { ownerText } from './owner.mts'
import type { PublishedPort } from './published.mts'
import type { PortState } from './state.mts'

/** The hint to change a variable where it is set: in the shell, which overrides .env, or in .env. */
export const setHint = (variable: string, value: string): string =>
  process.env[variable] === undefined
    ? `edit ${envFileName(process.env, ROOT)}: ${variable}=${value}`
    : `export ${variable}=${value}`

/** The hint to change a port or address that no setting defines. */
export const composeHint = (service: string): string => `edit the ports of ${service} in the compose file`

/** Returns the finding for a port that blocks a start in `mode`, or that may confuse clients; undefined if nothing is wrong with it. */
export function stateFinding(port: PortState, mode: StackMode, settings: Settings): Finding | undefined {
  const { state, service, address, owner, localhostOwner } = port
  const subject = `port ${port.port} (${service})`
  if (state === 'taken')
    return error('PORT_TAKEN', subject, { found: `taken by ${ownerText(owner)}`, hint: takenHint(port) })
  if (state === 'absent') {
    const found = `${address}, which is not an address of this machine`
    const hint = address === settings.BIND_ADDRESS ? setHint('BIND_ADDRESS', '127.0.0.1') : composeHint(service)
    return error('PORT_ADDRESS', subject, { found, hint })
  }
  if (state === 'unknown') {
    const found = owner
      ? `held by ${ownerText(owner)}, which may be this stack's running ${service}`
      : 'this user may not bind it'
    return unknown('PORT_UNKNOWN', subject, { found, hint: 'sudo ./scripts/check-ports.mts' })
  }
  if (owner && (owner.kind === 'container') !== (mode === 'docker')) {
    const found = `taken by ${ownerText(owner)}: this stack runs ${mode === 'docker' ? 'embedded' : 'on Docker'}`
    return error('PORT_OTHER_MODE', subject, { found, hint: 'npm stop' })
  }
  if (!localhostOwner) return undefined
  const found = `[::1]:${port.port} held by ${ownerText(localhostOwner)}; clients of "localhost" connect there first`
  const hint = `connect clients to 127.0.0.1:${port.port}, or stop that process`
  return warning('PORT_LOCALHOST', subject, { found, hint })
}

function takenHint({ service, variable, next, owner }: PortState): string {
  const stop = owner?.kind === 'container' ? `docker stop ${owner.container}` : 'stop that process'
  if (variable === undefined) return `${stop}, or ${composeHint(service)}`
  if (next === undefined) return stop
  if (process.env[variable] !== undefined) return `${setHint(variable, String(next))}, or ${stop}`
  return `./scripts/check-ports.mts --write-env (sets ${variable}=${next}), or ${stop}`
}

export const isLoopback = (address: string): boolean => /^(127\.|::1$)/.test(address)

/** The password settings of the services that always have a password. */
const PASSWORDS: Record<string, 'CLICKHOUSE_PASSWORD' | 'REDIS_PASSWORD'> = {
  clickhouse: 'CLICKHOUSE_PASSWORD',
  redis: 'REDIS_PASSWORD',
}

/**
 * Returns a warning for each service that other machines can reach with no password, an empty one or the template's, and one warning for
 * all services that they can reach without TLS.
 */
export function exposedFindings(ports: readonly PublishedPort[], settings: Settings, production: boolean): Finding[] {
  const exposed = ports.filter(({ hostIp }) => !isLoopback(hostIp))
  return [...openFindings(exposed, settings, production), ...(production ? [] : plainFindings(exposed, settings))]
}

/** Warns of the ports that the settings publish without TLS. */
function plainFindings(exposed: readonly PublishedPort[], { BIND_ADDRESS: bind }: Settings): Finding[] {
  const services = [
    ...new Set(exposed.filter(({ variable, hostIp }) => variable && hostIp === bind).map(({ service }) => service)),
  ]
  if (services.length === 0) return []
  const found = `${services.join(', ')} open to other machines without TLS: traffic can be read in transit`
  const hint = 'npm run secrets -- --production, then npm start (Docker): docs/production.md'
  return [warning('PORT_PLAIN', `BIND_ADDRESS ${bind}`, { found, hint })]
}

function openFindings(exposed: readonly PublishedPort[], settings: Settings, production: boolean): Finding[] {
  return [...new Set(exposed.map(({ service }) => service))].flatMap((service): Finding[] => {
    const open = exposed.filter((port) => port.service === service)
    const addresses = open.map(({ hostIp, first }) => `${hostIp || '*'}:${first}`).join(', ')
    const report = (found: string, hint: string) => [
      warning('PORT_EXPOSED', service, { found: `${addresses} open to other machines${found}`, hint }),
    ]
    // The compose file defines this port, so no setting changes its address.
    if (open.some(({ variable, hostIp }) => !variable || hostIp !== settings.BIND_ADDRESS))
      return report('', `unless it requires a password: ${composeHint(service)} (127.0.0.1:PORT:PORT)`)
    const name = production && service === 'kafka' ? 'KAFKA_SASL_PASSWORD' : PASSWORDS[service]
    if (!name) return report(' with no password', setHint('BIND_ADDRESS', '127.0.0.1'))
    if (settings[name] !== '' && templateValues().get(name) !== settings[name]) return []
    const envFile = envFileName(process.env, ROOT)
    const secrets = envFile === '.env' ? 'npm run secrets' : `npm run secrets -- --env-file ${envFile}`
    const hint = process.env[name] === undefined ? secrets : setHint(name, "'…'")
    return report(` with ${settings[name] === '' ? 'an empty' : 'the default'} ${name}`, hint)
  })
}

/** A port that --write-env changed in .env. */
export interface PortChange {
  variable: string
  from: number
  to: number
}

/** Warns of other lines of .env, such as clients' addresses, that still name a port that was changed. Shows no values. */
export function staleFindings(changes: readonly PortChange[]): Finding[] {
  const fileName = envFileName(process.env, ROOT)
  const entries = readEnvEntries(ROOT, fileName)
  return changes.flatMap(({ variable, from, to }) =>
    entries
      .filter(({ name, text }) => name !== variable && new RegExp(`(?<!\\d)${from}(?!\\d)`).test(text))
      .map(({ name, origin }) =>
        warning('PORT_STALE', `${origin} ${name}`, {
          found: `the old port ${from}`,
          expected: `\${${variable}}, which is now ${to}`,
          hint: `edit line ${origin.split(':')[1]} of ${fileName}, unless it refers to another service`,
        }),
      ),
  )
}

const MARKS = {
  free: ['green', '✓', 'free'],
  ours: ['green', '✓', 'ours'],
  taken: ['red', '✗', 'taken'],
  absent: ['red', '✗', 'no such address'],
  unknown: ['yellow', '?', 'could not tell'],
} as const

/** Renders one line per port. */
export function renderPorts(ports: readonly PortState[], paint: Paint): string {
  const rows = ports.map(({ state, service, address, port, protocol, owner }) => {
    const [style, mark, word] = MARKS[state]
    // A taken port's finding names its holder.
    const holder = state === 'ours' ? ` (${owner?.container ?? `${owner?.name}, PID ${owner?.pid}`})` : ''
    return [`${paint(style, mark)} ${service}`, `${address || '*'}:${port}`, protocol, `${word}${holder}`]
  })
  return table(rows, { indent: 0 })
}
