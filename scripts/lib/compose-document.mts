/** One Compose file, as far as ports need it: services with their ports, environment and profiles, and where each port stands. */
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml'
import { cannotTell, type Finding, reason } from './findings.mts'
import { interpolate, type Lookup } from './interpolate.mts'
import { type PublishedPort, parseLongPort, parseShortPort, splitShortPort } from './port-spec.mts'

export interface ComposePort extends PublishedPort {
  service: string
  /** The variable that alone sets the port on the host, if there is one. */
  variable: string | undefined
  /** File and line, for messages. */
  origin: string
}

export interface Service {
  ports: ComposePort[]
  environment: Record<string, string>
  profiles: string[]
}

export interface ComposeDocument {
  name: string | undefined
  services: Map<string, Service>
}

export type Mistake = Omit<Finding, 'severity'>

/** An entry of `ports` with what its value does not tell: its line, and its host port before variables were filled in. */
interface Placed {
  line: number
  written: string
  entry: unknown
}

/**
 * What `content` declares. Mistakes are added to `wrong`.
 * @throws {OpsError} exit code 3 for `extends`, `include` and tags, which Compose alone follows
 */
export function parseComposeFile(file: string, content: string, lookup: Lookup, wrong: Mistake[]): ComposeDocument {
  const before = wrong.length
  const lines = new LineCounter()
  const lineOf = (offset: number | undefined) => lines.linePos(offset ?? 0).line
  const report = (line: number, found: string, expected: string) =>
    wrong.push({
      code: 'COMPOSE_FILE',
      subject: `${file}:${line}`,
      found,
      expected,
      hint: `edit line ${line} of ${file}`,
    })
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false, merge: true })
  for (const { pos, message } of document.errors) report(lineOf(pos[0]), message, 'valid YAML')
  if (document.errors.length > 0) return { name: undefined, services: new Map() }

  const written = new Map<unknown, string>()
  visit(document, {
    Node: (key, node) => {
      if (node.tag?.startsWith('!')) throw onlyCompose(`${file}:${lineOf(node.range?.[0])}`, node.tag)
      if (!isScalar(node) || key === 'key' || typeof node.value !== 'string') return
      written.set(node, node.value)
      try {
        node.value = interpolate(node.value, lookup)
      } catch (error) {
        report(lineOf(node.range?.[0]), reason(error), 'variables that can be filled in')
      }
    },
  })
  // A value that could not be filled in would be a second mistake.
  if (wrong.length > before) return { name: undefined, services: new Map() }

  // Entries of `ports` take along where they stand: an anchor or a merge may bring them to several services.
  const resolve = (node: unknown) => (isAlias(node) ? node.resolve(document) : node)
  visit(document, {
    Pair: (_, pair) => {
      const list = resolve(pair.value)
      if (!isScalar(pair.key) || pair.key.value !== 'ports' || !isSeq<Node>(list)) return
      pair.value = document.createNode(
        list.items.map((item): Placed => {
          const entry = resolve(item)
          const port = isMap(entry) ? written.get(resolve(entry.get('published', true))) : written.get(entry)
          const short = isMap(entry) ? port : port && splitShortPort(port.replace(/\/\w+$/, '')).published
          return {
            line: lineOf(item.range?.[0]),
            written: short ?? '',
            entry: isNode(item) ? item.toJS(document) : item,
          }
        }),
      )
      return visit.SKIP
    },
  })

  const plain = mapping(document.toJS())
  if (plain.include) throw onlyCompose(file, 'include')
  const services = new Map<string, Service>()
  for (const [service, value] of Object.entries(mapping(plain.services))) {
    const { ports, environment, profiles, extends: base } = mapping(value)
    if (base) throw onlyCompose(file, `services.${service}.extends`)
    const published = (Array.isArray(ports) ? (ports as Placed[]) : []).flatMap(({ line, written: short, entry }) => {
      try {
        const found = typeof entry === 'object' ? parseLongPort(mapping(entry)) : parseShortPort(String(entry))
        const alone = found.length === 1 && found[0]?.first === found[0]?.last
        const variable = alone ? variableOf(short) : undefined
        return found.map((port): ComposePort => ({ ...port, service, variable, origin: `${file}:${line}` }))
      } catch (error) {
        report(line, `${reason(error)} in ports of ${service}`, '[IP:]HOST_PORT:PORT[/PROTOCOL]')
        return []
      }
    })
    services.set(service, {
      ports: published,
      environment: environmentOf(environment, lookup),
      profiles: Array.isArray(profiles) ? profiles.map(String) : [],
    })
  }
  return { name: typeof plain.name === 'string' ? plain.name : undefined, services }
}

function mapping(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

/** The one variable that a text consists of, with or without a default: REDIS_PORT for `${REDIS_PORT:-6380}`. */
function variableOf(text: string): string | undefined {
  const [, braced, plain] = /^\$(?:\{([A-Za-z_]\w*)(?::?[-?][^{}]*)?\}|([A-Za-z_]\w*))$/.exec(text) ?? []
  return braced ?? plain
}

/** Both forms of `environment`: a mapping, or a list of NAME=value. A name without value passes on the variable of that name. */
function environmentOf(environment: unknown, lookup: Lookup): Record<string, string> {
  const pairs: [string, unknown][] = Array.isArray(environment)
    ? environment.map(String).map((entry) => {
        const at = entry.indexOf('=')
        return at < 0 ? [entry, null] : [entry.slice(0, at), entry.slice(at + 1)]
      })
    : Object.entries(mapping(environment))
  return Object.fromEntries(pairs.map(([name, value]) => [name, value === null ? (lookup(name) ?? '') : String(value)]))
}

function onlyCompose(subject: string, found: string): Error {
  return cannotTell({
    code: 'COMPOSE_NEEDED',
    subject,
    found,
    expected: 'Docker Compose v2, which alone follows it',
    hint: 'https://docs.docker.com/compose/install/',
  })
}
