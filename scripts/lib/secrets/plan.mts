/** Plans the lines of .env that `npm run secrets` changes: published passwords, and the settings that docker-compose.prod.yml needs. */
import { type Finding, warning } from '../common/findings.mts'
import { PRODUCTION_FILE } from '../settings/production.mts'

type Service = 'kafka' | 'clickhouse' | 'redis' | 'kafka-ui'

/** The plan for one line. A new password has no `value` yet. */
export interface Line {
  variable: string
  service: Service | undefined
  /** `keep`: already correct. `leave`: not correct, but cannot or must not be changed here. */
  action: 'set' | 'keep' | 'leave'
  isPassword: boolean
  value?: string
  why: string
}

export interface Facts {
  /** Returns the effective value of a variable; undefined if it is not set. */
  textOf: (variable: string) => string | undefined
  /** Values of .env.template. */
  published: ReadonlyMap<string, string>
  /** Variables set in the shell, which override .env. */
  shell: ReadonlySet<string>
  /** Services on other machines, each with the variable that says so. */
  elsewhere: ReadonlyMap<string, string>
  /** Whether to set up .env for docker-compose.prod.yml. */
  production: boolean
}

/** The passwords, their services, and whether the service requires a password. */
const PASSWORDS: readonly [variable: string, service: Service, isRequired: (facts: Facts) => boolean][] = [
  ['CLICKHOUSE_PASSWORD', 'clickhouse', () => true],
  ['CLICKHOUSE_READONLY_PASSWORD', 'clickhouse', ({ textOf }) => Boolean(textOf('CLICKHOUSE_READONLY_USER'))],
  ['REDIS_PASSWORD', 'redis', () => true],
  ['KAFKA_SASL_PASSWORD', 'kafka', (facts) => facts.production || isSasl(facts)],
  ['KAFKA_UI_PASSWORD', 'kafka-ui', ({ production }) => production],
]

const SET_IN_SHELL = 'it is set in the shell, which overrides .env'

const isSasl = ({ textOf }: Facts) => textOf('KAFKA_SECURITY_PROTOCOL')?.startsWith('SASL') === true

/** The CA certificate, as named in .env. */
const CA_FILE = 'certs/ca.crt'

/** The settings with which clients connect to the services of docker-compose.prod.yml. */
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

/** Settings that may have any other value. */
const ANY_VALUE = ['KAFKA_SASL_USERNAME', 'KAFKA_SSL_CA_LOCATION', 'CLICKHOUSE_CA_CERT', 'REDIS_CA_CERT']

/** Plans each line that `npm run secrets` manages. Has no side effects; passwords are generated later. */
export function planLines(facts: Facts): Line[] {
  const { textOf, published, shell, elsewhere, production } = facts
  const base = (variable: string, service: Service, isPassword: boolean) => ({ variable, service, isPassword })
  const hindrance = (variable: string, service: Service): string | undefined => {
    if (elsewhere.has(service)) return `${service} is on another machine (${elsewhere.get(service)})`
    return shell.has(variable) ? SET_IN_SHELL : undefined
  }
  const passwords = PASSWORDS.filter(([, , isRequired]) => isRequired(facts)).map(([variable, service]): Line => {
    const line = base(variable, service, true)
    if ((textOf(variable) ?? '') !== (published.get(variable) ?? ''))
      return { ...line, action: 'keep', why: 'already changed' }
    const why = hindrance(variable, service)
    if (why) return { ...line, action: 'leave', why }
    if (service === 'redis' && textOf('REDIS_USERNAME'))
      return { ...line, action: 'leave', why: 'it is the password of REDIS_USERNAME' }
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
    return ANY_VALUE.includes(variable)
      ? { ...line, action: 'keep', why: 'a custom value' }
      : { ...line, action: 'leave', why: `it has a custom value, but ${PRODUCTION_FILE} requires ${value}` }
  })
  return [composeFile(facts), ...settings, ...passwords]
}

function composeFile({ textOf, shell }: Facts): Line {
  const now = textOf('COMPOSE_FILE') ?? ''
  const kraft = textOf('KAFKA_MODE') === 'kraft' ? ':docker-compose.kraft.yml' : ''
  const value = now.includes(PRODUCTION_FILE) ? now : `${now || `docker-compose.yml${kraft}`}:${PRODUCTION_FILE}`
  const line = { variable: 'COMPOSE_FILE', service: undefined, isPassword: false, value }
  if (now === value) return { ...line, action: 'keep', why: value }
  if (shell.has('COMPOSE_FILE')) return { ...line, action: 'leave', why: SET_IN_SHELL }
  return { ...line, action: 'set', why: value }
}

/** Returns a warning for each line with the action `leave`. */
export function leftFindings(lines: readonly Line[], envFile: string): Finding[] {
  return lines
    .filter(({ action }) => action === 'leave')
    .map(({ variable, isPassword, value, why }) =>
      warning('SECRETS_LEFT', variable, {
        found: `left unchanged: ${why}`,
        hint: isPassword ? `set ${variable} yourself` : `edit ${envFile}: ${variable}=${value}`,
      }),
    )
}
