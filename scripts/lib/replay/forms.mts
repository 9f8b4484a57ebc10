/** What kind and form of message a row is, by its columns. */
import type { Form, Kind, Row } from './fields.mts'

/** Which kind of message rows with these columns are, or undefined when they do not say. */
export function kindOf(columns: readonly string[]): Kind | undefined {
  const has = (name: string) => columns.includes(name)
  if (has('side') || has('side_code') || has('operation') || has('l2_operation')) return 'l2'
  if (has('trade_price') || (has('price') && has('size'))) return 'trades'
  // A message may leave out the side that nobody quotes.
  return ['bid_price', 'bid', 'ask_price', 'ask'].some(has) ? 'quotes' : undefined
}

/** The form of a row of a kind. A row with `l2_operation` is about the order book, whatever its file holds. @throws {RangeError} */
export function formOf(kind: Kind, row: Row): Form {
  const named = row.l2_operation?.toLowerCase() ?? ''
  switch (named) {
    case '':
      break
    case 'update':
    case 'delete':
      return named
    case 'market_maker_update':
      return 'maker'
    default:
      throw new RangeError(`l2_operation: "${row.l2_operation}"`)
  }
  if (kind !== 'l2') return kind
  const hasOperation = row.operation !== undefined || /^\d+$/.test(row.message_type ?? '')
  const hasLevel = (row.level ?? row.depth_level ?? '') !== ''
  return !hasOperation && hasLevel && !row.order_id ? 'level' : 'l2'
}
