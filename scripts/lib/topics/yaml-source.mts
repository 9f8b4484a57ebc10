/** Reads values from a YAML file, and collects every mistake with its line and column. */
import {
  type Alias,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'
import { error, type Finding, reason } from '../common/findings.mts'
import { interpolate, type Lookup } from '../settings/interpolate.mts'

export type YamlNode = Node | null | undefined

const POSITION = /^(.*):(\d+):(\d+)(?: |$)/

/** Returns the hint for a mistake whose subject begins with `file:line:column`. */
export function editHint(subject: string): string {
  const [, file, line] = POSITION.exec(subject) ?? []
  return `edit ${file}, line ${line}`
}

/** Sorts mistakes by their position in the file; those without a position come last. */
export function byPosition(mistakes: readonly Finding[]): Finding[] {
  const rank = ({ subject }: Finding) => {
    const [, , line = Number.POSITIVE_INFINITY, column = 0] = POSITION.exec(subject) ?? []
    return [Number(line), Number(column)] as const
  }
  return mistakes.toSorted((a, b) => {
    const [[aLine, aColumn], [bLine, bColumn]] = [rank(a), rank(b)]
    return aLine === bLine ? aColumn - bColumn : aLine - bLine
  })
}

export interface Bounds {
  min: number
  max: number
  whole: boolean
}

export class YamlSource {
  readonly mistakes: Finding[] = []
  /** The root node; undefined if the file is not valid YAML. */
  readonly root: YamlNode
  readonly #lines = new LineCounter()
  readonly #file: string
  readonly #lookup: Lookup
  /** The target of each alias: the last node before it with that anchor. Alias.resolve would search the whole document each time. */
  readonly #targets = new Map<Alias, Node>()

  /**
   * @param file how messages name the file
   * @param lookup returns the value of a variable, `${NAME}` in the file
   */
  constructor(content: string, file: string, lookup: Lookup) {
    this.#file = file
    this.#lookup = lookup
    // entries() finds duplicate keys with a lookup; the library compares every pair of keys.
    const document = parseDocument(content, { prettyErrors: false, uniqueKeys: false, merge: true })
    // Count the lines here, because the parser stops counting after some errors.
    this.#lines.addNewLine(0)
    for (const { index } of content.matchAll(/\n/g)) this.#lines.addNewLine(index + 1)
    for (const { pos, code, message } of document.errors) {
      // Some messages end with an excerpt of the file, which may contain a secret.
      const found = code === 'MULTIPLE_DOCS' ? 'a second document' : message.replace(/: ".*/s, '')
      this.report('YAML', this.#position(pos[0]), found, 'valid YAML')
    }
    const anchors = new Map<string, Node>()
    visit(document, {
      Node: (_, node) => {
        if (!isAlias(node)) {
          if (node.anchor) anchors.set(node.anchor, node)
          return
        }
        const target = anchors.get(node.source)
        if (target) this.#targets.set(node, target)
        else this.report('YAML', this.at(node), 'an alias without an anchor before it', 'valid YAML')
      },
    })
    this.root = this.mistakes.length === 0 ? document.contents : undefined
  }

  /** Returns a node's position as `file:line:column`. */
  at(node: unknown): string {
    return this.#position(isNode(node) ? node.range?.[0] : undefined)
  }

  #position(offset = 0): string {
    const { line, col } = this.#lines.linePos(offset)
    return `${this.#file}:${line}:${col}`
  }

  /** @param subject begins with a position from {@link at} */
  report(code: string, subject: string, found: string, expected?: string): void {
    this.mistakes.push(error(code, subject, { found, expected, hint: editHint(subject) }))
  }

  /** Returns the node, or its target if it is an alias. */
  resolve(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node
  }

  /** Returns a scalar's text with its variables expanded; reports any other node and returns undefined. */
  text(node: YamlNode, subject: string, expected: string): string | undefined {
    const scalar = this.resolve(node)
    if (!isScalar(scalar) || scalar.value === null) {
      this.report('YAML_TYPE', subject, describe(scalar), expected)
      return undefined
    }
    const unknown: string[] = []
    // Use a plain scalar as written: the consumer of the value interprets 1e3 or 010, not YAML.
    const written = scalar.type === 'PLAIN' ? (scalar.source ?? '') : String(scalar.value)
    try {
      const value = interpolate(written, (name) => {
        const found = this.#lookup(name)
        if (found === undefined) unknown.push(`\${${name}}`)
        return found
      })
      if (unknown.length === 0) return value
    } catch (failure) {
      if (unknown.length === 0) this.report('YAML_VARIABLE', subject, reason(failure), expected)
    }
    if (unknown.length > 0) this.report('YAML_VARIABLE', subject, unknown.join(' '), 'a setting in .env.template')
    return undefined
  }

  /** Returns a number within its bounds; reports any other value and returns undefined. */
  number(node: YamlNode, subject: string, { min, max, whole }: Bounds): number | undefined {
    const expected = `${whole ? 'an integer' : 'a number'} from ${min} to ${max}`
    const written = this.text(node, subject, expected)
    if (written === undefined) return undefined
    const value = (whole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(written) ? Number(written) : Number.NaN
    if (value >= min && value <= max) return value
    this.report('YAML_VALUE', subject, `"${written}"`, expected)
    return undefined
  }

  /** Returns a list's items; reports any other node and returns undefined. */
  items(node: YamlNode, subject: string): unknown[] | undefined {
    const list = this.resolve(node)
    if (isSeq(list)) return list.items
    this.report('YAML_TYPE', subject, describe(list), 'a list')
    return undefined
  }

  /**
   * Returns a mapping's entries by key, including those of its merge keys (`<<`); reports any other node and returns undefined. If `known`
   * is given, reports and drops all other keys; those that match `ignored` are dropped without a report.
   */
  entries(node: unknown, subject: string, known?: readonly string[], ignored?: RegExp): Entries | undefined {
    const mapping = this.resolve(node)
    if (!isMap<Node, Node | null>(mapping)) {
      this.report('YAML_TYPE', subject, describe(mapping), known ? `a mapping of ${known.join(', ')}` : 'a mapping')
      return undefined
    }
    const entries: Entries = new Map()
    this.#collect(mapping, entries, new Set())
    for (const [key, pair] of entries) {
      if (!known || known.includes(key)) continue
      entries.delete(key)
      if (!ignored?.test(key))
        this.report('YAML_KEY', this.at(pair.key), `unknown key "${key}"`, `one of ${known.join(', ')}`)
    }
    return entries
  }

  /** Adds a mapping's own entries, then those that it merges, unless their key is already present. */
  #collect(mapping: YAMLMap<Node, Node | null>, entries: Entries, seen: Set<unknown>): void {
    if (seen.has(mapping)) return
    seen.add(mapping)
    const isMerge = ({ key }: Pair<Node>) => isScalar(key) && typeof key.value === 'symbol'
    const own = new Set<string>()
    for (const pair of mapping.items.filter((each) => !isMerge(each))) {
      const key = isScalar(pair.key) ? String(pair.key.value) : describe(pair.key)
      if (!isScalar(pair.key)) this.report('YAML_KEY', this.at(pair.key), `${key} as a key`, 'a name')
      else if (own.has(key)) this.report('YAML', this.at(pair.key), 'Map keys must be unique', 'valid YAML')
      else if (!entries.has(key)) entries.set(key, pair)
      own.add(key)
    }
    for (const { key, value } of mapping.items.filter(isMerge)) {
      const merged = this.resolve(value)
      for (const each of isSeq(merged) ? merged.items : [merged]) {
        const source = this.resolve(each)
        if (isMap<Node, Node | null>(source)) this.#collect(source, entries, seen)
        else this.report('YAML_TYPE', `${this.at(key)} <<`, describe(source), 'a mapping, or a list of them')
      }
    }
  }
}

type Entries = Map<string, Pair<Node, Node | null>>

/** Describes the kind of a node. Never includes its text: since it is not what was expected, it may be a secret. */
function describe(node: unknown): string {
  if (isMap(node)) return 'a mapping'
  if (isSeq(node)) return 'a list'
  if (isAlias(node)) return 'an alias'
  return isScalar(node) && node.value !== null ? 'a single value' : 'nothing'
}
