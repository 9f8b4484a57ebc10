/** Which messages are wanted. */
import type { KafkaRecord } from '../kafka/records.mts'

/** A field of JSON messages and the value that it has to have, as text. */
export interface Where {
  field: string
  value: string
}

/**
 * `FIELD=VALUE`, where FIELD may name one inside objects: `_metadata.producer_id=x`. VALUE may be empty and hold further `=`.
 * @throws {RangeError} for text without a field before `=`
 */
export function parseWhere(text: string): Where {
  const equals = text.indexOf('=')
  if (equals < 1) throw new RangeError(`"${text}"`)
  return { field: text.slice(0, equals), value: text.slice(equals + 1) }
}

/** Whether a message has that key, and that value in a field; a message that is no JSON object has no fields. */
export function isWanted(
  record: KafkaRecord,
  { key, where }: { key?: string | undefined; where?: Where | undefined },
): boolean {
  if (key !== undefined && record.key?.toString() !== key) return false
  if (where === undefined) return true
  const text = record.value?.toString() ?? ''
  // Reading JSON takes far longer than looking for its first letters, which escapes may hide.
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
  // A name that itself holds dots comes first.
  const whole = own(field)
  if (whole !== undefined) return whole
  for (const name of field.split('.')) at = own(name)
  return at
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** Numbers are compared as numbers: 1.50 is 1.5. Objects and lists as their JSON. */
function hasValue(found: unknown, value: string): boolean {
  if (found === undefined) return false
  if (typeof found === 'string') return found === value
  if (typeof found === 'number') return value.trim() !== '' && Number(value) === found
  return JSON.stringify(found) === value
}
