/** Parses timestamps in the formats that programs and recorders write. */

export interface Time {
  /** Microseconds since 1970. */
  us: number
  /** As a JSON value that the ingest accepts: ISO 8601, or seconds since 1970. */
  json: string
  /** Whether the original text is already in such a format. */
  own: boolean
}

/** This and {@link SECONDS} match what clickhouse/ingest accepts, where both are one pattern. */
const ISO =
  /^((?:19[7-9]|20\d|210)\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d)(?:(:[0-5]\d)(?:\.(\d{1,9}))?)?)?(?: ?(Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?))?$/
const SECONDS = /^\d{9,10}(\.\d+)?$/
/** Milliseconds, microseconds or nanoseconds since 1970: 13, 16 or 19 digits; one fewer before September 2001. */
const FINER = /^(\d{9,10})(\d{3}|\d{6}|\d{9})(?:\.(\d+))?$/
/**
 * The accepted range, in microseconds since 1970. It ends where ClickHouse's DateTime (32-bit seconds) overflows: the minute tables would
 * show a later trade in another century.
 */
const TIMES_US = { min: Date.UTC(1970, 0, 2) * 1000, end: Date.UTC(2106, 1, 7) * 1000 }

/**
 * Parses a timestamp: ISO 8601, or seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their number of digits.
 * "2026-11-23T10:00:00.000001" → 1795428000000001
 * @param zone the time zone of timestamps without an offset; UTC by default
 * @throws {RangeError} for any other format, for times before 1970-01-02 or after 2106-02-06, and for local times that the zone skips
 */
export function parseTime(text: string, zone?: Zone): Time {
  const time = SECONDS.test(text)
    ? { us: Math.round(Number(text) * 1e6), json: text, own: true }
    : (finerTime(text) ?? isoTime(text, zone))
  if (time && time.us >= TIMES_US.min && time.us < TIMES_US.end) return time
  throw new RangeError(`timestamp: "${text}"`)
}

function finerTime(text: string): Time | undefined {
  const [, seconds, fraction = '', more = ''] = FINER.exec(text) ?? []
  if (seconds === undefined) return undefined
  // As text: a double cannot represent this many digits.
  const exact = `${seconds}.${fraction}${more}`
  return { us: Math.round(Number(exact) * 1e6), json: `"${exact}"`, own: false }
}

function isoTime(text: string, zone: Zone | undefined): Time | undefined {
  const match = ISO.exec(text)
  if (!match) return undefined
  const [, day = '', minute = '00:00', second = ':00', fraction = '', offset] = match
  // Date.parse accepts 30 February as 2 March.
  if (Number(day.slice(8)) > 28 && new Date(Date.parse(day) || 0).toISOString().slice(0, 10) !== day) return undefined
  const microseconds = Number(fraction.padEnd(6, '0').slice(0, 6))
  if (offset === undefined && zone) {
    const minuteMs = zone.toUtc(`${day}T${minute}`)
    if (minuteMs === undefined) throw new RangeError(`timestamp: "${text}" does not exist in ${zone.name}`)
    const ms = minuteMs + Number(second.slice(1)) * 1000
    const json = `"${new Date(ms).toISOString().slice(0, 19)}${fraction && `.${fraction}`}Z"`
    return { us: ms * 1000 + microseconds, json, own: false }
  }
  const full = offset?.replace(/^([+-]\d\d):?(\d\d)?$/, (_, hours, minutes) => `${hours}:${minutes ?? '00'}`) ?? 'Z'
  const ms = Date.parse(`${day}T${minute}${second}${full}`)
  return { us: ms * 1000 + microseconds, json: `"${text.replace(/ (?=\d)/, 'T')}"`, own: true }
}

export interface Zone {
  name: string
  /**
   * Converts a local minute, such as "2026-11-23T10:00", to milliseconds since 1970. A minute that occurs twice, when summer time ends,
   * means the first; one that is skipped, when it begins, returns undefined.
   */
  toUtc: (minute: string) => number | undefined
}

/** Reports whether this Node.js knows a time zone by exactly this name. */
export function isZone(name: string): boolean {
  try {
    return zoneOf(name).name === name
  } catch (failure) {
    if (failure instanceof RangeError) return false
    throw failure
  }
}

export const DAY_MS = 86_400_000

/**
 * Returns the time zone with an IANA name, such as America/New_York.
 * @throws {RangeError} for a name that this Node.js does not know
 * @see https://www.iana.org/time-zones, the database behind Intl
 */
export function zoneOf(name: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  const offsetMs = (utcMs: number): number => {
    const text = format.formatToParts(utcMs).find(({ type }) => type === 'timeZoneName')?.value
    const [, sign = '+', hours = 0, minutes = 0] = /^GMT(?:([+-])(\d+):(\d+))?/.exec(text ?? '') ?? []
    return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
  }
  // Caches the last minute: Intl takes microseconds per call, and consecutive records mostly share a minute.
  let latest: { minute: string; ms: number | undefined } | undefined
  const toUtc = (minute: string): number | undefined => {
    if (latest?.minute === minute) return latest.ms
    const localMs = Date.parse(`${minute}Z`)
    const candidates = [localMs - DAY_MS, localMs + DAY_MS]
      .map((nearMs) => localMs - offsetMs(nearMs))
      .filter((ms) => localMs - offsetMs(ms) === ms)
    const ms = candidates.length > 0 ? Math.min(...candidates) : undefined
    latest = { minute, ms }
    return ms
  }
  return { name, toUtc }
}
