/** Determines the kind and form of message that a row contains. */
import type { Form, Kind, Row } from './fields.mts'

/** Returns the kind of message that rows with these columns contain, or undefined if the columns do not determine it. */
export function kindOf(columns: readonly string[]): Kind | undefined {
  const has = (name: string) => columns.includes(name)
  if (has('side') || has('side_code') || has('operation') || has('l2_operation')) return 'l2'
  if (has('trade_price') || (has('price') && has('size'))) return 'trades'
  // A quote may omit one side.
  return ['bid_price', 'bid', 'ask_price', 'ask'].some(has) ? 'quotes' : undefined
}

/**
 * Returns the form of a row. A row with `l2_operation` is an order book message, regardless of the kind.
 * @throws {RangeError} for an unknown `l2_operation`
 */
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
