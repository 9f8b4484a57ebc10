/** One Compose file, as far as ports need it: services with their ports, environment and profiles, and where each port stands. */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml'
import { cannotTell, type Finding, reason } from '../common/findings.mts'
import { interpolate, type Lookup } from '../settings/interpolate.mts'
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

type Report = (line: number, found: string, expected: string) => void

/**
 * What `content` declares. Mistakes are added to `wrong`.
 * @throws {OpsError} exit code 3 for `extends`, `include` and tags, which Compose alone follows
 */
export function parseComposeFile(file: string, content: string, lookup: Lookup, wrong: Mistake[]): ComposeDocument {
  const nothing: ComposeDocument = { name: undefined, services: new Map() }
  const lines = new LineCounter()
  const lineOf = (node: unknown) => lines.linePos((isNode(node) && node.range?.[0]) || 0).line
  let good = true
  const report: Report = (line, found, expected) => {
    const subject = `${file}:${line}`
    wrong.push({ code: 'COMPOSE_FILE', subject, found, expected, hint: `edit line ${line} of ${file}` })
    good = false
  }
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false, merge: true })
  for (const { pos, message } of document.errors) report(lines.linePos(pos[0]).line, message, 'valid YAML')
  if (document.contents === null) report(1, 'nothing', 'services')
  if (!good) return nothing

  const written = new Map<unknown, string>()
  visit(document, {
    Node: (key, node) => {
      if (node.tag?.startsWith('!')) throw onlyCompose(`${file}:${lineOf(node)}`, node.tag)
      if (!isScalar(node) || key === 'key' || typeof node.value !== 'string') return
      written.set(node, node.value)
      try {
        node.value = interpolate(node.value, lookup)
      } catch (error) {
        report(lineOf(node), reason(error), 'variables that can be filled in')
      }
    },
  })
  // A value that could not be filled in would be a second mistake.
  if (!good) return nothing
  placePorts(document, written, lineOf)

  const plain = mapping(document.toJS())
  if (plain.include) throw onlyCompose(file, 'include')
  const services = Object.entries(mapping(plain.services)).map(([service, value]): [string, Service] => {
    const { ports = [], environment, profiles, extends: base } = mapping(value)
    if (base) throw onlyCompose(file, `services.${service}.extends`)
    if (!Array.isArray(ports)) report(lineOf(document.getIn(['services', service, 'ports'], true)), 'no list', 'a list')
    const placed = Array.isArray(ports) ? (ports as Placed[]) : []
    return [
      service,
      {
        ports: placed.flatMap((port) => publishedPorts(port, service, file, report)),
        environment: environmentOf(environment, lookup),
        profiles: Array.isArray(profiles) ? profiles.map(String) : [],
      },
    ]
  })
  return { name: typeof plain.name === 'string' ? plain.name : undefined, services: new Map(services) }
}

/** Makes every entry of every `ports` take along where it stands: an anchor or a merge may bring it to several services. */
function placePorts(document: Document, written: Map<unknown, string>, lineOf: (node: unknown) => number): void {
  const resolve = (node: unknown) => (isAlias(node) ? node.resolve(document) : node)
  const place = (item: Node): Placed => {
    const entry = resolve(item)
    const port = written.get(isMap(entry) ? resolve(entry.get('published', true)) : entry) ?? ''
    const published = isMap(entry) ? port : splitShortPort(port.replace(/\/\w+$/, '')).published
    return { line: lineOf(item), written: published, entry: item.toJS(document) }
  }
  visit(document, {
    Pair: (_, pair) => {
      const list = resolve(pair.value)
      if (!isScalar(pair.key) || pair.key.value !== 'ports' || !isSeq<Node>(list)) return
      pair.value = document.createNode(list.items.map(place))
      return visit.SKIP
    },
  })
}

function publishedPorts(
  { line, written, entry }: Placed,
  service: string,
  file: string,
  report: Report,
): ComposePort[] {
  try {
    const found = typeof entry === 'object' ? parseLongPort(mapping(entry)) : parseShortPort(String(entry))
    const alone = found.length === 1 && found[0]?.first === found[0]?.last
    const variable = alone ? variableOf(written) : undefined
    return found.map((port) => ({ ...port, service, variable, origin: `${file}:${line}` }))
  } catch (error) {
    report(line, `${reason(error)} in ports of ${service}`, '[IP:]HOST_PORT:PORT[/PROTOCOL]')
    return []
  }
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
