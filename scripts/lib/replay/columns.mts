/** Determines the kind of message in a file from its columns. */
import { configError, error } from '../common/findings.mts'
import { COLUMNS, FIELDS, type Field, type Kind } from './fields.mts'
import { kindOf } from './forms.mts'

const REQUIRED: Record<Kind, string> = {
  trades: 'price and size',
  quotes: 'bid or ask',
  l2: 'side, price, size, and operation or level',
}

/** Names that other programs use for our columns. */
const OTHER_NAMES: Record<string, readonly string[]> = {
  symbol: ['ticker', 'sym', 'instrument'],
  timestamp: ['time', 'datetime', 'date', 'ts'],
}

/**
 * Returns the kind of message that rows with these columns contain.
 * @param options.kind the kind, if given; by default the columns determine it
 * @param options.symbol the symbol of rows without a symbol column
 * @throws {OpsError} exit code 2, when a required column is missing or a column is duplicated
 */
export function kindOfColumns(
  file: string,
  columns: readonly string[],
  options: { kind: Kind | undefined; symbol?: string | undefined },
): Kind {
  const refuse = (found: string, expected: string | undefined, hint: string) =>
    configError([error('REPLAY_COLUMNS', file, { found, expected, hint })])
  const twice = columns.filter((name, at) => COLUMNS.includes(name) && columns.indexOf(name) !== at)
  if (twice.length > 0)
    throw refuse(`duplicate column ${[...new Set(twice)].join(', ')}`, undefined, 'name each column once')
  const kind = options.kind ?? kindOf(columns)
  const needs = [
    ...(options.symbol === undefined ? [['symbol']] : []),
    ['timestamp'],
    ...(kind ? needed(kind, columns) : []),
  ]
  const missing = needs.filter((names) => !names.some((name) => columns.includes(name)))
  if (kind && missing.length === 0) return kind
  const required = kind ? REQUIRED[kind] : Object.entries(REQUIRED).map(([of, names]) => `${names} (${of})`)
  const expected = `symbol, timestamp, and ${[required].flat().join(', or ')}`
  const lacking = missing.map(([name]) => name).join(', ')
  throw refuse(
    lacking ? `no column ${lacking} among ${columns.join(', ')}` : `the columns ${columns.join(', ')}`,
    expected,
    renameHint(columns) ??
      (lacking === 'symbol'
        ? `npm run replay -- --symbol SYMBOL ${file}`
        : 'npm run replay -- --help; docs/ingest.md lists the column names'),
  )
}

/** Returns, for each value that rows of this kind require, the columns that may contain it. */
function needed(kind: Kind, columns: readonly string[]): (readonly string[])[] {
  if (columns.includes('l2_operation') || kind === 'quotes') return []
  if (kind === 'l2')
    return [
      ['side', 'side_code'],
      ['operation', 'message_type', 'level', 'depth_level'],
    ]
  const fields: readonly Field[] = FIELDS[kind]
  return fields.filter(({ isOptional }) => !isOptional({}, '')).map(({ name, from }) => [from[1] ?? name, ...from])
}

/** Suggests renames for columns with another letter case or another program's name. */
function renameHint(columns: readonly string[]): string | undefined {
  const meant = (column: string) => {
    if (COLUMNS.includes(column)) return undefined
    const lower = column.trim().toLowerCase()
    const name = COLUMNS.includes(lower)
      ? lower
      : Object.keys(OTHER_NAMES).find((ours) => OTHER_NAMES[ours]?.includes(lower))
    return name && !columns.includes(name) ? `${column} to ${name}` : undefined
  }
  const renames = columns.map(meant).filter((each) => each !== undefined)
  return renames.length > 0 ? `rename ${renames.join(', ')}` : undefined
}
