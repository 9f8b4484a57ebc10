/** Which lines of .env `npm run secrets` changes: passwords that are still the published ones, and what docker-compose.prod.yml needs. */
import { type Finding, warning } from '../common/findings.mts'
import { PRODUCTION_FILE } from '../settings/production.mts'

type Service = 'kafka' | 'clickhouse' | 'redis' | 'kafka-ui'

/** What becomes of a line. A new password has no `value` yet. */
export interface Line {
  variable: string
  service: Service | undefined
  /** `keep`: as it should be. `leave`: it cannot or must not be changed here. */
  action: 'set' | 'keep' | 'leave'
  isPassword: boolean
  value?: string
  why: string
}

export interface Facts {
  /** The value in force of a variable; undefined for one that is not set. */
  textOf: (variable: string) => string | undefined
  /** What .env.template says. */
  published: ReadonlyMap<string, string>
  /** Variables that the shell sets, which wins over .env. */
  shell: ReadonlySet<string>
  /** Services that the settings lead to on other machines, with the variable that does. */
  elsewhere: ReadonlyMap<string, string>
  /** Whether .env is to be made one for docker-compose.prod.yml. */
  production: boolean
}

/** The passwords, the services that ask for them, and when one does. */
const PASSWORDS: readonly [variable: string, service: Service, isAsked: (facts: Facts) => boolean][] = [
  ['CLICKHOUSE_PASSWORD', 'clickhouse', () => true],
  ['CLICKHOUSE_READONLY_PASSWORD', 'clickhouse', ({ textOf }) => Boolean(textOf('CLICKHOUSE_READONLY_USER'))],
  ['REDIS_PASSWORD', 'redis', () => true],
  ['KAFKA_SASL_PASSWORD', 'kafka', (facts) => facts.production || isSasl(facts)],
  ['KAFKA_UI_PASSWORD', 'kafka-ui', ({ production }) => production],
]

const isSasl = ({ textOf }: Facts) => textOf('KAFKA_SECURITY_PROTOCOL')?.startsWith('SASL') === true

/** The authority's certificate, as .env names it. */
export const CA_FILE = 'certs/ca.crt'

/** How clients reach the services of docker-compose.prod.yml. */
const SETTINGS: readonly [variable: string, service: Service, value: string][] = [
  ['KAFKA_SECURITY_PROTOCOL', 'kafka', 'SASL_SSL'],
  ['KAFKA_SASL_MECHANISM', 'kafka', 'PLAIN'],
  ['KAFKA_SASL_USERNAME', 'kafka', 'l2'],
  ['KAFKA_SSL_CA_LOCATION', 'kafka', CA_FILE],
  ['CLICKHOUSE_SECURE', 'clickhouse', 'true'],
  ['CLICKHOUSE_CA_CERT', 'clickhouse', CA_FILE],
  ['REDIS_TLS', 'redis', 'true'],
  ['REDIS_CA_CERT', 'redis', CA_FILE],
]

/** Settings for which another value than ours does as well. */
const FREE = ['KAFKA_SASL_USERNAME', 'KAFKA_SSL_CA_LOCATION', 'CLICKHOUSE_CA_CERT', 'REDIS_CA_CERT']

/** What becomes of each line that `npm run secrets` is about. Pure; a password's value is made later. */
export function planLines(facts: Facts): Line[] {
  const { textOf, published, shell, elsewhere, production } = facts
  const base = (variable: string, service: Service, isPassword: boolean) => ({ variable, service, isPassword })
  const hindrance = (variable: string, service: Service): string | undefined => {
    if (elsewhere.has(service)) return `${service} is on another machine (${elsewhere.get(service)})`
    return shell.has(variable) ? 'the shell sets it, which wins over .env' : undefined
  }
  const passwords = PASSWORDS.filter(([, , isAsked]) => isAsked(facts)).map(([variable, service]): Line => {
    const line = base(variable, service, true)
    if ((textOf(variable) ?? '') !== (published.get(variable) ?? ''))
      return { ...line, action: 'keep', why: 'not the published one' }
    const why = hindrance(variable, service)
    if (why) return { ...line, action: 'leave', why }
    if (service === 'redis' && textOf('REDIS_USERNAME'))
      return { ...line, action: 'leave', why: 'it belongs to REDIS_USERNAME' }
    return { ...line, action: 'set', why: 'a new password' }
  })
  if (!production) return passwords
  const settings = SETTINGS.map(([variable, service, value]): Line => {
    const line = { ...base(variable, service, false), value }
    const now = textOf(variable) ?? ''
    if (now === value) return { ...line, action: 'keep', why: value }
    const why = hindrance(variable, service)
    if (why) return { ...line, action: 'leave', why }
    if (now === (published.get(variable) ?? '')) return { ...line, action: 'set', why: value }
    return FREE.includes(variable)
      ? { ...line, action: 'keep', why: 'a value of your own' }
      : { ...line, action: 'leave', why: `has a value of its own, and ${PRODUCTION_FILE} needs ${value}` }
  })
  return [composeFile(facts), ...settings, ...passwords]
}

function composeFile({ textOf, shell }: Facts): Line {
  const now = textOf('COMPOSE_FILE') ?? ''
  const kraft = textOf('KAFKA_MODE') === 'kraft' ? ':docker-compose.kraft.yml' : ''
  const value = now.includes(PRODUCTION_FILE) ? now : `${now || `docker-compose.yml${kraft}`}:${PRODUCTION_FILE}`
  const line = { variable: 'COMPOSE_FILE', service: undefined, isPassword: false, value }
  if (now === value) return { ...line, action: 'keep', why: value }
  if (shell.has('COMPOSE_FILE')) return { ...line, action: 'leave', why: 'the shell sets it, which wins over .env' }
  return { ...line, action: 'set', why: value }
}

/** A warning for each line that is not as it should be and is left alone. */
export function leftFindings(lines: readonly Line[], envFile: string): Finding[] {
  return lines
    .filter(({ action }) => action === 'leave')
    .map(({ variable, isPassword, value, why }) =>
      warning('SECRETS_LEFT', variable, {
        found: `left as it is: ${why}`,
        hint: isPassword ? `set ${variable} yourself` : `edit ${envFile}: ${variable}=${value}`,
      }),
    )
}
