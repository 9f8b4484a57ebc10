/** Whether messages can be made of a file's columns. */
import { configError, error } from '../common/findings.mts'
import { COLUMNS, FIELDS, type Field, type Kind } from './fields.mts'
import { kindOf } from './forms.mts'

const WANTED: Record<Kind, string> = {
  trades: 'price and size',
  quotes: 'bid or ask',
  l2: 'side, price, size, and operation or level',
}

/** What other programs call them. */
const OTHER_NAMES: Record<string, readonly string[]> = {
  symbol: ['ticker', 'sym', 'instrument'],
  timestamp: ['time', 'datetime', 'date', 'ts'],
}

/**
 * Which kind of message rows with these columns are.
 * @param options.kind what they are; without it, the columns decide
 * @param options.symbol the symbol of rows that have no column for it
 * @throws {OpsError} exit code 2, when no message can be made of them: a column is missing, or there twice
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
    throw refuse(`the column ${[...new Set(twice)].join(', ')} twice`, undefined, 'name each column once')
  const kind = options.kind ?? kindOf(columns)
  const needs = [
    ...(options.symbol === undefined ? [['symbol']] : []),
    ['timestamp'],
    ...(kind ? needed(kind, columns) : []),
  ]
  const missing = needs.filter((names) => !names.some((name) => columns.includes(name)))
  if (kind && missing.length === 0) return kind
  const wanted = kind ? WANTED[kind] : Object.entries(WANTED).map(([of, names]) => `${names} (${of})`)
  const expected = `symbol, timestamp, and ${[wanted].flat().join(', or ')}`
  const lacks = missing.map(([name]) => name).join(', ')
  throw refuse(
    lacks ? `no column ${lacks} among ${columns.join(', ')}` : `the columns ${columns.join(', ')}`,
    expected,
    renaming(columns) ??
      (lacks === 'symbol'
        ? `npm run replay -- --symbol SYMBOL ${file}`
        : 'npm run replay -- --help, or docs/ingest.md for the names of columns'),
  )
}

/** For each value that rows of this kind must have, the columns that may hold it. */
function needed(kind: Kind, columns: readonly string[]): (readonly string[])[] {
  if (columns.includes('l2_operation') || kind === 'quotes') return []
  if (kind === 'l2')
    return [
      ['side', 'side_code'],
      ['operation', 'message_type', 'level', 'depth_level'],
    ]
  const fields: readonly Field[] = FIELDS[kind]
  return fields.filter(({ mayLack }) => !mayLack({}, '')).map(({ name, from }) => [from[1] ?? name, ...from])
}

/** What to rename, where columns have another letter case or another program's name. */
function renaming(columns: readonly string[]): string | undefined {
  const meant = (column: string) => {
    if (COLUMNS.includes(column)) return undefined
    const lower = column.trim().toLowerCase()
    const name = COLUMNS.includes(lower)
      ? lower
      : Object.keys(OTHER_NAMES).find((own) => OTHER_NAMES[own]?.includes(lower))
    return name && !columns.includes(name) ? `${column} to ${name}` : undefined
  }
  const renames = columns.map(meant).filter((each) => each !== undefined)
  return renames.length > 0 ? `rename ${renames.join(', ')}` : undefined
}
