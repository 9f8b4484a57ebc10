/** CREATE statements taken apart: as text of ClickHouse's own formatter, so that only what they say can differ. */

export interface TableText {
  kind: 'table'
  name: string
  /** By name, in order: the column's whole text without its name. */
  columns: Map<string, ColumnText>
  /** By name: `INDEX …` and `PROJECTION …` as declared. */
  parts: Map<string, string>
  /** What ClickHouse cannot change in place: engine, partition key, primary key, sorting key. */
  layout: Record<'engine' | 'partition' | 'primary key' | 'order', string>
  /** What the engine is beside its plain form, which `layout` has: `Replicated`, `Shared`, or empty. */
  replication: string
  /** Until when rows are kept, as an expression; empty for for ever. */
  ttl: string
  /** When rows are compressed again, and how: `… RECOMPRESS CODEC(…)`; empty for never. */
  recompression: string
  settings: Map<string, string>
}

export interface ColumnText {
  type: string
  /** `DEFAULT …`, `ALIAS …` or `MATERIALIZED …`; empty for none. */
  value: string
  /** `CODEC(…)`, empty for the default one. */
  codec: string
}

export interface ViewText {
  kind: 'view' | 'materialized view'
  name: string
  /** Between the name and the query: `REFRESH … APPEND TO …`, empty for a plain view. */
  target: string
  /** The user that a refresh runs as, where the server keeps one. */
  definer: string
  query: string
  /** Escaped as in the statement; empty for none. */
  comment: string
}

export type ObjectText = TableText | ViewText

/** The first place from `start` on, outside quotes and brackets, where one of `marks` begins; the end of the text where none does. */
function placeOutside(text: string, marks: readonly string[], start = 0): number {
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
  const pieces: string[] = []
  let start = 0
  for (let at = placeOutside(text, [separator]); at < text.length; at = placeOutside(text, [separator], start)) {
    pieces.push(text.slice(start, at))
    start = at + separator.length
  }
  return [...pieces, text.slice(start)]
}

/** The text from the first place outside quotes and brackets where one of `marks` begins, and what is before it. */
function cutBefore(text: string, marks: readonly string[]): [before: string, from: string] {
  const at = placeOutside(text, marks)
  return [text.slice(0, at).trim(), text.slice(at).trim()]
}

/** `text` with all but its string literals changed. */
function outsideStrings(text: string, change: (piece: string) => string): string {
  return text.replace(/('[^'\\]*(?:\\[\s\S][^'\\]*)*')|[^']+/g, (piece, literal?: string) => literal ?? change(piece))
}

/**
 * The parts of a statement that formatQuerySingleLine wrote, or of one that the server keeps, in which names of `database` are
 * qualified.
 * @throws {SyntaxError} for anything but CREATE TABLE, VIEW or MATERIALIZED VIEW
 */
export function parseCreate(formatted: string, database: string): ObjectText {
  const qualifier = new RegExp(`(?<!\\w)${database}\\.`, 'g')
  const text = outsideStrings(formatted, (piece) => piece.replace(/`(\w+)`/g, '$1').replaceAll(qualifier, ''))
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
  // The server adds the columns of the result and who may run it.
  const [security = '', definer = ''] = /(?:^| )DEFINER = (\S+) SQL SECURITY DEFINER$/.exec(head) ?? []
  const made = head.slice(0, head.length - security.length)
  const target = made.endsWith(')') ? made.slice(0, made.indexOf('(')).trimEnd() : made
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
    if (!clause) throw new SyntaxError(`Cannot read "${left.slice(0, 60)}": expected more`)
    const [own, next] = cutBefore(left.slice(clause.length), CLAUSES)
    clauses.set(clause.trim().replace(' =', ''), own)
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
 * An engine without what replication adds to it: `SharedReplacingMergeTree('/path', '{replica}', at)` is `ReplacingMergeTree(at)`, kept in
 * copies. ClickHouse Cloud and Replicated databases make such engines of plain ones.
 * @see https://clickhouse.com/docs/cloud/reference/shared-merge-tree (SHOW CREATE TABLE)
 */
function parseEngine(text: string): Pick<TableText, 'replication'> & { engine: string } {
  const [, replication = '', plain = '', list = ''] = /^(Shared|Replicated)?(\w+)(?:\((.*)\))?$/s.exec(text) ?? []
  const values = splitOutside(list, ', ').filter(Boolean)
  const own = replication && values[0]?.startsWith("'") ? values.slice(2) : values
  return { replication, engine: own.length > 0 ? `${plain}(${own.join(', ')})` : plain }
}

function parseColumn(text: string): ColumnText {
  const values = ['DEFAULT ', 'ALIAS ', 'MATERIALIZED ', 'EPHEMERAL ']
  const [type, rest] = cutBefore(text, [...values, 'CODEC(', 'COMMENT ', 'TTL '])
  const [value, tail] = cutBefore(rest, ['CODEC(', 'COMMENT ', 'TTL '])
  const codec = /^CODEC\(.*?\)(?= (?:COMMENT|TTL) |$)/.exec(tail)?.[0] ?? ''
  // The server writes the width of the type into codecs that are declared without one.
  return {
    type,
    value: values.some((each) => value.startsWith(each)) ? value : '',
    codec: codec.replace(/\b(Delta|DoubleDelta|Gorilla|FPC)\(\d+\)/g, '$1'),
  }
}
