/** The states of ports as findings, and as lines for people. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Finding, Paint } from '../common/findings.mts'
import { parseEnvFile } from '../settings/env-file.mts'
import type { ComposePort } from './compose-document.mts'
import { ownerText } from './owner.mts'
import type { PortState, StackMode } from './ports.mts'
import type { ComposeProject } from './published.mts'

/** How to give a variable another value: what the shell sets wins over .env. */
export const setHint = (variable: string, value: string, env: NodeJS.ProcessEnv): string =>
  env[variable] === undefined ? `edit .env: ${variable}=${value}` : `export ${variable}=${value}`

/** What stands in the way of a start in `mode`, and what only looks odd; nothing for a port that is free or ours. */
export function stateFindings(ports: readonly PortState[], mode: StackMode, env: NodeJS.ProcessEnv): Finding[] {
  return ports.flatMap((port) => stateFinding(port, mode, env) ?? [])
}

function stateFinding(port: PortState, mode: StackMode, env: NodeJS.ProcessEnv): Finding | undefined {
  const { state, owner, localhostOwner } = port
  const about = { subject: `port ${port.port} (${port.service})`, expected: 'a free port' }
  if (state === 'taken') {
    const found = `taken by ${ownerText(owner)}`
    return { severity: 'error', code: 'PORT_TAKEN', ...about, found, hint: takenHint(port, env) }
  }
  if (state === 'absent') {
    const found = `${port.address}, which is no address of this machine`
    const hint = `${setHint('BIND_ADDRESS', '127.0.0.1', env)}, or edit ${port.origin}`
    return { severity: 'error', code: 'PORT_ADDRESS', ...about, found, expected: 'an address of this machine', hint }
  }
  if (state === 'unknown') {
    const found = owner
      ? `held by ${ownerText(owner)}, which may be this stack's own ${port.service}: that runs`
      : 'that this user may not try it'
    return { severity: 'unknown', code: 'PORT_UNKNOWN', ...about, found, hint: 'sudo ./scripts/check-ports.mts' }
  }
  if (owner && (owner.kind === 'container') !== (mode === 'docker')) {
    const found = `taken by ${ownerText(owner)}, this stack in its other form`
    return { severity: 'error', code: 'PORT_OTHER_MODE', ...about, found, hint: 'npm stop' }
  }
  if (!localhostOwner) return undefined
  return {
    severity: 'warning',
    code: 'PORT_LOCALHOST',
    subject: about.subject,
    found: `[::1]:${port.port} held by ${ownerText(localhostOwner)}`,
    expected: 'nothing else where clients of "localhost" look first',
    hint: `let clients use 127.0.0.1:${port.port}, or end what holds it`,
  }
}

function takenHint({ variable, next, origin, owner }: PortState, env: NodeJS.ProcessEnv): string {
  const end = owner?.kind === 'container' ? `docker stop ${owner.container}` : 'end what holds it'
  if (variable === undefined) return `${end}, or edit ${origin}`
  if (next === undefined) return end
  if (env[variable] !== undefined) return `${setHint(variable, String(next), env)}, or ${end}`
  return `./scripts/check-ports.mts --write-env (sets ${variable}=${next}), or ${end}`
}

const LOOPBACK = /^(127\.|::1$)/

/** Warnings for services that other machines can reach without a password of their own: none, an empty one, or the template's. */
export function exposedFindings(
  ports: readonly ComposePort[],
  project: ComposeProject,
  root: string,
  env: NodeJS.ProcessEnv,
): Finding[] {
  const template = path.join(root, '.env.template')
  const defaults = existsSync(template) ? parseEnvFile(readFileSync(template, 'utf8'), '.env.template') : []
  const exposed = ports.filter(({ hostIp }) => !LOOPBACK.test(hostIp))
  return [...new Set(exposed.map(({ service }) => service))].flatMap((service): Finding[] => {
    const environment = Object.entries(project.environments.get(service) ?? {})
    const passwords = environment.filter(([name]) => name.endsWith('PASSWORD'))
    const weak = passwords.filter(
      ([name, value]) => value === '' || defaults.some((entry) => entry.name === name && entry.text === value),
    )
    if (passwords.length > 0 && weak.length === 0) return []
    const [name, value] = weak[0] ?? []
    const password = name === undefined ? 'no password' : value === '' ? `an empty ${name}` : `the default ${name}`
    const open = exposed.filter((port) => port.service === service)
    return [
      {
        severity: 'warning',
        code: 'PORT_EXPOSED',
        subject: service,
        found: `${open.map(({ hostIp, first }) => `${hostIp || '*'}:${first}`).join(', ')} open to other machines with ${password}`,
        expected: 'a password of its own, or 127.0.0.1',
        hint: name === undefined ? setHint('BIND_ADDRESS', '127.0.0.1', env) : setHint(name, "'…'", env),
      },
    ]
  })
}

/** A port that .env was told to move. */
export interface PortChange {
  variable: string
  from: number
  to: number
}

/** Warnings for other lines of .env, such as clients' addresses, that still name a port that was moved. Shows no values. */
export function staleFindings(changes: readonly PortChange[], root: string): Finding[] {
  const entries = parseEnvFile(readFileSync(path.join(root, '.env'), 'utf8'), '.env')
  return changes.flatMap(({ variable, from, to }) =>
    entries
      .filter(({ name, text }) => name !== variable && new RegExp(`(?<!\\d)${from}(?!\\d)`).test(text))
      .map(({ name, origin }) => ({
        severity: 'warning',
        code: 'PORT_STALE',
        subject: `${origin} ${name}`,
        found: `the old port ${from}`,
        expected: `\${${variable}}, which is ${to} now`,
        hint: `edit line ${origin.split(':')[1]} of .env, unless it means another service`,
      })),
  )
}

const MARKS = {
  free: ['green', '✓', 'free'],
  ours: ['green', '✓', 'ours'],
  taken: ['red', '✗', 'taken'],
  absent: ['red', '✗', 'no such address'],
  unknown: ['yellow', '?', 'could not tell'],
} as const

/** One line a port. */
export function renderPorts(ports: readonly PortState[], paint: Paint): string {
  const places = ports.map(({ address, port }) => `${address || '*'}:${port}`)
  const width = Math.max(...places.map((place) => place.length))
  const serviceWidth = Math.max(...ports.map(({ service }) => service.length))
  return ports
    .map(({ state, service, protocol, owner }, index) => {
      const [style, mark, word] = MARKS[state]
      const what = `${service.padEnd(serviceWidth)}  ${places[index]?.padEnd(width)}  ${protocol}`
      // Who took a port is told by its finding.
      const who = owner?.container ?? `${owner?.name}, PID ${owner?.pid}`
      return `${paint(style, mark)} ${what}  ${word}${state === 'ours' ? ` (${who})` : ''}`
    })
    .join('\n')
}
