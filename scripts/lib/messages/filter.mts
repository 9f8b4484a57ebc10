/** Selects messages by key and field. */
import type { KafkaRecord } from '../kafka/records.mts'

/** A field of JSON messages and its required value, as text. */
export interface Where {
  field: string
  value: string
}

/**
 * Parses `FIELD=VALUE`. FIELD may name a field of a nested object, as in `_metadata.producer_id=x`; VALUE may be empty and may contain `=`.
 * @throws {RangeError} if no field precedes `=`
 */
export function parseWhere(text: string): Where {
  const equals = text.indexOf('=')
  if (equals < 1) throw new RangeError(`"${text}"`)
  return { field: text.slice(0, equals), value: text.slice(equals + 1) }
}

/** Whether a message has the key, and the value in the field. A message that is not a JSON object has no fields. */
export function isWanted(
  record: KafkaRecord,
  { key, where }: { key?: string | undefined; where?: Where | undefined },
): boolean {
  if (key !== undefined && record.key?.toString() !== key) return false
  if (where === undefined) return true
  const text = record.value?.toString() ?? ''
  // Searching for the field's name is far faster than parsing JSON. Escapes may hide the name.
  const last = where.field.slice(where.field.lastIndexOf('.') + 1)
  if (!text.includes(last) && !text.includes('\\')) return false
  return hasValue(fieldOf(text, where.field), where.value)
}

function fieldOf(text: string, field: string): unknown {
  let at: unknown
  try {
    at = JSON.parse(text)
  } catch {
    // Not JSON.
    return undefined
  }
  const own = (name: string) => (isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined)
  // A field whose name contains the dots takes precedence.
  const whole = own(field)
  if (whole !== undefined) return whole
  for (const name of field.split('.')) at = own(name)
  return at
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** Compares numbers as numbers (1.50 equals 1.5), and objects and arrays as their JSON. */
function hasValue(found: unknown, value: string): boolean {
  if (found === undefined) return false
  if (typeof found === 'string') return found === value
  if (typeof found === 'number') return value.trim() !== '' && Number(value) === found
  return JSON.stringify(found) === value
}
