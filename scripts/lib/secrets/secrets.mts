/** Writes strong passwords to .env, and with `production` the certificates and settings for docker-compose.prod.yml. Shows no secret. */
import { randomInt } from 'node:crypto'
import path from 'node:path'
import type { Finding, Paint } from '../common/findings.mts'
import { registerSecret } from '../common/redact.mts'
import { table } from '../common/table.mts'
import { otherMachines, withoutBrackets } from '../common/tcp.mts'
import { othersMode } from '../common/text-file.mts'
import { envFileName, writeEnvValues } from '../settings/env-file.mts'
import { lookupFor } from '../settings/environment.mts'
import { templateValues } from '../settings/production.mts'
import { ROOT } from '../settings/settings.mts'
import { type AuthorityPlan, type CertificateFile, makeCertificates, planAuthority } from './certificate-authority.mts'
import { type Line, leftFindings, planLines } from './plan.mts'

export interface SecretsOptions {
  production: boolean
  /** Whether to issue new certificates for the services. */
  renew: boolean
  /** Additional host names and addresses for the certificates. */
  names: readonly string[]
  dryRun: boolean
}

export interface Secrets {
  envFile: string
  /** `new`: created from .env.template. `closed`: other users could read it and no longer can. */
  envState: 'new' | 'closed' | 'unchanged'
  lines: Line[]
  files: CertificateFile[]
  findings: Finding[]
  /** Number of changes made, or planned with `dryRun`. */
  changes: number
}

/**
 * Writes the missing secrets, or with `dryRun` only plans them. Creates certificates before it changes settings that refer to them.
 * @throws {OpsError} exit code 1 if a file cannot be written; 2 for errors in .env or certs/; 3 without openssl
 */
export async function writeSecrets({ production, renew, names, dryRun }: SecretsOptions): Promise<Secrets> {
  const [envFile, lookup] = [envFileName(process.env, ROOT), lookupFor(process.env, ROOT)]
  const textOf = (variable: string) => lookup(variable)?.text
  const lines = planLines({
    textOf,
    published: templateValues(),
    shell: new Set(Object.keys(process.env)),
    elsewhere: await readElsewhere(textOf),
    production,
  })
  const authority: AuthorityPlan = production
    ? planAuthority(ROOT, [...new Set([...namesOf(textOf), ...names].map(withoutBrackets))], renew)
    : { files: [], findings: [], names: [] }
  const due = lines.filter(({ action }) => action === 'set')
  const envState = stateOf(path.resolve(ROOT, envFile))
  if (!dryRun) {
    await makeCertificates(ROOT, authority)
    const values = due.map(({ variable, value }): [string, string] => [variable, value ?? newPassword()])
    if (values.length > 0 || envState === 'closed')
      writeEnvValues(ROOT, Object.fromEntries(values), envFile, { secret: true })
  }
  const { files, findings } = authority
  const made = files.filter(({ action }) => action !== 'keep').length
  return {
    envFile,
    envState,
    lines,
    files,
    findings: [...findings, ...leftFindings(lines, envFile)],
    changes: due.length + made + (envState === 'closed' ? 1 : 0),
  }
}

function stateOf(file: string): Secrets['envState'] {
  const mode = othersMode(file)
  if (mode === undefined) return 'new'
  return mode === 0 ? 'unchanged' : 'closed'
}

type TextOf = (variable: string) => string | undefined

const kafkaHosts = (textOf: TextOf): string[] =>
  (textOf('KAFKA_BOOTSTRAP_SERVERS') ?? '').split(',').map((server) => server.trim().replace(/:\d+$/, ''))

/** Returns the services that are not on this machine, each with the variable that says so. */
async function readElsewhere(textOf: TextOf): Promise<Map<string, string>> {
  const services: [string, string, string[]][] = [
    ['kafka', 'KAFKA_BOOTSTRAP_SERVERS', kafkaHosts(textOf)],
    ['clickhouse', 'CLICKHOUSE_HOST', [textOf('CLICKHOUSE_HOST') ?? '']],
    ['redis', 'REDIS_HOST', [textOf('REDIS_HOST') ?? '']],
  ]
  const others = await Promise.all(services.map(([, , hosts]) => otherMachines(hosts)))
  return new Map(services.flatMap(([name, variable], at) => (others[at]?.length ? [[name, variable] as const] : [])))
}

/** Returns the names by which clients reach this stack: loopback, the advertised host, and the bind address. */
function namesOf(textOf: TextOf): string[] {
  const [bind = '', advertised = ''] = ['BIND_ADDRESS', 'KAFKA_ADVERTISED_HOST'].map(textOf)
  return ['localhost', '127.0.0.1', advertised, bind].filter((name) => name !== '' && name !== '0.0.0.0')
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** Generates 32 letters and digits (190 bits), which need no escaping in a shell, URL, JAAS or properties file. */
function newPassword(): string {
  const password = Array.from({ length: 32 }, () => LETTERS[randomInt(LETTERS.length)]).join('')
  registerSecret(password)
  return password
}

type Mark = [style: Parameters<Paint>[0], text: string]
const KEPT: Mark = ['dim', '· keep']
const LINES: Record<Line['action'], Mark> = { set: ['green', '+ set'], keep: KEPT, leave: ['yellow', '! leave'] }
const FILES: Record<CertificateFile['action'], Mark> = {
  make: ['green', '+ create'],
  renew: ['yellow', '~ renew'],
  keep: KEPT,
}

/** Renders one line per variable and file, and the next steps. */
export function renderSecrets(secrets: Secrets, dryRun: boolean, paint: Paint): string {
  const { envFile, envState, lines, files, changes } = secrets
  const mark = ([style, text]: Mark) => paint(style, text)
  const rows = [
    ...files.map(({ file, action, ends }) => [mark(FILES[action]), file, ends ? `until ${ends}` : '']),
    ...lines.map(({ variable, action, why }) => [mark(LINES[action]), variable, why]),
  ]
  const states = {
    new: 'created from .env.template, readable only by its owner',
    closed: 'now readable only by its owner',
    unchanged: '',
  }
  const state = changes > 0 ? states[envState] : ''
  const text = [`${envFile}${state && `: ${state}`}`, table(rows)]
  if (changes === 0) return [...text, 'Nothing to do'].join('\n')
  if (dryRun) return [...text, `Dry run: ${changes} would change`].join('\n')
  const isNew = ({ action, isPassword }: Line) => isPassword && action === 'set'
  const production = lines.some(({ variable }) => variable === 'COMPOSE_FILE')
  const renewed = files.some(({ action }) => action === 'renew')
  if (lines.some(isNew)) text.push('Services use a new password from their next start; your programs need it too.')
  if (production || lines.some(isNew)) text.push(`Next: ${production ? 'npm start' : 'npm stop && npm start'}`)
  if (renewed) text.push('Then, if services are running: docker-compose restart kafka clickhouse redis')
  return text.join('\n')
}
