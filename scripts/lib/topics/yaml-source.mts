/** A YAML file read piece by piece, with the line and column of every mistake. */
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

/** What to do about a mistake whose subject begins with `file:line:column`. */
export function editHint(subject: string): string {
  const [, file, line] = POSITION.exec(subject) ?? []
  return `edit ${file}, line ${line}`
}

/** Mistakes in the order of the file; those without a position last. */
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
  /** The outermost node; undefined when the syntax is so broken that what follows cannot be understood. */
  readonly root: YamlNode
  readonly #lines = new LineCounter()
  readonly #file: string
  readonly #lookup: Lookup
  /** What each alias stands for: the last node before it with its anchor. Alias.resolve looks through the whole document each time. */
  readonly #targets = new Map<Alias, Node>()

  /**
   * @param file how messages name the file
   * @param lookup the variables that `${NAME}` in a value may stand for
   */
  constructor(content: string, file: string, lookup: Lookup) {
    this.#file = file
    this.#lookup = lookup
    // The library compares each key with each other one; entries() looks them up.
    const document = parseDocument(content, { prettyErrors: false, uniqueKeys: false, merge: true })
    // By ourselves: the parser counts no lines beyond some mistakes.
    this.#lines.addNewLine(0)
    for (const { index } of content.matchAll(/\n/g)) this.#lines.addNewLine(index + 1)
    for (const { pos, code, message } of document.errors) {
      // Some messages end in the text that they are about.
      const found = code === 'MULTIPLE_DOCS' ? 'a second document' : message.replace(/: ".*/s, '')
      this.report('YAML', this.#place(pos[0]), found, 'valid YAML')
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

  /** `file:line:column` of a node. */
  at(node: unknown): string {
    return this.#place(isNode(node) ? node.range?.[0] : undefined)
  }

  #place(offset = 0): string {
    const { line, col } = this.#lines.linePos(offset)
    return `${this.#file}:${line}:${col}`
  }

  /** @param subject begins with what {@link at} gave */
  report(code: string, subject: string, found: string, expected?: string): void {
    this.mistakes.push(error(code, subject, { found, expected, hint: editHint(subject) }))
  }

  /** The node itself, or the one that an alias stands for. */
  resolve(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node
  }

  /** A scalar's text with its variables filled in; undefined after reporting what it is instead. */
  text(node: YamlNode, subject: string, expected: string): string | undefined {
    const scalar = this.resolve(node)
    if (!isScalar(scalar) || scalar.value === null) {
      this.report('YAML_TYPE', subject, describe(scalar), expected)
      return undefined
    }
    const unknown: string[] = []
    // A plain scalar counts as it is written: what 1e3 or 010 means is for the reader of the value to decide, not for YAML.
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

  /** A number within its bounds; undefined after reporting what it is instead. */
  number(node: YamlNode, subject: string, { min, max, whole }: Bounds): number | undefined {
    const expected = `${whole ? 'an integer' : 'a number'} from ${min} to ${max}`
    const written = this.text(node, subject, expected)
    if (written === undefined) return undefined
    const value = (whole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(written) ? Number(written) : Number.NaN
    if (value >= min && value <= max) return value
    this.report('YAML_VALUE', subject, `"${written}"`, expected)
    return undefined
  }

  /** A list's items; undefined after reporting what it is instead. */
  items(node: YamlNode, subject: string): unknown[] | undefined {
    const list = this.resolve(node)
    if (isSeq(list)) return list.items
    this.report('YAML_TYPE', subject, describe(list), 'a list')
    return undefined
  }

  /**
   * A mapping's entries by key, those of its merge keys (`<<`) included; undefined after reporting what it is instead. Reports keys beyond
   * `known`, if that is given, but for those that `ignored` matches.
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
        this.report('YAML_KEY', this.at(pair.key), `the unknown key "${key}"`, `one of ${known.join(', ')}`)
    }
    return entries
  }

  /** Adds a mapping's own entries, then those that it merges, as far as they are not there yet. */
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

/** What a node is. Never its text: it is not what was expected, so it may be anything. */
function describe(node: unknown): string {
  if (isMap(node)) return 'a mapping'
  if (isSeq(node)) return 'a list'
  if (isAlias(node)) return 'an alias'
  return isScalar(node) && node.value !== null ? 'a single value' : 'nothing'
}
