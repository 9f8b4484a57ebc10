/** Parses CREATE statements. Expects the output of ClickHouse's formatter, so that two statements differ only in meaning. */

export interface TableText {
  kind: 'table'
  name: string
  /** By name, in declaration order. */
  columns: Map<string, ColumnText>
  /** By name: the text of each `INDEX …` and `PROJECTION …`. */
  parts: Map<string, string>
  /** The clauses that ClickHouse cannot change in place. `order` is the sorting key. */
  layout: Record<'engine' | 'partition' | 'primary key' | 'order', string>
  /** The prefix of the engine, which `layout` omits: `Replicated`, `Shared`, or empty. */
  replication: string
  /** The TTL expression after which rows are deleted; empty for no retention. */
  ttl: string
  /** The TTL expression for recompression: `… RECOMPRESS CODEC(…)`; empty for none. */
  recompression: string
  settings: Map<string, string>
}

export interface ColumnText {
  type: string
  /** `DEFAULT …`, `ALIAS …`, `MATERIALIZED …` or `EPHEMERAL …`; empty for none. */
  value: string
  /** `CODEC(…)`; empty for the default codec. */
  codec: string
}

export interface ViewText {
  kind: 'view' | 'materialized view'
  name: string
  /** The text between the name and the query: `TO …` or `REFRESH … APPEND TO …`; empty for a plain view. */
  target: string
  /** The user of `DEFINER = …`; empty for none. */
  definer: string
  query: string
  /** Escaped as in the statement; empty for none. */
  comment: string
}

export type ObjectText = TableText | ViewText

/** Returns the first index from `start` outside quotes and brackets at which one of `marks` begins, or `text.length` if there is none. */
function indexOutside(text: string, marks: readonly string[], start = 0): number {
  let depth = 0
  let quote = ''
  for (let at = start; at < text.length; at++) {
    const character = text[at] as string
    if (quote) {
      if (character === '\\') at++
      else if (character === quote) quote = ''
    } else if (character === "'" || character === '`') quote = character
    else if ('([{'.includes(character)) depth++
    else if (')]}'.includes(character)) depth--
    else if (depth === 0 && marks.some((mark) => text.startsWith(mark, at))) return at
  }
  return text.length
}

/** Splits at `separator` outside quotes and brackets. */
export function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = []
  let start = 0
  for (let at = indexOutside(text, [separator]); at < text.length; at = indexOutside(text, [separator], start)) {
    parts.push(text.slice(start, at))
    start = at + separator.length
  }
  return [...parts, text.slice(start)]
}

/** Splits before the first of `marks` outside quotes and brackets. Both parts are trimmed. */
function cutBefore(text: string, marks: readonly string[]): [before: string, from: string] {
  const at = indexOutside(text, marks)
  return [text.slice(0, at).trim(), text.slice(at).trim()]
}

/** Applies `change` to the text outside string literals. */
function outsideStrings(text: string, change: (part: string) => string): string {
  return text.replace(/('[^'\\]*(?:\\[\s\S][^'\\]*)*')|[^']+/g, (part, literal?: string) => literal ?? change(part))
}

/**
 * Parses the output of formatQuerySingleLine. Names qualified with `database`, as in the statements that the server stores, lose the
 * qualifier.
 * @throws {SyntaxError} for anything but CREATE TABLE, VIEW or MATERIALIZED VIEW
 */
export function parseCreate(formatted: string, database: string): ObjectText {
  const qualifier = new RegExp(`(?<!\\w)${database}\\.`, 'g')
  const text = outsideStrings(formatted, (part) => part.replace(/`(\w+)`/g, '$1').replaceAll(qualifier, ''))
  const [, kind, name, rest] =
    /^CREATE (TABLE|VIEW|MATERIALIZED VIEW) (?:IF NOT EXISTS )?(\w+) ?(.*)$/s.exec(text) ?? []
  if (!kind || !name || rest === undefined) {
    throw new SyntaxError(`Cannot read "${text.slice(0, 60)}": expected CREATE TABLE, VIEW or MATERIALIZED VIEW`)
  }
  return kind === 'TABLE' ? parseTable(name, rest) : parseView(name, rest, kind === 'VIEW')
}

function parseView(name: string, rest: string, plain: boolean): ViewText {
  const [signature, query] = cutBefore(rest, ['AS SELECT ', 'AS WITH '])
  const [head, from] = cutBefore(signature, ['COMMENT '])
  const comment = /^COMMENT '(.*)'$/s.exec(from)?.[1] ?? ''
  // The server adds a column list and the DEFINER clause.
  const [security = '', definer = ''] = /(?:^| )DEFINER = (\S+) SQL SECURITY DEFINER$/.exec(head) ?? []
  const declared = head.slice(0, head.length - security.length)
  const target = declared.endsWith(')') ? declared.slice(0, declared.indexOf('(')).trimEnd() : declared
  return {
    kind: plain ? 'view' : 'materialized view',
    name,
    target,
    definer,
    query: query.slice('AS '.length),
    comment,
  }
}

const CLAUSES = ['ENGINE = ', 'PARTITION BY ', 'PRIMARY KEY ', 'ORDER BY ', 'TTL ', 'SETTINGS ', 'COMMENT ']

function parseTable(name: string, rest: string): TableText {
  const [list, tail] = cutBefore(rest, CLAUSES)
  const clauses = new Map<string, string>()
  for (let left = tail; left !== ''; ) {
    const clause = CLAUSES.find((each) => left.startsWith(each))
    if (!clause) throw new SyntaxError(`Cannot read "${left.slice(0, 60)}": expected a clause`)
    const [body, next] = cutBefore(left.slice(clause.length), CLAUSES)
    clauses.set(clause.trim().replace(' =', ''), body)
    left = next
  }
  const order = clauses.get('ORDER BY') ?? ''
  const columns = new Map<string, ColumnText>()
  const parts = new Map<string, string>()
  for (const element of splitOutside(list.replace(/^\((.*)\)$/s, '$1'), ', ')) {
    const [, kind, part] = /^(INDEX|PROJECTION) (\w+) /.exec(element) ?? []
    if (kind && part) parts.set(part, element)
    else columns.set(element.slice(0, element.indexOf(' ')), parseColumn(element.slice(element.indexOf(' ') + 1)))
  }
  const ttls = splitOutside(clauses.get('TTL') ?? '', ', ').filter(Boolean)
  const recompresses = (each: string) => each.includes(' RECOMPRESS CODEC(') && each.endsWith(')')
  const settings = splitOutside(clauses.get('SETTINGS') ?? '', ', ').filter(Boolean)
  const { engine, replication } = parseEngine(clauses.get('ENGINE') ?? '')
  return {
    kind: 'table',
    name,
    columns,
    parts,
    layout: {
      engine,
      partition: clauses.get('PARTITION BY') ?? '',
      'primary key': clauses.get('PRIMARY KEY') ?? order,
      order,
    },
    replication,
    ttl: ttls.filter((each) => !recompresses(each)).join(', '),
    recompression: ttls.filter(recompresses).join(', '),
    settings: new Map(settings.map((each) => each.split(' = ') as [string, string])),
  }
}

/**
 * Splits an engine into its replication prefix and its plain form: `SharedReplacingMergeTree('/path', '{replica}', at)` is a replicated
 * `ReplacingMergeTree(at)`. ClickHouse Cloud and Replicated databases turn plain engines into such engines.
 * @see https://clickhouse.com/docs/cloud/reference/shared-merge-tree (SHOW CREATE TABLE)
 */
function parseEngine(text: string): Pick<TableText, 'replication'> & { engine: string } {
  const [, replication = '', plain = '', list = ''] = /^(Shared|Replicated)?(\w+)(?:\((.*)\))?$/s.exec(text) ?? []
  const values = splitOutside(list, ', ').filter(Boolean)
  const parameters = replication && values[0]?.startsWith("'") ? values.slice(2) : values
  return { replication, engine: parameters.length > 0 ? `${plain}(${parameters.join(', ')})` : plain }
}

function parseColumn(text: string): ColumnText {
  const values = ['DEFAULT ', 'ALIAS ', 'MATERIALIZED ', 'EPHEMERAL ']
  const [type, rest] = cutBefore(text, [...values, 'CODEC(', 'COMMENT ', 'TTL '])
  const [value, tail] = cutBefore(rest, ['CODEC(', 'COMMENT ', 'TTL '])
  const codec = /^CODEC\(.*?\)(?= (?:COMMENT|TTL) |$)/.exec(tail)?.[0] ?? ''
  return {
    type,
    value: values.some((each) => value.startsWith(each)) ? value : '',
    // The server adds the width of the type to codecs that are declared without one.
    codec: codec.replace(/\b(Delta|DoubleDelta|Gorilla|FPC)\(\d+\)/g, '$1'),
  }
}
